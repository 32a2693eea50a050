"""YAML documents as MLflow loads them, and whether two loaded documents are the same.

MLflow loads `MLmodel` with the Python parser of PyYAML, which reads some texts differently than libyaml. Only plain
values are constructed, and size, nodes, aliases and depth are bounded.

>>> fields = load_yaml("{run_id: a, model_size_bytes: 0x10}")
>>> fields, is_same(fields, {"run_id": "a", "model_size_bytes": 16.0})
({'run_id': 'a', 'model_size_bytes': 16}, False)
"""

from __future__ import annotations

import io
from collections.abc import Hashable
from datetime import date, datetime
from typing import Any

import yaml

from model_gate.explanation.content import UnexplainedError
from model_gate.explanation.text import MAX_TEXT_BYTES
from model_gate.explanation.trees import shorten
from model_gate.formats.strict_yaml import expanded_nodes

# The Python parser reads a few thousand nodes per second.
MAX_NODES = 20_000
_MAX_DEPTH = 100
# Maximum length of a number in characters. Reading a number in base 60 takes quadratic time.
_MAX_NUMBER = 400
_STANDARD = "tag:yaml.org,2002:"
_NUMBERS = {f"{_STANDARD}int", f"{_STANDARD}float"}


class _BoundedLoader(yaml.SafeLoader):
    """The loader of `yaml.safe_load`, with bounds on the number of nodes in the text and on their depth."""

    def __init__(self, stream: io.StringIO) -> None:
        super().__init__(stream)
        self._count = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._count += 1
        self._depth += 1
        if self._count > MAX_NODES or self._depth > _MAX_DEPTH:
            raise UnexplainedError("it is nested too deeply or too large")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def load_yaml(text: str) -> Any:
    """Return the value of a YAML document as `yaml.safe_load` constructs it.

    Raises:
        UnexplainedError: `yaml.safe_load` would fail, two keys of a mapping are equal, or the document is too large or
            nested too deeply.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise UnexplainedError(f"it is larger than {MAX_TEXT_BYTES:,} bytes")
    # MLflow opens the file as text, which translates line ends.
    loader = _BoundedLoader(io.StringIO(text, newline=None))
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        # An alias counts as all the nodes that it refers to, before any of them is constructed.
        for each in expanded_nodes(node, MAX_NODES):
            _check_node(each, loader)
        return loader.construct_document(node)
    except UnexplainedError:
        raise
    except yaml.MarkedYAMLError as error:
        raise UnexplainedError(f"MLflow cannot load it: {error.problem}") from error
    except Exception as error:  # constructors raise many types of errors, all of which MLflow would raise
        raise UnexplainedError(f"MLflow cannot load it: {shorten(' '.join(str(error).split()))}") from error
    finally:
        loader.dispose()


def _check_node(node: yaml.Node, loader: _BoundedLoader) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and len(node.value) > _MAX_NUMBER:
        raise UnexplainedError("it has a number that is too long")
    if isinstance(node, yaml.MappingNode):
        # A merge key stands for several keys, which other keys may override.
        keys = [loader.construct_object(key, deep=True) for key, _ in node.value if key.tag != f"{_STANDARD}merge"]
        if not all(isinstance(key, Hashable) for key in keys):
            raise UnexplainedError("it has a key that is no plain value")
        # Python takes 1, 1.0 and true for one key.
        if len(set(keys)) < len(keys):
            raise UnexplainedError("it has two keys of which MLflow would load one")


def is_same(left: Any, right: Any) -> bool:
    """Return whether two loaded values have the same types and values. The order of keys is ignored."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        # Keys of different types can be equal in Python, such as 1 and True.
        left_keys, right_keys = ({(type(key), repr(key)): key for key in value} for value in (left, right))
        return left_keys.keys() == right_keys.keys() and all(
            is_same(left[key], right[right_keys[typed]]) for typed, key in left_keys.items()
        )
    if isinstance(left, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    if isinstance(left, str | bytes | int | float | date | datetime | None):
        # Unlike `==`, `repr` distinguishes 0.0 from -0.0 and times of different zones, and gives equal texts for NaN.
        return repr(left) == repr(right)
    return False
