"""Values of a binary document by path: scalar values as leaves, and long arrays by their place in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from model_gate.domain.difference import FieldChange
from model_gate.explanation.content import ContentPair
from model_gate.explanation.tensors import ElementBudget, Tensor, compare_tensors
from model_gate.explanation.trees import Leaf, Path, format_path, format_tree, summarize_fields

Values = Mapping[Path, Leaf | Tensor]


def compare_values(
    pair: ContentPair, left: Values, right: Values, name_of: Callable[[Path], str] = format_path
) -> tuple[list[tuple[Path, FieldChange]], bool]:
    """Compare the values of two documents.

    Args:
        pair: The documents, from which the elements of arrays are read.
        left: Values of the left document.
        right: Values of the right document.
        name_of: Returns the name of a path for people.

    Returns:
        The changes with their paths, and whether a number of elements is only a lower bound.
    """
    changes: list[tuple[Path, FieldChange]] = []
    budget, is_cut = ElementBudget(), False
    for path in [*left, *(path for path in right if path not in left)]:
        before, after = left.get(path), right.get(path)
        if isinstance(before, Tensor) and isinstance(after, Tensor):
            if result := compare_tensors(name_of(path), (pair.left, before), (pair.right, after), budget):
                changes.append((path, result[0]))
                is_cut |= result[1]
        elif before != after:
            changes.append((path, FieldChange(name_of(path), _format(before), _format(after))))
    return changes, is_cut


def summarize_values(changes: Sequence[FieldChange]) -> str:
    """Return a phrase with the first two changes and the number of the other changes."""
    # Values that people set come first: they are few, and the arrays follow from them.
    scalars = [change for change in changes if not change.meaning]
    if not scalars:
        more = f", and {len(changes) - 1:,} more" if len(changes) > 1 else ""
        return f"{changes[0].field}: {changes[0].meaning}{more}"
    return summarize_fields(scalars, len(changes), "change")


def _format(value: Leaf | Tensor | None) -> str | None:
    return str(value) if isinstance(value, Tensor) else format_tree(value)
