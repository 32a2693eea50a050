"""Python's compiled files (`__pycache__/NAME.cpython-311.pyc`): whether they come from the same source."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.domain.difference import Explanation, FieldChange, RewriteCondition
from model_gate.domain.rewrites import BYTECODE, bytecode_source
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.marshal_reader import CodeStructure, code_layout, read_structure
from model_gate.explanation.one_sided import BYTECODE_KIND
from model_gate.explanation.trees import shorten

KIND = BYTECODE_KIND
_HEADER_BYTES = 16
_MAX_BYTES = 8 * 1024 * 1024


def matches(pair: ContentPair) -> bool:
    """Return whether the path is that of a compiled file beside a Python source."""
    return not pair.is_member and bytecode_source(pair.path) is not None


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with what differs besides the code.

    It has a rewrite reason if only the time and the directory of the source differ. The reason holds on the condition
    that both models have the source, with the same bytes and of the size that both compiled files name.
    """
    source = bytecode_source(pair.path) or ""
    left, right = (_read(content, source.rpartition("/")[2]) for content in (pair.left, pair.right))
    changes = [
        FieldChange(name, before, after)
        for name, before, after in (
            ("Python's magic number", str(left.magic), str(right.magic)),
            ("size of the source", f"{left.source_size:,}", f"{right.source_size:,}"),
        )
        if before != after
    ]
    if left.code.rest != right.code.rest:
        changes.append(FieldChange("code", "one", "another", meaning="compiled from other code, or by another Python"))
    if changes:
        return Explanation(KIND, "compiled from another source, or by another Python", tuple(changes))
    fields = [
        FieldChange(name, before, after, rewrite_reason=BYTECODE.reason)
        for name, before, after in (
            ("time of the source", str(left.source_time), str(right.source_time)),
            ("path of the source", left.path, right.path),
        )
        if before != after
    ]
    names = " and ".join(change.field for change in fields)
    summary = f"only the {names} differ{'s' if len(fields) == 1 else ''}"
    condition = RewriteCondition(source, left.source_size)
    return Explanation(KIND, summary, tuple(fields), rewrite_reason=summary, rewrite_conditions=(condition,))


@dataclass(frozen=True)
class _Compiled:
    """A compiled file.

    Attributes:
        magic: Number of the version of Python.
        source_time: Time of the source when it was compiled, in seconds since 1970.
        source_size: Bytes of the source.
        code: The code without the path of its source.
    """

    magic: int
    source_time: int
    source_size: int
    code: CodeStructure

    @property
    def path(self) -> str:
        return shorten(self.code.path.decode("utf-8", "replace"))


def _read(content: Content, source_name: str) -> _Compiled:
    data = content.read_all(_MAX_BYTES)
    if len(data) < _HEADER_BYTES:
        raise UnexplainedError("it is cut off")
    flags, time, size = (int.from_bytes(data[start : start + 4], "little") for start in (4, 8, 12))
    if flags:
        # Python would load it without a look at the source, or compare a hash of the source.
        raise UnexplainedError("it is bound to its source by a hash, not by time and size")
    code = read_structure(data[_HEADER_BYTES:], code_layout(data[:4]))
    if code.path.replace(b"\\", b"/").rpartition(b"/")[2] != source_name.encode():
        raise UnexplainedError("its code comes from a source with another name")
    return _Compiled(int.from_bytes(data[:2], "little"), time, size, code)
