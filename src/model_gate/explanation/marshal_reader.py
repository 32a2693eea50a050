"""Reads the structure of Python's compiled files, to find where the path of the source is. Nothing is unmarshalled."""

from __future__ import annotations

from dataclasses import dataclass, field

from model_gate.explanation.content import UnexplainedError

_MAX_DEPTH = 60
_IS_REFERENCED = 0x80
# Bytes after the type of a value, for values of a fixed size.
_FIXED_SIZES = dict.fromkeys(b"0NFT.S", 0) | {ord("i"): 4, ord("g"): 8, ord("y"): 16}
# Bytes of the length in front of texts and bytes.
_LENGTH_SIZES = dict.fromkeys(b"stuaA", 4) | dict.fromkeys(b"zZ", 1)
_TEXTS = frozenset(b"tuaAzZ")
_INTERNED = frozenset(b"tAZ")
# Bytes of the number of items in front of a collection.
_COUNT_SIZES = dict.fromkeys(b"([<>", 4) | {ord(")"): 1}


@dataclass(frozen=True)
class CodeLayout:
    """How a version of Python writes a code object.

    Attributes:
        numbers: Numbers of 4 bytes at the start.
        values_before: Values between these numbers and the path of the source.
        values_between: Values between the path and the number of the first line.
        values_after: Values after the number of the first line.
    """

    numbers: int
    values_before: int
    values_between: int
    values_after: int


# By the first and the last magic number of a version.
_LAYOUTS = (
    (range(3400, 3450), CodeLayout(6, 6, 1, 1)),  # 3.8, 3.9, 3.10
    (range(3450, 3650), CodeLayout(5, 5, 2, 2)),  # 3.11 to 3.14
)


def code_layout(magic: bytes) -> CodeLayout:
    """Return how the Python of a magic number writes code objects.

    Raises:
        UnexplainedError: The magic number is of no version whose layout is known.
    """
    number = int.from_bytes(magic[:2], "little")
    for numbers, layout in _LAYOUTS:
        if number in numbers and magic[2:] == b"\r\n":
            return layout
    raise UnexplainedError("it is of an unknown version of Python")


@dataclass(frozen=True)
class CodeStructure:
    """A compiled file without the path of its source.

    Attributes:
        path: Path of the source, as in every code object of the file.
        rest: All other bytes, in pieces between the places of the path.
    """

    path: bytes
    rest: tuple[bytes, ...]


def read_structure(data: bytes, layout: CodeLayout) -> CodeStructure:
    """Return the structure of the marshalled code in a compiled file.

    Raises:
        UnexplainedError: The bytes are no marshalled code, code objects have different paths, or a path is also used as
            another value.
    """
    reader = _Reader(data, layout)
    if not data or data[0] & ~_IS_REFERENCED != ord("c"):
        raise UnexplainedError("it does not start with a code object")
    reader.read_value(0)
    return reader.structure()


@dataclass
class _Reader:
    """Walks through marshalled values. Each instance reads one file."""

    data: bytes
    layout: CodeLayout
    _position: int = 0
    # Whether the value of each reference is the path of the source, in the order of the references.
    _references: list[bool] = field(default_factory=list)
    _paths: set[bytes] = field(default_factory=set)
    _rest: list[bytes] = field(default_factory=list)
    _rest_start: int = 0

    def structure(self) -> CodeStructure:
        """Return the structure after the outermost value was read."""
        if self._position != len(self.data):
            raise UnexplainedError("bytes follow its code")
        if len(self._paths) != 1:
            raise UnexplainedError("its code objects come from several sources")
        return CodeStructure(next(iter(self._paths)), (*self._rest, self.data[self._rest_start :]))

    def read_value(self, depth: int) -> None:
        """Read a value that is not the path of a source."""
        if depth > _MAX_DEPTH:
            raise UnexplainedError("it is nested too deeply")
        first = self._take(1)[0]
        kind = first & ~_IS_REFERENCED
        if first & _IS_REFERENCED:
            self._references.append(False)
        if kind == ord("r"):
            if self._reference():
                raise UnexplainedError("it uses the path of its source as a value")
        elif kind == ord("c"):
            self._read_code(depth)
        elif kind in _COUNT_SIZES:
            for _ in range(self._number(_COUNT_SIZES[kind])):
                self.read_value(depth + 1)
        else:
            self._read_plain(kind)

    def _read_plain(self, kind: int) -> None:
        """Read a number, a text or bytes."""
        if kind in _FIXED_SIZES:
            self._take(_FIXED_SIZES[kind])
        elif kind in _LENGTH_SIZES:
            self._take(self._number(_LENGTH_SIZES[kind]))
        elif kind == ord("l"):
            self._take(2 * abs(int.from_bytes(self._take(4), "little", signed=True)))
        else:
            raise UnexplainedError("it has a value of an unknown type")

    def _read_code(self, depth: int) -> None:
        self._take(4 * self.layout.numbers)
        for _ in range(self.layout.values_before):
            self.read_value(depth + 1)
        self._read_path()
        for _ in range(self.layout.values_between):
            self.read_value(depth + 1)
        self._take(4)
        for _ in range(self.layout.values_after):
            self.read_value(depth + 1)

    def _read_path(self) -> None:
        """Read the path of a source. How it is written is kept in the rest, except its length and its characters."""
        first = self._take(1)[0]
        kind = first & ~_IS_REFERENCED
        if kind == ord("r"):
            if not self._reference():
                raise UnexplainedError("it uses another value as the path of its source")
            return
        if kind not in _TEXTS:
            raise UnexplainedError("the path of its source is no text")
        if first & _IS_REFERENCED:
            self._references.append(True)
        self._rest.append(self.data[self._rest_start : self._position - 1])
        self._rest.append(bytes([first & _IS_REFERENCED, kind in _INTERNED]))
        self._paths.add(self._take(self._number(_LENGTH_SIZES[kind])))
        self._rest_start = self._position

    def _reference(self) -> bool:
        """Read the number of a reference, and return whether its value is the path of the source."""
        number = self._number(4)
        if number >= len(self._references):
            raise UnexplainedError("it refers to a value that it does not have")
        return self._references[number]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def _take(self, size: int) -> bytes:
        start, self._position = self._position, self._position + size
        if self._position > len(self.data):
            raise UnexplainedError("it is cut off")
        return self.data[start : self._position]
