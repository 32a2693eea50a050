"""Pickles, by their opcodes alone: nothing is ever loaded.

Long values are skipped, not read, so that a pickle of any size is gone through in little memory.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, cast

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.wording import byte_count
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.raw_bytes import first_differing_byte, summarize
from model_gate.explanation.trees import shortened

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
    """By the file's name."""
    return PurePosixPath(pair.path).suffix.lower() in _SUFFIXES


def explain(pair: ContentPair) -> Explanation | None:
    """Protocol, first differing opcode, globals; None if it does not begin as pickles of our time do."""
    if any(content.head(1) != bytes([_PROTO]) for content in (pair.left, pair.right)):
        return None
    offset = first_differing_byte(pair.left, pair.right)
    left, right = (_scan(content, offset or 0) for content in (pair.left, pair.right))
    fields = list(_changed(left, right))
    summary, is_cut = summarize(pair)
    globals_changed = [each for each in fields if each.field == "global"]
    if globals_changed:
        shown = [f"{'+' if each.left is None else '−'}{each.left or each.right}" for each in globals_changed[:3]]
        summary += f", globals {', '.join(shown)}{' …' if len(globals_changed) > 3 else ''}"
    is_cut = is_cut or left.is_cut or right.is_cut
    return Explanation(KIND, summary, tuple(fields[:40]), is_cut=is_cut or len(fields) > 40)


@dataclass
class _Scan:
    """What the opcodes of one pickle say."""

    protocol: int = 0
    differing: str = ""
    globals: set[str] = field(default_factory=set)
    is_cut: bool = False


def _changed(left: _Scan, right: _Scan) -> list[FieldChange]:
    found = []
    if left.protocol != right.protocol:
        found.append(FieldChange("protocol", str(left.protocol), str(right.protocol)))
    # Of a pickle that was not gone through to its end it is not known what it does not refer to.
    if not left.is_cut and not right.is_cut:
        found += [
            FieldChange("global", None, name, meaning="only the second refers to it")
            for name in sorted(right.globals - left.globals)
        ]
        found += [
            FieldChange("global", name, None, meaning="only the first refers to it")
            for name in sorted(left.globals - right.globals)
        ]
    if left.differing or right.differing:
        meaning = f"in the value of {left.differing}" if left.differing == right.differing else ""
        change = FieldChange("first differing opcode", left.differing or None, right.differing or None, meaning=meaning)
        found.append(change)
    return found


def _scan(content: Content, offset: int) -> _Scan:
    """Go through the opcodes; `offset` is where the two pickles begin to differ.

    Raises:
        UnexplainedError: It is cut off, or not a pickle to its end.
    """
    scan = _Scan()
    with content.open() as stream:
        reader = _Reader(stream, content.size)
        names = _Names()
        before: tuple[str, object, int] | None = None
        try:
            for count, (opcode, argument, position) in enumerate(pickletools.genops(cast(IO[bytes], reader))):
                if before is not None and before[2] <= offset < (position or 0):
                    scan.differing = _shown(*before)
                before = (opcode.name, argument, position or 0)
                if opcode.name == "PROTO":
                    scan.protocol = max(scan.protocol, int(argument or 0))
                names.see(opcode, argument)
                if count >= _MAX_OPCODES or len(names.globals) > _MAX_GLOBALS:
                    scan.is_cut = True
                    break
        except ValueError as error:
            raise UnexplainedError(f"it is no pickle to its end: {shortened(str(error), 120)}") from error
        if before is not None and not scan.differing and before[2] <= offset < stream.tell():
            scan.differing = _shown(*before)
    scan.globals = names.globals
    return scan


def _shown(name: str, argument: object, position: int) -> str:
    if isinstance(argument, bytes | bytearray):
        value = f" ({byte_count(len(argument))})"
    elif argument is None or (isinstance(argument, int) and argument.bit_length() > 64):
        # A long number may stand for one that was skipped, and could take long to be written.
        value = ""
    else:
        value = f" {shortened(repr(argument), 24)}"
    return f"{name}{value} at byte {position:,}"


class _Names:
    """Follows the texts on the stack just far enough to know what STACK_GLOBAL refers to."""

    def __init__(self) -> None:
        self.globals: set[str] = set()
        self._last: tuple[str | None, str | None] = (None, None)
        self._memo: dict[int, str | None] = {}

    def see(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """The next opcode."""
        name = opcode.name
        if name == "MEMOIZE":
            self._memo[len(self._memo)] = self._last[1]
        elif name in _STORES:
            self._memo[int(str(argument))] = self._last[1]
        elif name in _LOADS:
            self._push(self._memo.get(int(str(argument))))
        elif name in {"GLOBAL", "INST"}:
            self.globals.add(shortened(str(argument).replace(" ", "."), _MAX_NAME))
            self._push(None)
        elif name == "STACK_GLOBAL":
            module, attribute = self._last
            self.globals.add(f"{module}.{attribute}" if module and attribute else "(not a plain name)")
            self._push(None)
        elif opcode.stack_after:
            is_name = isinstance(argument, str) and len(argument) <= _MAX_NAME
            self._push(argument if is_name and isinstance(argument, str) else None)

    def _push(self, text: str | None) -> None:
        self._last = (self._last[1], text)


class _Skipped(bytes):
    """Stands for bytes that were skipped: it is as long as they are, and says so where it is shown."""

    __slots__ = ()

    @classmethod
    def of(cls, size: int) -> _Skipped:
        """In place of `size` bytes."""
        return cls(f"({size:,} bytes)".encode())

    def __len__(self) -> int:
        return int(self[1:].partition(b" ")[0].replace(b",", b""))


class _Reader:
    """What `genops` reads from: short values are read, long ones skipped."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._size = size

    def tell(self) -> int:
        """Where the next opcode is."""
        return self._stream.tell()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if size <= _LONG_BYTES:
            return self._stream.read(size)
        position = self._stream.tell()
        if position + size > self._size:
            raise UnexplainedError("it is cut off")
        self._stream.seek(position + size)
        return _Skipped.of(size)

    def readline(self) -> bytes:
        """The next line."""
        return self._stream.readline(_LONG_BYTES)
