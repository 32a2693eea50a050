"""MessagePack files (spaCy's `model`): the layers and values that changed. Long arrays are compared as streams."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import PurePosixPath
from typing import IO

from model_gate.domain.difference import Explanation
from model_gate.domain.wording import byte_count
from model_gate.explanation.content import CHUNK_BYTES, Content, ContentPair, UnexplainedError
from model_gate.explanation.located_values import Values, compare_values, summarize_values
from model_gate.explanation.tensors import MAX_DIMENSIONS, ElementType, Tensor
from model_gate.explanation.trees import MAX_FIELDS, Leaf, Path, format_path, shorten

KIND = "MessagePack"
_SUFFIX = ".msgpack"
_MAX_VALUES = 100_000
_MAX_DEPTH = 64
_MAX_TEXT = 64 * 1024
_MAX_HASHED_BYTES = 256 * 1024 * 1024
# Lengths in front of texts, bytes and collections, by the first byte.
_TEXTS = {0xD9: "B", 0xDA: "H", 0xDB: "I"}
_BYTES = {0xC4: "B", 0xC5: "H", 0xC6: "I"}
_ARRAYS = {0xDC: "H", 0xDD: "I"}
_MAPS = {0xDE: "H", 0xDF: "I"}
_NUMBERS = dict(zip(range(0xCA, 0xD4), "fdBHIQbhiq", strict=True))
_CONSTANTS = {0xC0: "null", 0xC2: "false", 0xC3: "true"}
# Keys with which `msgpack-numpy` writes an array.
_ARRAY_KEYS = frozenset({"nd", "type", "kind", "shape", "data"})
_ELEMENTS = {"f2": "e", "f4": "f", "f8": "d"}
_ELEMENTS |= {f"i{size}": code for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))}
_ELEMENTS |= {f"u{size}": code for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}
_ELEMENT_NAMES = {"f": "float", "i": "int", "u": "uint"}


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of MessagePack, or none and both files start like a mapping."""
    suffix = PurePosixPath(pair.path).suffix.lower()
    if suffix == _SUFFIX:
        return True
    return not suffix and all(_is_map(content.head(1)) for content in (pair.left, pair.right))


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the layers and values that changed, or None if a file is of another kind."""
    try:
        left, right = (_Reader(content).read() for content in (pair.left, pair.right))
    except UnexplainedError:
        if PurePosixPath(pair.path).suffix.lower() == _SUFFIX:
            raise
        return None
    changes, is_cut = compare_values(pair, left, right, partial(_name, left))
    if not changes:
        return Explanation(KIND, "the same values, written in another way", has_same_values=True)
    fields = [change for _, change in changes]
    is_cut = is_cut or len(fields) > MAX_FIELDS
    return Explanation(KIND, summarize_values(fields), tuple(fields[:MAX_FIELDS]), is_cut=is_cut)


def _is_map(start: bytes) -> bool:
    return bool(start) and (0x81 <= start[0] <= 0x8F or start[0] in _MAPS)


def _name(values: Values, path: Path) -> str:
    """Return the name of a path. The parts of thinc's layers are named by their layer."""
    if len(path) > 2 and path[0] in {"params", "attrs", "shims"} and isinstance(path[1], int):
        layer = values.get(("nodes", path[1], "name"))
        if isinstance(layer, Leaf):
            return f"{shorten(layer.text, 60)} (layer {path[1]}).{format_path(path[2:])}"
    return format_path(path)


@dataclass
class _Reader:
    """Reads the scalar values of a file, and where its arrays of numbers are. Each instance reads one file."""

    content: Content
    _values: dict[Path, Leaf | Tensor] = field(default_factory=dict)
    _bytes: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _count: int = 0

    def read(self) -> dict[Path, Leaf | Tensor]:
        """Return the values by path.

        Raises:
            UnexplainedError: The file is damaged, or has too many values.
        """
        with self.content.open() as stream:
            self._value(stream, ())
            if stream.tell() != self.content.size:
                raise UnexplainedError("bytes follow its value")
        self._hash_bytes()
        return self._values

    def _value(self, stream: IO[bytes], path: Path) -> None:
        self._count += 1
        if self._count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise UnexplainedError("it has too many values or is nested too deeply")
        first = self._take(stream, 1)[0]
        if first <= 0x7F or first >= 0xE0:
            self._values[path] = Leaf("number", str(first if first <= 0x7F else first - 0x100))
        elif first <= 0x8F or first in _MAPS:
            self._map(stream, path, first & 0x0F if first <= 0x8F else self._number(stream, _MAPS[first]))
        elif first <= 0x9F or first in _ARRAYS:
            self._array(stream, path, first & 0x0F if first <= 0x9F else self._number(stream, _ARRAYS[first]))
        elif first in _BYTES:
            self._skip(stream, path, self._number(stream, _BYTES[first]))
        else:
            self._values[path] = self._scalar(stream, first)

    def _scalar(self, stream: IO[bytes], first: int) -> Leaf:
        if first in _CONSTANTS:
            return Leaf("constant", _CONSTANTS[first])
        if first in _NUMBERS:
            code = _NUMBERS[first]
            (number,) = struct.unpack(f">{code}", self._take(stream, struct.calcsize(code)))
            return Leaf("number", repr(number))
        return Leaf("text", self._text(stream, first))

    def _map(self, stream: IO[bytes], path: Path, count: int) -> None:
        keys: set[str] = set()
        for _ in range(count):
            key = self._key(stream)
            if key in keys:
                raise UnexplainedError("it has a key twice")
            keys.add(key)
            self._value(stream, (*path, key))
        if keys == _ARRAY_KEYS:
            self._join_array(path)
        elif not keys:
            self._values[path] = Leaf("object", "{}")

    def _array(self, stream: IO[bytes], path: Path, count: int) -> None:
        for index in range(count):
            self._value(stream, (*path, index))
        if not count:
            self._values[path] = Leaf("list", "[]")

    def _skip(self, stream: IO[bytes], path: Path, size: int) -> None:
        start = stream.tell()
        if start + size > self.content.size:
            raise UnexplainedError("it is cut off or damaged")
        self._bytes[path] = start, size
        stream.seek(start + size)

    def _join_array(self, path: Path) -> None:
        """Replace the keys of an array by the array, if it is one of plain numbers."""
        kind = self._values.get((*path, "type"))
        data = self._bytes.get((*path, "data"))
        sizes: list[int] = []
        while (leaf := self._values.get((*path, "shape", len(sizes)))) is not None and len(sizes) < MAX_DIMENSIONS:
            if not isinstance(leaf, Leaf) or not leaf.text.isdecimal():
                return
            sizes.append(int(leaf.text))
        element = _element(kind.text if isinstance(kind, Leaf) else "")
        if element is None or data is None:
            return
        tensor = Tensor(element, tuple(sizes), data[0])
        if tensor.size != data[1]:
            return
        for name in ("nd", "type"):
            self._values.pop((*path, name), None)
        for index in range(len(sizes)):
            del self._values[*path, "shape", index]
        for name in ("kind", "data"):
            self._bytes.pop((*path, name), None)
        self._values[path] = tensor

    def _hash_bytes(self) -> None:
        """Add a value for each remaining range of bytes."""
        if sum(size for _, size in self._bytes.values()) > _MAX_HASHED_BYTES:
            raise UnexplainedError("it has too many bytes besides arrays")
        for path, (start, size) in self._bytes.items():
            digest = sha256()
            with self.content.slice(start, size).open() as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    digest.update(chunk)
            self._values[path] = Leaf("bytes", f"{byte_count(size)}, SHA-256 {digest.hexdigest()}")

    def _key(self, stream: IO[bytes]) -> str:
        first = self._take(stream, 1)[0]
        if first in _BYTES:
            size = self._number(stream, _BYTES[first])
            if size > _MAX_TEXT:
                raise UnexplainedError(f"it has a key of {size:,} bytes")
            return self._utf8(stream, size)
        if first <= 0x7F:
            return str(first)
        if first in _NUMBERS:
            return self._scalar(stream, first).text
        return self._text(stream, first)

    def _text(self, stream: IO[bytes], first: int) -> str:
        if 0xA0 <= first <= 0xBF:
            size = first & 0x1F
        elif first in _TEXTS:
            size = self._number(stream, _TEXTS[first])
        else:
            raise UnexplainedError(f"it has a value of the unknown type {first:#x}")
        if size > _MAX_TEXT:
            raise UnexplainedError(f"it has a text of {size:,} bytes")
        return self._utf8(stream, size)

    def _utf8(self, stream: IO[bytes], size: int) -> str:
        try:
            return self._take(stream, size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnexplainedError("it has a text that is not UTF-8") from error

    def _number(self, stream: IO[bytes], code: str) -> int:
        (number,) = struct.unpack(f">{code}", self._take(stream, struct.calcsize(f">{code}")))
        return int(number)

    def _take(self, stream: IO[bytes], size: int) -> bytes:
        data = stream.read(size)
        if len(data) < size:
            raise UnexplainedError("it is cut off or damaged")
        return data


def _element(text: str) -> ElementType | None:
    """Return the type of an array's elements from NumPy's text for it, such as `<f4`."""
    order, kind = text[:1], text[1:]
    if order not in {"<", ">", "|"} or kind not in _ELEMENTS:
        return None
    name = f"{_ELEMENT_NAMES[kind[0]]}{8 * int(kind[1:])}"
    return ElementType(name, int(kind[1:]), _ELEMENTS[kind], order=">" if order == ">" else "<")
