"""Explains files that Spark names at random, by the file of the other model that stands for them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from model_gate.comparison.file_comparison import FileComparison, have_same_content
from model_gate.domain.counterparts import RANDOM_IDS, RANDOM_NAMES, RANDOM_ORDERS, find_counterparts, stable_name
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange
from model_gate.explanation import Explainer

_ADVICE = (
    "Spark draws names of files and ids anew whenever it saves a model. Copy the files of the logged model instead of "
    "saving it again."
)
# `.NAME.crc`, which Hadoop writes beside `NAME`.
_CHECKSUM = re.compile(r"((?:.*/)?)\.([^/]+)\.crc")


def explain_renamed(
    comparisons: Sequence[FileComparison], files: Sequence[tuple[str | None, str | None]], explainer: Explainer
) -> list[FileComparison]:
    """Return comparisons of files, in which files with random names are explained by their counterparts.

    The comparisons stay differences: two models whose files have different names are different.

    Args:
        comparisons: The comparisons of files that are on this machine at the same time.
        files: The left and the right file on this machine of each comparison.
        explainer: Explains the difference of a file and its counterpart.
    """
    numbers = {comparison.pair: number for number, comparison in enumerate(comparisons)}
    result = list(comparisons)
    for left_pair, right_pair in find_counterparts(numbers):
        left, right = numbers[left_pair], numbers[right_pair]
        left_file, right_file = files[left][0], files[right][1]
        if left_file is None or right_file is None:
            continue
        inner = (
            Explanation("bytes", "the same bytes", only_random=RANDOM_NAMES)
            if have_same_content(left_file, right_file)
            else explainer.explain(left_pair.path, left_file, right_file)
        )
        result[left] = _with_explanation(comparisons[left], _counterpart(inner, left_pair.path, right_pair.path))
        summary = f"its counterpart is {left_pair.path}"
        explained_by = left_pair.path
        of_counterpart = Explanation(
            inner.kind, summary, only_random=_only_drawn_by_spark(inner), explained_by=explained_by
        )
        result[right] = _with_explanation(comparisons[right], of_counterpart)
    return result


def explain_checksums(differences: Sequence[Difference]) -> list[Difference]:
    """Return the differences. A checksum is explained by its file, if the file has a counterpart with other content."""
    changed = {difference.path for difference in differences if _has_changed_counterpart(difference)}
    return [_as_checksum(difference, changed) for difference in differences] if changed else list(differences)


def _has_changed_counterpart(difference: Difference) -> bool:
    return (
        difference.kind in {DifferenceKind.ONLY_LEFT, DifferenceKind.ONLY_RIGHT}
        and difference.explanation is not None
        and difference.explanation.only_random != RANDOM_NAMES
        and stable_name(difference.path) != difference.path
    )


def _as_checksum(difference: Difference, changed: Collection[str]) -> Difference:
    match = _CHECKSUM.fullmatch(difference.path)
    file = f"{match[1]}{match[2]}" if match else ""
    if file not in changed:
        return difference
    name = file.rpartition("/")[2]
    return replace(difference, explanation=Explanation("bytes", f"the checksum of {name}", explained_by=file))


def _counterpart(inner: Explanation, left: str, right: str) -> Explanation:
    """Return the explanation of a file by its counterpart. It never has a rewrite reason."""
    fields = tuple(replace(field, rewrite_reason="") for field in inner.fields)
    name = FieldChange("name", left, right, meaning="drawn at random when Spark saves a model")
    return replace(
        inner,
        summary=f"compared with its counterpart: {inner.summary}",
        fields=(*fields, name),
        rewrite_reason="",
        rewrite_conditions=(),
        advice=inner.advice or (_ADVICE if _only_drawn_by_spark(inner) else ""),
        only_random=_only_drawn_by_spark(inner),
    )


def _only_drawn_by_spark(inner: Explanation) -> str:
    return inner.only_random if inner.only_random in {RANDOM_NAMES, RANDOM_IDS, RANDOM_ORDERS} else ""


def _with_explanation(comparison: FileComparison, explanation: Explanation) -> FileComparison:
    if comparison.difference is None:
        return comparison
    return comparison._replace(difference=replace(comparison.difference, explanation=explanation))
