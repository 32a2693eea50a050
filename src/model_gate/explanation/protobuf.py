"""Reads the fields of protocol buffers without their schema and without a library. Long values are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from model_gate.explanation.content import Content, UnexplainedError

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_SMALL_BYTES = 1024 * 1024


class Field(NamedTuple):
    """A field of a message.

    Attributes:
        number: Number of the field.
        integer: Value of an integer field; the bits of a field of fixed size.
        content: Value of a field of text, bytes or a message; None for other fields.
    """

    number: int
    integer: int
    content: Content | None


class FieldBudget:
    """Number of fields that may still be read, shared by all messages of a file."""

    def __init__(self, fields: int = 200_000) -> None:
        self._fields = fields

    def spend(self) -> None:
        """Count a field.

        Raises:
            UnexplainedError: The budget is spent.
        """
        self._fields -= 1
        if self._fields < 0:
            raise UnexplainedError("it has too many fields")


def read_fields(message: Content, budget: FieldBudget) -> Iterator[Field]:
    """Yield the fields of a message.

    Raises:
        UnexplainedError: The message is damaged or has too many fields.
    """
    if message.size <= _SMALL_BYTES:
        # Reading a small message at once is faster than many reads through several slices.
        message = Content.of_bytes(message.head(message.size))
    position = 0
    with message.open() as stream:
        while position < message.size:
            budget.spend()
            key, size = _read_varint(stream)
            position += size
            number, wire_type = key >> 3, key & 7
            if wire_type == _BYTES:
                length, size = _read_varint(stream)
                position += size
                if not number or position + length > message.size:
                    raise UnexplainedError("it is cut off or damaged")
                yield Field(number, 0, message.slice(position, length))
                position += length
                stream.seek(position)
                continue
            if wire_type == _VARINT:
                value, size = _read_varint(stream)
            elif wire_type in {_FIXED_32, _FIXED_64}:
                size = 4 if wire_type == _FIXED_32 else 8
                value = int.from_bytes(stream.read(size), "little")
            else:
                raise UnexplainedError("it is no protocol buffer")
            position += size
            if not number or position > message.size:
                raise UnexplainedError("it is cut off or damaged")
            yield Field(number, value, None)


def _read_varint(stream: IO[bytes]) -> tuple[int, int]:
    """Read an integer of variable length. Return it and its number of bytes."""
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        byte = stream.read(1)
        if not byte:
            break
        value |= (byte[0] & 0x7F) << (7 * index)
        if byte[0] < 0x80:
            return value, index + 1
    raise UnexplainedError("it is cut off or damaged")
