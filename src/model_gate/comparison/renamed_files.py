"""Explains files that Spark names at random, by the file of the other model that stands for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model_gate.comparison.file_comparison import FileComparison, have_same_content
from model_gate.domain.counterparts import RANDOM_IDS, RANDOM_NAMES, find_counterparts
from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation import Explainer


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
        of_counterpart = Explanation(inner.kind, summary, only_random=_only_drawn_by_spark(inner))
        result[right] = _with_explanation(comparisons[right], of_counterpart)
    return result


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
        only_random=_only_drawn_by_spark(inner),
    )


def _only_drawn_by_spark(inner: Explanation) -> str:
    return inner.only_random if inner.only_random in {RANDOM_NAMES, RANDOM_IDS} else ""


def _with_explanation(comparison: FileComparison, explanation: Explanation) -> FileComparison:
    if comparison.difference is None:
        return comparison
    return comparison._replace(difference=replace(comparison.difference, explanation=explanation))
