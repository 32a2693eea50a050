"""Strict YAML: a duplicate key is an error, and nesting and aliases are limited.

>>> plain(compose("version: 010"))
{'version': '010'}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

MAX_BYTES = 10 * 1024 * 1024
MAX_NODES = 250_000
_MAX_DEPTH = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class DuplicateKeyError(ValueError):
    """A mapping has a key twice. Line numbers start at 1."""

    def __init__(self, key: str, first: int, second: int) -> None:
        super().__init__(f"the key {key!r} is given twice, on lines {first} and {second}")
        self.key = key
        self.first = first
        self.second = second


def compose(text: str, max_nodes: int = MAX_NODES) -> yaml.Node | None:
    """Return the node tree of one document, with its line numbers; None for an empty document.

    `max_nodes` is the maximum number of nodes. The nodes to which an alias refers are counted at each use.

    Raises:
        yaml.YAMLError: The text is not YAML, or has more than one document.
        DuplicateKeyError: A mapping has a key twice.
        ValueError: The document is too large or too deep, or has a key that is not plain text.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
    _require_shallow(text)
    node = yaml.compose(text, Loader=_LOADER)
    for descendant in expanded_nodes(node, max_nodes):
        if isinstance(descendant, yaml.MappingNode):
            _require_unique_keys(descendant)
    return node


def _require_shallow(text: str) -> None:
    # libyaml recurses without a limit: a hundred thousand brackets would crash the process.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")


def expanded_nodes(root: yaml.Node | None, max_nodes: int) -> Iterator[yaml.Node]:
    """Yield every node as often as it is used: an alias yields the nodes to which it refers once more.

    Raises:
        ValueError: There are more than `max_nodes` nodes, or they are nested too deeply.
    """
    pending = [(root, 0)] if root is not None else []
    count = 0
    while pending:
        node, depth = pending.pop()
        count += 1
        if count > max_nodes or depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply, or its aliases expand without end")
        yield node
        pending += [(child, depth + 1) for child in _children(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _require_unique_keys(node: yaml.MappingNode) -> None:
    seen: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"the key on line {line_of(key)} is not plain text")  # noqa: TRY004  # the document is wrong
        if key.value in seen:
            raise DuplicateKeyError(key.value, line_of(seen[key.value]), line_of(key))
        seen[key.value] = key


def line_of(node: yaml.Node) -> int:
    """Return the first line of a node, counted from 1."""
    return int(node.start_mark.line) + 1


def plain(node: yaml.Node | None) -> Any:
    """Return a node tree as dicts, lists, booleans, None and texts. A number stays a text: `010` does not become 8."""
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [plain(value) for value in node.value]
    if not isinstance(node, yaml.ScalarNode):
        return None
    if node.tag.endswith(":null"):
        return None
    if node.tag.endswith(":bool"):
        return node.value.lower() in {"true", "yes", "on"}
    return str(node.value)
