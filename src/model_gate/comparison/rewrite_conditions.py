"""Checks what must hold for other paths of two models, so that a difference is only a rewrite. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import ModelPair
from model_gate.domain.difference import Difference, RewriteCondition
from model_gate.domain.rewrites import REWRITTEN_FIELDS
from model_gate.explanation.trees import summarize_fields


def require_conditions(
    differences: Sequence[Difference], models: ModelPair, files: Sequence[FileComparison]
) -> list[Difference]:
    """Return differences, without the rewrite reason of each whose conditions do not hold.

    Args:
        differences: Differences of the two models.
        models: The models.
        files: The comparisons of all files of the models.
    """
    listings = (models.left.listing.files, models.right.listing.files)
    return [
        _without_rewrite(difference, failed, listings) if failed else difference
        for difference in differences
        for failed in [_first_failed(difference, models, files)]
    ]


def holds(
    condition: RewriteCondition, files: Iterable[FileComparison], listings: tuple[Collection[str], Collection[str]]
) -> bool:
    """Return whether a condition holds for two models.

    A file that is not compared, or that an `ignore` glob matches and that differs, does not meet a condition.

    Args:
        condition: The condition.
        files: The comparisons of the models' files.
        listings: The paths of the left and of the right model.
    """
    if condition.size is None:
        return all(_has_path(listing, condition.path) for listing in listings)
    return any(_is_same_file(file, condition.path, condition.size) for file in files)


def _first_failed(
    difference: Difference, models: ModelPair, files: Sequence[FileComparison]
) -> RewriteCondition | None:
    explanation = difference.explanation
    if not difference.rewrite_reason or explanation is None:
        return None
    listings = (models.left.listing.files, models.right.listing.files)
    return next(
        (condition for condition in explanation.rewrite_conditions if not holds(condition, files, listings)), None
    )


def _has_path(listing: Collection[str], path: str) -> bool:
    return path in listing or any(file.startswith(f"{path}/") for file in listing)


def _is_same_file(file: FileComparison, path: str, size: int) -> bool:
    pair = file.pair
    return (
        (pair.left, pair.right, pair.left_size, pair.right_size) == (path, path, size, size)
        and file.is_compared
        and file.difference is None
    )


def _without_rewrite(
    difference: Difference, failed: RewriteCondition, listings: tuple[Collection[str], Collection[str]]
) -> Difference:
    explanation = difference.explanation
    if explanation is None:
        return replace(difference, rewrite_reason="")
    models = sum(_has_path(listing, failed.path) for listing in listings)
    lacks = ("is in neither model", "is in only one model", "is not the same in both models")[models]
    advice = "" if models == len(listings) else f"Log the model again with {failed.path} in it."
    # The other fields are rewritten on no condition.
    depending = [
        replace(field, rewrite_reason="") for field in explanation.fields if field.field not in REWRITTEN_FIELDS
    ]
    return replace(
        difference,
        rewrite_reason="",
        explanation=replace(
            explanation,
            summary=summarize_fields(depending, len(depending), "field") if depending else explanation.summary,
            fields=(*depending, *(field for field in explanation.fields if field.field in REWRITTEN_FIELDS)),
            rewrite_reason="",
            unmet_condition=f"{failed.path} {lacks}",
            advice=" ".join(filter(None, (explanation.advice, advice))),
        ),
    )
