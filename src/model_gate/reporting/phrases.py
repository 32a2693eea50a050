"""Describes differences in short phrases, for the terminal, the log, annotations and the summary."""

from __future__ import annotations

from collections.abc import Sequence

from model_gate.domain.difference import Difference, DifferenceKind, Explanation
from model_gate.domain.importance import importance_of
from model_gate.domain.result import Outcome
from model_gate.domain.wording import byte_count, printable
from model_gate.reporting.kind_words import words_for
from model_gate.reporting.naming import SideNames
from model_gate.reporting.shortening import short_path, short_text

MAX_NAMED = 10
# The report lists so many paths of each kind for each comparison, and counts the others.
MAX_REPORTED = 1_000
# The verdict if the two models of every comparison are at the same location.
NOTHING_COMPARED = "EQUAL, nothing compared: one location"
# What differs between equivalent models.
REWRITTEN = "what MLflow or the file format rewrites"
# Why a seal does not tell what changed in a file.
ONLY_HASHES = "a seal has only hashes"
_MAX_PHRASE = 160


def describe(difference: Difference, names: SideNames) -> str:
    """Return a phrase that describes a difference, without the path.

    >>> names = SideNames("staging v12", "production v7", "")
    >>> describe(Difference("model.pkl", DifferenceKind.ONLY_LEFT, left_size=2_000), names)
    'only in staging v12 (2,000 bytes)'
    """
    left, right = map(printable, names.phrases)
    if difference.kind.is_one_sided:
        return _describe_one_sided(difference, left if difference.kind is DifferenceKind.ONLY_LEFT else right)
    if difference.kind is DifferenceKind.TYPE:
        return f"a {difference.left_type} in {left}, a {difference.right_type} in {right}"
    if difference.explanation is not None and difference.explanation.summary:
        return short_text(difference.explanation.summary, _MAX_PHRASE)
    offset = "" if difference.offset is None else f"first at byte {difference.offset:,}"
    details = ", ".join(filter(None, (sizes(difference), offset)))
    return f"content differs ({details})" if details else "content differs"


def sizes(difference: Difference) -> str:
    """Return the known sizes of the files of a difference, as in `10 → 20 bytes`; "" if none is known."""
    known = [size for size in (difference.left_size, difference.right_size) if size is not None]
    if not known:
        return ""
    left, right = known[0], known[-1]
    return byte_count(left) if left == right else f"{left:,} → {right:,} bytes"


def unmet_condition(explanation: Explanation) -> str:
    """Return why a difference is more than a rewrite, as a phrase; "" if no condition failed."""
    return f"this counts as a difference, because {explanation.unmet_condition}" if explanation.unmet_condition else ""


def _describe_one_sided(difference: Difference, name: str) -> str:
    # A seal may not say the sizes of its files.
    size = sizes(difference)
    phrase = f"only in {name} ({size})" if size else f"only in {name}"
    if difference.explanation is None:
        return phrase
    return short_text(f"{phrase}, {difference.explanation.summary}", _MAX_PHRASE)


def more_in_report(count: int, total: int) -> str:
    """Return how many entries of a list are not shown, and whether the report has them.

    >>> more_in_report(3, 10), more_in_report(2_990, 3_000)
    ('3 more, in the report', '2,990 more; the report lists the first 1,000')

    Args:
        count: Number of the entries that are not shown.
        total: Number of all entries of a comparison.
    """
    if total <= MAX_REPORTED:
        return f"{count:,} more, in the report"
    return f"{count:,} more; the report lists the first {MAX_REPORTED:,}"


def difference_line(difference: Difference, names: SideNames, max_path: int) -> str:
    """Return a difference in one line: its path, the phrase, and why it is a rewrite, unless the phrase says so."""
    phrase, reason = describe(difference, names), difference.rewrite_reason
    suffix = f"  [{reason}]" if reason and reason != phrase else ""
    path = short_path(difference.path, max_path)
    return f"{path}: {phrase}{_first_byte(difference)}{suffix}"


def _first_byte(difference: Difference) -> str:
    """Return ", first at byte N" if the explanation does not contain the position of the difference, otherwise ""."""
    explanation = difference.explanation
    if explanation is None or not explanation.summary or difference.offset is None:
        return ""
    if not words_for(explanation).needs_first_byte:
        return ""
    return f", first at byte {difference.offset:,}"


def describe_all(differences: Sequence[Difference], names: SideNames, limit: int = 4) -> str:
    """Return one printable line that describes the `limit` most important differences and counts the others.

    For example: `requirements.txt: pandas 2.3 → 3.1; model.pkl: 4 of 48 bytes differ; and 2 more`.
    """
    ordered = in_order(differences)
    parts = [
        f"{short_path(difference.path, _MAX_PHRASE)}: {describe(difference, names)}" for difference in ordered[:limit]
    ]
    if len(ordered) > limit:
        parts.append(f"and {len(ordered) - limit:,} more")
    return "; ".join(parts)


def not_compared_text(paths: Sequence[str], reason: str = "") -> str:
    """Return the first ten paths that were not compared and the number of the others; "" if there are none.

    >>> not_compared_text(["model.pkl"], "fail-fast stopped the gate")
    'not compared (fail-fast stopped the gate), so they may differ too: model.pkl'
    """
    why = f" ({reason})" if reason else ""
    return f"not compared{why}, so they may differ too: {named_paths(paths)}" if paths else ""


def why_not_compared(outcome: Outcome) -> str:
    """Return why files were not compared, as a phrase; "" if the gate does not stop at the first difference."""
    request = outcome.request
    is_fail_fast = request is not None and request.options.fail_fast
    return "fail-fast stopped the gate at the first difference" if is_fail_fast else ""


def named_paths(paths: Sequence[str], limit: int = MAX_NAMED) -> str:
    """Return the first paths and the number of the others, as in `MLmodel, model.pkl and 3 more`."""
    names = ", ".join(short_path(path, _MAX_PHRASE) for path in paths[:limit])
    return f"{names} and {len(paths) - limit:,} more" if len(paths) > limit else names


def in_order(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences sorted by how much they decide about predictions, and rewritten files last.

    Files of which only random names or ids differ, and files whose difference another file explains, come before the
    rewritten files. A rewritten file differs only in what MLflow or the file format changes when the same model is
    saved again.
    """
    return sorted(differences, key=rank)


def rank(difference: Difference) -> tuple[bool, bool, int]:
    """Return the sort key of a difference. More important differences have lower keys."""
    explanation = difference.explanation
    is_explained_elsewhere = explanation is not None and bool(explanation.only_random or explanation.explained_by)
    return bool(difference.rewrite_reason), is_explained_elsewhere, importance_of(difference.path)
