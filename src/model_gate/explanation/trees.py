"""What changed between two documents (YAML, JSON), as paths.

Documents are dicts, lists and leaves that tell 1 from 1.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model_gate.domain.difference import FieldChange

MAX_FIELDS = 40
_MAX_VALUE = 200
_MAX_KEY = 100


@dataclass(frozen=True)
class Leaf:
    """A value that holds no others: what it is, as the document's type system calls it, and its text."""

    type: str
    text: str


# dict[str, Tree] | list[Tree] | Leaf, or None where there is nothing.
Tree = Any


@dataclass(frozen=True)
class Change:
    """A place where two documents differ; None where it is not there."""

    path: tuple[str | int, ...]
    left: Tree
    right: Tree


def changes(left: Tree, right: Tree, place: tuple[str | int, ...] = ()) -> Iterator[Change]:
    """Every place where they differ, as deep as both go; `place` is where they are themselves."""
    pending: list[Change] = [Change(place, left, right)]
    while pending:
        change = pending.pop()
        if change.left == change.right:
            continue
        below = list(_below(change))
        if below:
            pending += reversed(below)
        else:
            yield change


def _below(change: Change) -> Iterator[Change]:
    one, other = change.left, change.right
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            yield Change((*change.path, key), one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            yield Change((*change.path, index), _at(one, index), _at(other, index))


def _at(values: Sequence[Tree], index: int) -> Tree:
    return values[index] if index < len(values) else None


def fields_of(found: Sequence[Change]) -> tuple[FieldChange, ...]:
    """The first changes as the report has them."""
    return tuple(
        FieldChange(shown_place(each.path), shown_tree(each.left), shown_tree(each.right))
        for each in found[:MAX_FIELDS]
    )


def shown_place(path: Sequence[str | int]) -> str:
    """A path as in `a.b[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shortened(part, _MAX_KEY)}"
    return shortened(text.removeprefix("."), _MAX_VALUE) or "(all)"


def shown_tree(tree: Tree) -> str | None:
    """A value as short text; None where there is none."""
    if tree is None:
        return None
    if isinstance(tree, Leaf):
        return shortened(tree.text, _MAX_VALUE)
    brackets, noun = ("{}", "key") if isinstance(tree, dict) else ("[]", "item")
    return f"{brackets[0]}{len(tree):,} {noun}{'' if len(tree) == 1 else 's'}{brackets[1]}"


def shortened(text: str, most: int = _MAX_VALUE) -> str:
    """The text, or its beginning."""
    return text if len(text) <= most else text[:most] + "…"


def summary_of(fields: Sequence[FieldChange], count: int, noun: str) -> str:
    """The first changes in one phrase."""
    shown = [f"{each.field} {shown_change(each)}" for each in fields[:2]]
    if any(len(each) > 80 for each in shown):
        shown = [f"{shortened(each.field, 60)} changed" for each in fields[:2]]
    rest = count - len(shown)
    more = f" and {rest:,} more {noun}{'' if rest == 1 else 's'}" if rest else ""
    return ", ".join(shown) + more


def shown_change(change: FieldChange) -> str:
    """From what to what."""
    if change.left is None:
        return f"added ({change.right})"
    if change.right is None:
        return f"removed (was {change.left})"
    return f"{change.left} → {change.right}"
