"""Pickles, compared by their opcodes. Nothing is ever loaded.

Long values are skipped instead of read, so a pickle of any size takes little memory.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, cast

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.wording import byte_count
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.raw_bytes import first_offset, summarize
from model_gate.explanation.trees import MAX_FIELDS, shorten

KIND = "pickle"
_SUFFIXES = frozenset({".pkl", ".pickle", ".cloudpickle", ".joblib", ".dill"})
_PROTO = 0x80
_MAX_OPCODES = 300_000
_MAX_NAME = 200
_MAX_GLOBALS = 20_000
_LONG_BYTES = 64 * 1024
_STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_LOADS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix of a pickle."""
    return PurePosixPath(pair.path).suffix.lower() in _SUFFIXES


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the protocol, the first differing opcode and the classes and functions that changed.

    Returns:
        The explanation, or None if one of the files does not start like a pickle of protocol 2 or later.
    """
    if any(content.head(1) != bytes([_PROTO]) for content in (pair.left, pair.right)):
        return None
    offset = first_offset(pair)
    left, right = (_scan(content, offset or 0) for content in (pair.left, pair.right))
    fields = _changes(left, right)
    summary, is_cut = summarize(pair)
    globals_changed = [change for change in fields if change.field == "global"]
    if globals_changed:
        names = [
            f"{'+' if change.left is None else '−'}{change.left or change.right}" for change in globals_changed[:3]
        ]
        summary += f", globals {', '.join(names)}{' …' if len(globals_changed) > 3 else ''}"
    is_cut = is_cut or left.is_cut or right.is_cut
    return Explanation(KIND, summary, tuple(fields[:MAX_FIELDS]), is_cut=is_cut or len(fields) > MAX_FIELDS)


@dataclass
class _Scan:
    """Facts about one pickle.

    Attributes:
        protocol: Highest protocol that the pickle declares.
        differing: Opcode at the first differing byte, "" if the scan ended before this byte.
        globals: Classes and functions to which the pickle refers.
        is_cut: Whether the scan ended before the pickle did.
    """

    protocol: int = 0
    differing: str = ""
    globals: set[str] = field(default_factory=set)
    is_cut: bool = False


def _changes(left: _Scan, right: _Scan) -> list[FieldChange]:
    changes = []
    if left.protocol != right.protocol:
        changes.append(FieldChange("protocol", str(left.protocol), str(right.protocol)))
    # An incomplete scan cannot show that a global is absent.
    if not left.is_cut and not right.is_cut:
        changes += [
            FieldChange("global", None, name, meaning="only the second refers to it")
            for name in sorted(right.globals - left.globals)
        ]
        changes += [
            FieldChange("global", name, None, meaning="only the first refers to it")
            for name in sorted(left.globals - right.globals)
        ]
    if left.differing or right.differing:
        meaning = f"in the value of {left.differing}" if left.differing == right.differing else ""
        change = FieldChange("first differing opcode", left.differing or None, right.differing or None, meaning=meaning)
        changes.append(change)
    return changes


def _scan(content: Content, offset: int) -> _Scan:
    """Scan the opcodes of a pickle.

    Args:
        content: The pickle.
        offset: Offset of the first differing byte of the pair.

    Raises:
        UnexplainedError: The pickle is truncated or has an invalid opcode.
    """
    scan = _Scan()
    with content.open() as stream:
        reader = _SkippingReader(stream, content.size)
        tracker = _GlobalTracker()
        previous: tuple[str, object, int] | None = None
        try:
            for count, (opcode, argument, position) in enumerate(pickletools.genops(cast(IO[bytes], reader))):
                if previous is not None and previous[2] <= offset < (position or 0):
                    scan.differing = _format_opcode(*previous)
                previous = (opcode.name, argument, position or 0)
                if opcode.name == "PROTO":
                    scan.protocol = max(scan.protocol, int(argument or 0))
                tracker.follow(opcode, argument)
                if count >= _MAX_OPCODES or len(tracker.globals) > _MAX_GLOBALS:
                    scan.is_cut = True
                    break
        except ValueError as error:
            raise UnexplainedError(f"it is no pickle to its end: {shorten(str(error), 120)}") from error
        if previous is not None and not scan.differing and previous[2] <= offset < stream.tell():
            scan.differing = _format_opcode(*previous)
    scan.globals = tracker.globals
    return scan


def _format_opcode(name: str, argument: object, position: int) -> str:
    if isinstance(argument, bytes | bytearray):
        value = f" ({byte_count(len(argument))})"
    elif argument is None or (isinstance(argument, int) and argument.bit_length() > 64):
        # A long number may be decoded from a placeholder, and formatting it may take long.
        value = ""
    else:
        value = f" {shorten(repr(argument), 24)}"
    return f"{name}{value} at byte {position:,}"


class _GlobalTracker:
    """Collects the classes and functions to which a pickle refers.

    The opcode STACK_GLOBAL takes a name from the stack, so the tracker follows the two top values of the stack, and the
    memo, from which a pickle loads earlier values.
    """

    def __init__(self) -> None:
        self.globals: set[str] = set()
        self._top: tuple[str | None, str | None] = (None, None)
        self._memo: dict[int, str | None] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Process the next opcode."""
        name = opcode.name
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top[1]
        elif name in _STORES:
            self._memo[int(str(argument))] = self._top[1]
        elif name in _LOADS:
            self._push(self._memo.get(int(str(argument))))
        elif name in {"GLOBAL", "INST"}:
            self.globals.add(shorten(str(argument).replace(" ", "."), _MAX_NAME))
            self._push(None)
        elif name == "STACK_GLOBAL":
            module, attribute = self._top
            self.globals.add(f"{module}.{attribute}" if module and attribute else "(not a plain name)")
            self._push(None)
        elif opcode.stack_after:
            is_name = isinstance(argument, str) and len(argument) <= _MAX_NAME
            self._push(argument if is_name and isinstance(argument, str) else None)

    def _push(self, text: str | None) -> None:
        self._top = (self._top[1], text)


class _SkippedBytes(bytes):
    """Placeholder for skipped bytes: `len()` returns their number, and the value is a note such as `(70,000 bytes)`."""

    __slots__ = ()

    @classmethod
    def of(cls, size: int) -> _SkippedBytes:
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
            raise UnexplainedError("it is cut off")
        self._stream.seek(position + size)
        return _SkippedBytes.of(size)

    def readline(self) -> bytes:
        """Return the next line, or only the start of a long line."""
        return self._stream.readline(_LONG_BYTES)
