"""Parquet files, as Spark ML writes them: whether the columns or only their description in the footer differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_gate.domain.counterparts import RANDOM_ORDERS
from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.wording import byte_count
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.raw_bytes import first_differing_byte, summarize

KIND = "Parquet"
_MAGIC = b"PAR1"
_MAX_FOOTER_BYTES = 4 * 1024 * 1024
_MAX_VALUES = 200_000
_MAX_DEPTH = 24
_MAX_VARINT_BYTES = 10
# Types of Thrift's compact protocol.
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = frozenset({4, 5, 6})
# Numbers of fields on the way from the footer to the list of the encodings of a column:
# `FileMetaData.row_groups[].columns[].meta_data.encodings`.
_ENCODINGS = (4, 1, 3, 2)


def matches(pair: ContentPair) -> bool:
    """Return whether both files start like Parquet files."""
    return all(content.head(4) == _MAGIC for content in (pair.left, pair.right))


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation that says whether the columns differ, or only the footer."""
    left, right = (_split(content) for content in (pair.left, pair.right))
    summary, is_cut = summarize(pair)
    if left.columns.size != right.columns.size or first_differing_byte(left.columns, right.columns) is not None:
        return Explanation(KIND, f"{summary}, the columns differ", is_cut=is_cut)
    footers = [_Reader(footer).read() for footer in (left.footer, right.footer)]
    if footers[0] == footers[1]:
        summary = "the same columns, only the order of their encodings in the footer differs, which is random"
        return Explanation(KIND, summary, only_random=RANDOM_ORDERS)
    before, after = (byte_count(len(parts.footer)) for parts in (left, right))
    change = FieldChange("footer", before, after, meaning="the description of the columns")
    return Explanation(KIND, f"{summary}, the columns have the same bytes, and their description differs", (change,))


@dataclass(frozen=True)
class _Parts:
    """The columns of a file, and the footer that describes them."""

    columns: Content
    footer: bytes


def _split(content: Content) -> _Parts:
    if content.size < 12:
        raise UnexplainedError("it is cut off")
    with content.slice(content.size - 8, 8).open() as stream:
        end = stream.read(8)
    size = int.from_bytes(end[:4], "little")
    start = content.size - 8 - size
    if end[4:] != _MAGIC or start < len(_MAGIC):
        raise UnexplainedError("it is cut off or damaged")
    return _Parts(content.slice(0, start), content.slice(start, size).read_all(_MAX_FOOTER_BYTES))


@dataclass
class _Reader:
    """Reads the values of a footer in Thrift's compact protocol. Each instance reads one footer."""

    data: bytes
    _position: int = 0
    _count: int = 0

    def read(self) -> Any:
        """Return the values, in which the encodings of each column are sorted.

        Raises:
            UnexplainedError: The footer is damaged, or has too many values.
        """
        value = self._struct((), 0)
        if self._position != len(self.data):
            raise UnexplainedError("bytes follow the values of its footer")
        return value

    def _struct(self, path: tuple[int, ...], depth: int) -> Any:
        fields = []
        number = 0
        while header := self._take(1)[0]:
            step, kind = header >> 4, header & 0x0F
            number = number + step if step else self._integer()
            fields.append((number, kind, self._value(kind, (*path, number), depth, is_field=True)))
        return tuple(fields)

    def _value(self, kind: int, path: tuple[int, ...], depth: int, *, is_field: bool = False) -> Any:
        self._count += 1
        if self._count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise UnexplainedError("its footer has too many values or is nested too deeply")
        if kind in {_TRUE, _FALSE}:
            # The type of a field has its value.
            return None if is_field else self._take(1)
        if kind in _INTEGERS:
            return self._integer()
        if kind in {_BYTE, _DOUBLE}:
            return self._take(1 if kind == _BYTE else 8)
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in {_LIST, _SET}:
            return self._list(path, depth)
        if kind == _STRUCT:
            return self._struct(path, depth + 1)
        raise UnexplainedError("its footer has a value of an unknown type")

    def _list(self, path: tuple[int, ...], depth: int) -> Any:
        header = self._take(1)[0]
        size, kind = header >> 4, header & 0x0F
        size = self._varint() if size == 15 else size
        if size > _MAX_VALUES:
            raise UnexplainedError("its footer has too many values")
        items = [self._value(kind, path, depth + 1) for _ in range(size)]
        return kind, tuple(sorted(items) if path == _ENCODINGS and kind in _INTEGERS else items)

    def _integer(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        value = 0
        for index in range(_MAX_VARINT_BYTES):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value
        raise UnexplainedError("its footer is damaged")

    def _take(self, size: int) -> bytes:
        start, self._position = self._position, self._position + size
        if self._position > len(self.data):
            raise UnexplainedError("its footer is cut off or damaged")
        return self.data[start : self._position]
