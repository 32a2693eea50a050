"""Differences in one phrase each, and in one line for annotations and the like."""

from __future__ import annotations

from collections.abc import Sequence

from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.wording import byte_count, printable, truncate

_MAX_PHRASE = 160


def describe(difference: Difference) -> str:
    """One difference in one phrase, without its path."""
    if difference.kind is DifferenceKind.ONLY_LEFT:
        return f"only in the first model ({byte_count(difference.left_size or 0)})"
    if difference.kind is DifferenceKind.ONLY_RIGHT:
        return f"only in the second model ({byte_count(difference.right_size or 0)})"
    if difference.kind is DifferenceKind.TYPE:
        return f"a {difference.left_type} in the first model, a {difference.right_type} in the second"
    if difference.explanation is not None and difference.explanation.summary:
        return truncate(printable(difference.explanation.summary), _MAX_PHRASE)
    sizes = byte_count(difference.left_size or 0)
    if difference.left_size != difference.right_size:
        sizes = f"{difference.left_size:,} → {difference.right_size:,} bytes"
    where = "" if difference.offset is None else f", first at byte {difference.offset:,}"
    return f"content differs ({sizes}{where})"


def one_line(differences: Sequence[Difference], most: int = 4) -> str:
    """The differences in one line, as in `requirements.txt: pandas 2.3 → 3.1; model.pkl: 4 of 48 bytes differ`.

    What matters comes first: what says nothing about the model is told last. The line has no control characters.
    """
    ordered = in_order(differences)
    parts = [f"{truncate(printable(each.path), _MAX_PHRASE)}: {describe(each)}" for each in ordered[:most]]
    if len(ordered) > most:
        parts.append(f"and {len(ordered) - most:,} more")
    return "; ".join(parts)


def in_order(differences: Sequence[Difference]) -> list[Difference]:
    """The differences by what they say: packages before code and weights, what is rewritten anyway last."""
    return sorted(differences, key=rank)


def rank(difference: Difference) -> tuple[bool, int]:
    """Where a difference comes in that order."""
    return bool(difference.rewrite_reason), _RANKS.get(_kind(difference), _OTHER_RANK)


_RANKS = {"packages": 0, "MLmodel": 1}
_OTHER_RANK = 2


def _kind(difference: Difference) -> str:
    return difference.explanation.kind if difference.explanation else ""
