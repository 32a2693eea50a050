"""Parsed YAML and JSON documents as trees, and the paths at which two trees differ.

A tree is a dict, a list or a `Leaf`. A leaf keeps the type of its value, so 1 and 1.0 differ:

>>> from model_gate.explanation.json_tree import parse_json
>>> [format_path(change.path) for change in find_changes(parse_json('{"a": [1, 2]}'), parse_json('{"a": [1, 2.0]}'))]
['a[1]']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from model_gate.domain.difference import FieldChange
from model_gate.domain.wording import plural

MAX_FIELDS = 40
_MAX_VALUE = 200
_MAX_KEY = 100
_MAX_PHRASE = 110


@dataclass(frozen=True)
class Leaf:
    """A scalar value.

    Attributes:
        type: Name of the type, as the document format calls it.
        text: Value as text.
    """

    type: str
    text: str


# dict[str, Tree] | list[Tree] | Leaf, or None if the value is absent.
Tree = Any
# Keys and indexes from the root of a document to a value.
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """A path at which two trees differ. `left` or `right` is None if that tree has no value at the path."""

    path: tuple[str | int, ...]
    left: Tree
    right: Tree


def find_changes(left: Tree, right: Tree, path: tuple[str | int, ...] = ()) -> Iterator[Change]:
    """Yield every change between two trees.

    If both trees have a mapping at a path, or both have a list, the changes inside it are yielded instead.

    Args:
        left: Left tree.
        right: Right tree.
        path: Path of both trees in their documents, with which every yielded path starts.
    """
    pending: list[Change] = [Change(path, left, right)]
    while pending:
        change = pending.pop()
        if change.left == change.right:
            continue
        children = list(_children(change))
        if children:
            pending += reversed(children)
        else:
            yield change


def _children(change: Change) -> Iterator[Change]:
    left, right = change.left, change.right
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            yield Change((*change.path, key), left.get(key), right.get(key))
    elif isinstance(left, list) and isinstance(right, list):
        for index in range(max(len(left), len(right))):
            yield Change((*change.path, index), _item(left, index), _item(right, index))


def _item(values: Sequence[Tree], index: int) -> Tree:
    return values[index] if index < len(values) else None


def field_changes(changes: Sequence[Change]) -> tuple[FieldChange, ...]:
    """Return the first 40 changes as fields of an explanation; the others are left out."""
    return tuple(
        FieldChange(format_path(change.path), format_tree(change.left), format_tree(change.right))
        for change in changes[:MAX_FIELDS]
    )


def format_path(path: Sequence[str | int]) -> str:
    """Return a path as text, such as `a.b[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shorten(part, _MAX_KEY)}"
    return shorten(text.removeprefix("."), _MAX_VALUE) or "(all)"


def format_tree(tree: Tree) -> str | None:
    """Return a tree as short text: the value of a leaf, otherwise the number of its entries."""
    if tree is None:
        return None
    if isinstance(tree, Leaf):
        return shorten(tree.text, _MAX_VALUE)
    brackets, noun = ("{}", "key") if isinstance(tree, dict) else ("[]", "item")
    return f"{brackets[0]}{plural(len(tree), noun)}{brackets[1]}"


def shorten(text: str, limit: int = _MAX_VALUE) -> str:
    """Return a text, cut after `limit` characters and followed by "…" if it is longer."""
    return text if len(text) <= limit else text[:limit] + "…"


def summarize_fields(fields: Sequence[FieldChange], count: int, noun: str) -> str:
    """Return a phrase with the first two changes and the number of the other changes.

    Args:
        fields: At least the first two changes.
        count: Number of all changes.
        noun: Singular noun for the other changes.
    """
    phrases = [
        phrase if len(phrase) <= _MAX_PHRASE else f"{shorten(field.field, 60)} changed"
        for field in fields[:2]
        for phrase in [f"{field.field} {format_change(field)}"]
    ]
    rest = count - len(phrases)
    more = f"; and {plural(rest, f'more {noun}')}" if rest else ""
    return ", ".join(phrases) + more


def format_change(change: FieldChange) -> str:
    """Return the old and the new value as a phrase."""
    if change.left is None:
        return f"added ({change.right})"
    if change.right is None:
        return f"removed (was {change.left})"
    return f"{change.left} → {change.right}"
