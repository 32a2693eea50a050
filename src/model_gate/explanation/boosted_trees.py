"""Phrases for models of boosted trees: the parameters first, then how many trees changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from model_gate.domain.difference import FieldChange
from model_gate.domain.wording import plural
from model_gate.explanation.trees import Path, format_change, summarize_fields

_TREES = "trees"


def summarize_boosting(settings: Sequence[FieldChange], trees: Sequence[FieldChange], total: int) -> str:
    """Return a phrase with the first two parameters that changed, and the number of trees that changed.

    Args:
        settings: Changes outside of the trees.
        trees: One change for each tree that changed, or the first change in each of them.
        total: Number of trees of the larger model.
    """
    phrases = [summarize_fields(settings, len(settings), "change")] if settings else []
    if trees:
        first = trees[0]
        how = first.meaning or format_change(first)
        where = f"{first.field}: {how}" if first.meaning else f"{first.field} {how}"
        phrases.append(f"{len(trees):,} of {plural(total, 'tree')} changed ({where})")
        if not settings:
            phrases.append("no parameter in the file changed")
    return ", ".join(phrases)


def split_by_tree(changes: Iterable[tuple[Path, FieldChange]]) -> tuple[list[FieldChange], list[FieldChange]]:
    """Return the changes outside of the trees of XGBoost's model, and one change for each tree that changed.

    The number of nodes stands for a tree if it changed, otherwise its first change.
    """
    settings: list[FieldChange] = []
    trees: dict[int, FieldChange] = {}
    for path, change in changes:
        number = tree_number(path)
        if number is None:
            settings.append(change)
        elif number not in trees or path[-1] == "num_nodes":
            trees[number] = change
    # Values that people set come first: they are few, and the arrays follow from them.
    return sorted(settings, key=lambda change: bool(change.meaning)), [trees[number] for number in sorted(trees)]


def tree_number(path: Path) -> int | None:
    """Return the number of the boosted tree in which a path of XGBoost's model is, None if it is outside.

    >>> tree_number(("learner", "gradient_booster", "model", "trees", 3, "tree_param", "num_nodes"))
    3
    """
    for name, number in pairwise(path):
        if name == _TREES and isinstance(number, int):
            return number
    return None


def count_trees(paths: Iterable[Path]) -> int:
    """Return the number of trees in which some paths are."""
    return len({tree_number(path) for path in paths} - {None})
