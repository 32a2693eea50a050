"""Describes differences in short phrases, for the terminal, the log, annotations and the summary."""

from __future__ import annotations

from collections.abc import Sequence

from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.wording import byte_count, printable, truncate

# The verdict if the two models of every comparison are at the same location.
NOTHING_COMPARED = "EQUAL, nothing compared: one location"
_MAX_PHRASE = 160
_KIND_RANKS = {"packages": 0, "MLmodel": 1}
_OTHER_RANK = 2


def describe(difference: Difference) -> str:
    """Return a phrase that describes a difference, without the path.

    >>> describe(Difference("model.pkl", DifferenceKind.ONLY_LEFT, left_size=2_000))
    'only in the first model (2,000 bytes)'
    """
    if difference.kind in {DifferenceKind.ONLY_LEFT, DifferenceKind.ONLY_RIGHT}:
        return _describe_one_sided(difference)
    if difference.kind is DifferenceKind.TYPE:
        return f"a {difference.left_type} in the first model, a {difference.right_type} in the second"
    if difference.explanation is not None and difference.explanation.summary:
        return truncate(printable(difference.explanation.summary), _MAX_PHRASE)
    sizes = byte_count(difference.left_size or 0)
    if difference.left_size != difference.right_size:
        sizes = f"{difference.left_size:,} → {difference.right_size:,} bytes"
    offset = "" if difference.offset is None else f", first at byte {difference.offset:,}"
    return f"content differs ({sizes}{offset})"


def _describe_one_sided(difference: Difference) -> str:
    is_left = difference.kind is DifferenceKind.ONLY_LEFT
    size = difference.left_size if is_left else difference.right_size
    phrase = f"only in the {'first' if is_left else 'second'} model ({byte_count(size or 0)})"
    if difference.explanation is None:
        return phrase
    return truncate(printable(f"{phrase}, {difference.explanation.summary}"), _MAX_PHRASE)


def describe_all(differences: Sequence[Difference], limit: int = 4) -> str:
    """Return one printable line that describes the `limit` most important differences and counts the others.

    For example: `requirements.txt: pandas 2.3 → 3.1; model.pkl: 4 of 48 bytes differ; and 2 more`.
    """
    ordered = in_order(differences)
    parts = [
        f"{truncate(printable(difference.path), _MAX_PHRASE)}: {describe(difference)}" for difference in ordered[:limit]
    ]
    if len(ordered) > limit:
        parts.append(f"and {len(ordered) - limit:,} more")
    return "; ".join(parts)


def in_order(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences sorted by importance: packages, MLmodel, other files, and rewritten files last.

    A rewritten file differs only in what MLflow or the file format changes when the same model is saved again.
    """
    return sorted(differences, key=rank)


def rank(difference: Difference) -> tuple[bool, int]:
    """Return the sort key of a difference. More important differences have lower keys."""
    kind = difference.explanation.kind if difference.explanation else ""
    return bool(difference.rewrite_reason), _KIND_RANKS.get(kind, _OTHER_RANK)
