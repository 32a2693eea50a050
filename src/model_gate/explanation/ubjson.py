"""UBJSON files (XGBoost's `.ubj`): the values that changed.

Arrays are not read into memory; their elements are streamed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO

from model_gate.domain.difference import Explanation
from model_gate.explanation.boosted_trees import count_trees, split_by_tree, summarize_boosting, tree_number
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.located_values import compare_values, summarize_values
from model_gate.explanation.tensors import ElementType, Tensor, format_float32
from model_gate.explanation.trees import MAX_FIELDS, Leaf, shorten

KIND = "UBJSON"
_SUFFIXES = frozenset({".ubj", ".ubjson"})
_MAX_VALUES = 100_000
_MAX_DEPTH = 64
_MAX_TEXT = 64 * 1024
_TYPES = {
    "i": ElementType("int8", 1, "b", order=">"),
    "U": ElementType("uint8", 1, "B", order=">"),
    "I": ElementType("int16", 2, "h", order=">"),
    "l": ElementType("int32", 4, "i", order=">"),
    "L": ElementType("int64", 8, "q", order=">"),
    "d": ElementType("float32", 4, "f", order=">"),
    "D": ElementType("float64", 8, "d", order=">"),
}
_INTEGERS = frozenset("iUIlL")
_CONSTANTS = {"Z": "null", "T": "true", "F": "false"}


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of UBJSON."""
    return PurePosixPath(pair.path).suffix.lower() in _SUFFIXES


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with the paths whose values changed."""
    left, right = (_Reader(content).read() for content in (pair.left, pair.right))
    changes, is_cut = compare_values(pair, left, right)
    if not changes:
        return Explanation(KIND, "the same values, written in another way", has_same_values=True)
    changes.sort(key=lambda item: tree_number(item[0]) is not None)
    settings, trees = split_by_tree(changes)
    total = count_trees([*left, *right])
    summary = summarize_boosting(settings, trees, total) if trees else summarize_values(settings)
    fields = tuple(change for _, change in changes[:MAX_FIELDS])
    return Explanation(KIND, summary, fields, is_cut=is_cut or len(changes) > MAX_FIELDS)


@dataclass
class _Reader:
    """Reads the scalar values of a file, and where its typed arrays are. Each instance reads one file."""

    content: Content
    _values: dict[tuple[str | int, ...], Leaf | Tensor] = field(default_factory=dict)
    _count: int = 0

    def read(self) -> dict[tuple[str | int, ...], Leaf | Tensor]:
        """Return the values by path.

        Raises:
            UnexplainedError: The file is damaged, or has too many values.
        """
        with self.content.open() as stream:
            marker = self._marker(stream)
            if marker not in "{[":
                raise UnexplainedError("it does not start with an object")
            self._value(stream, marker, ())
            if stream.read(1):
                raise UnexplainedError("bytes follow its value")
        return self._values

    def _value(self, stream: IO[bytes], marker: str, path: tuple[str | int, ...]) -> None:
        self._count += 1
        if self._count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise UnexplainedError("it has too many values or is nested too deeply")
        if marker == "{":
            self._object(stream, path)
        elif marker == "[":
            self._array(stream, path)
        else:
            self._values[path] = self._scalar(stream, marker)

    def _object(self, stream: IO[bytes], path: tuple[str | int, ...]) -> None:
        # The leaf of an empty object. The first key replaces it.
        self._values[path] = Leaf("object", "{}")
        keys: set[str] = set()
        marker = self._marker(stream)
        while marker != "}":
            key = self._text(stream, marker)
            self._values.pop(path, None)
            if key in keys:
                raise UnexplainedError("it has a key twice")
            keys.add(key)
            self._value(stream, self._marker(stream), (*path, key))
            marker = self._marker(stream)

    def _array(self, stream: IO[bytes], path: tuple[str | int, ...]) -> None:
        marker = self._marker(stream)
        element_type = ""
        if marker == "$":
            element_type = self._marker(stream)
            marker = self._marker(stream)
        if marker == "#":
            count = self._integer(stream, self._marker(stream))
            if element_type in _TYPES:
                self._typed_array(stream, path, Tensor(_TYPES[element_type], (count,), stream.tell()))
                return
            if element_type or count > _MAX_VALUES:
                raise UnexplainedError("it has an array of an unknown type")
            for index in range(count):
                self._value(stream, self._marker(stream), (*path, index))
            return
        index = 0
        while marker != "]":
            self._value(stream, marker, (*path, index))
            marker = self._marker(stream)
            index += 1

    def _typed_array(self, stream: IO[bytes], path: tuple[str | int, ...], array: Tensor) -> None:
        end = array.offset + array.size
        if end > self.content.size:
            raise UnexplainedError("it is cut off or damaged")
        self._values[path] = array
        stream.seek(end)

    def _scalar(self, stream: IO[bytes], marker: str) -> Leaf:
        if marker in _CONSTANTS:
            return Leaf("constant", _CONSTANTS[marker])
        if marker in _TYPES:
            element_type = _TYPES[marker]
            (number,) = struct.unpack(f">{element_type.code}", self._take(stream, element_type.size))
            return Leaf("number", format_float32(number) if marker == "d" else repr(number))
        if marker == "C":
            return Leaf("text", self._take(stream, 1).decode("latin-1"))
        if marker in "SH":
            return Leaf("text", self._text(stream, self._marker(stream)))
        raise UnexplainedError(f"it has a value of the unknown type {marker!r}")

    def _text(self, stream: IO[bytes], marker: str) -> str:
        size = self._integer(stream, marker)
        if size > _MAX_TEXT:
            raise UnexplainedError(f"it has a text of {size:,} bytes")
        return self._take(stream, size).decode("utf-8", "replace")

    def _integer(self, stream: IO[bytes], marker: str) -> int:
        if marker not in _INTEGERS:
            raise UnexplainedError(f"it has {shorten(marker)!r} in place of a length")
        element_type = _TYPES[marker]
        (number,) = struct.unpack(f">{element_type.code}", self._take(stream, element_type.size))
        if number < 0:
            raise UnexplainedError("it has a negative length")
        return int(number)

    def _marker(self, stream: IO[bytes]) -> str:
        marker = "N"
        while marker == "N":  # no operation
            marker = self._take(stream, 1).decode("latin-1")
        return marker

    def _take(self, stream: IO[bytes], size: int) -> bytes:
        data = stream.read(size)
        if len(data) < size:
            raise UnexplainedError("it is cut off or damaged")
        return data
