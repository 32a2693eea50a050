"""The opcodes of a pickle, read without loading it.

Long values are skipped instead of read, so a pickle of any size takes little memory.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import IO, NamedTuple, cast

from model_gate.explanation.content import Content, UnexplainedError
from model_gate.explanation.trees import shorten

MAX_OPCODES = 300_000
_LONG_BYTES = 64 * 1024
# Opcodes that keep a value for later, and those that load it again.
STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
LOADS = frozenset({"GET", "BINGET", "LONG_BINGET"})


class Opcode(NamedTuple):
    """An opcode of a pickle.

    Attributes:
        name: Name of the opcode.
        argument: Its value; a placeholder if it is long.
        start: Offset of the opcode in the file.
        end: Offset of the next opcode.
        pushes: Whether it puts a value onto the stack.
        is_value: Whether it takes nothing from the stack.
    """

    name: str
    argument: object
    start: int
    end: int
    pushes: bool
    is_value: bool

    @property
    def is_long(self) -> bool:
        """Whether the argument may be a placeholder, so that only the bytes of the file have the value."""
        return self.end - self.start > _LONG_BYTES


def read_opcodes(content: Content) -> Iterator[Opcode]:
    """Yield the opcodes of a pickle, but no more than 300,001.

    Raises:
        UnexplainedError: The pickle is cut off or has an invalid opcode. The message is the detail.
    """
    with content.open() as stream:
        reader = _SkippingReader(stream, content.size)
        try:
            for count, (opcode, argument, position) in enumerate(pickletools.genops(cast(IO[bytes], reader))):
                yield Opcode(
                    opcode.name,
                    argument,
                    position or 0,
                    reader.tell(),
                    bool(opcode.stack_after),
                    not opcode.stack_before,
                )
                if count >= MAX_OPCODES:
                    return
        except ValueError as error:
            raise UnexplainedError(shorten(str(error), 120)) from error


class SkippedBytes(bytes):
    """Placeholder for skipped bytes: `len()` returns their number, and the value is a note such as `(70,000 bytes)`."""

    __slots__ = ()

    @classmethod
    def of(cls, size: int) -> SkippedBytes:
        """Return a placeholder for `size` bytes."""
        return cls(f"({size:,} bytes)".encode())

    def __len__(self) -> int:
        return int(self[1:].partition(b" ")[0].replace(b",", b""))


class _SkippingReader:
    """The file interface that `pickletools.genops` needs. Reads short values and skips long ones."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._size = size

    def tell(self) -> int:
        """Return the current offset."""
        return self._stream.tell()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, or a placeholder if `size` is large."""
        if size <= _LONG_BYTES:
            return self._stream.read(size)
        position = self._stream.tell()
        if position + size > self._size:
            raise UnexplainedError(f"the value at byte {position:,} ends behind the file's end")
        self._stream.seek(position + size)
        return SkippedBytes.of(size)

    def readline(self) -> bytes:
        """Return the next line, or only the start of a long line."""
        return self._stream.readline(_LONG_BYTES)
