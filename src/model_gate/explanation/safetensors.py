"""safetensors files: tensors added, removed, of another type or shape, and how many of their elements changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.wording import plural
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.tensors import (
    MAX_DIMENSIONS,
    ElementBudget,
    ElementType,
    Tensor,
    compare_tensors,
    summarize_tensors,
)
from model_gate.explanation.trees import MAX_FIELDS, Leaf, Tree, field_changes, find_changes, shorten

KIND = "safetensors"
_MAX_HEADER_BYTES = 4 * 1024 * 1024
_METADATA = "__metadata__"
_TYPES = {
    "F64": ElementType("float64", 8, "d"),
    "F32": ElementType("float32", 4, "f"),
    "F16": ElementType("float16", 2, "e"),
    "BF16": ElementType("bfloat16", 2, "f", is_bfloat16=True),
    "F8_E5M2": ElementType("float8 E5M2", 1),
    "F8_E4M3": ElementType("float8 E4M3", 1),
    "I64": ElementType("int64", 8, "q"),
    "I32": ElementType("int32", 4, "i"),
    "I16": ElementType("int16", 2, "h"),
    "I8": ElementType("int8", 1, "b"),
    "U64": ElementType("uint64", 8, "Q"),
    "U32": ElementType("uint32", 4, "I"),
    "U16": ElementType("uint16", 2, "H"),
    "U8": ElementType("uint8", 1, "B"),
    "BOOL": ElementType("bool", 1),
}


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix `.safetensors`."""
    return PurePosixPath(pair.path).suffix.lower() == ".safetensors"


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with the tensors that changed."""
    left, right = _read_header(pair.left), _read_header(pair.right)
    changes = list(field_changes(list(find_changes(left.metadata, right.metadata, (_METADATA,)))))
    budget, is_cut = ElementBudget(), False
    for name in [*left.tensors, *(name for name in right.tensors if name not in left.tensors)]:
        before, after = left.tensors.get(name), right.tensors.get(name)
        label = shorten(name)
        if before is None or after is None:
            changes.append(FieldChange(label, str(before) if before else None, str(after) if after else None))
        elif result := compare_tensors(label, (pair.left, before), (pair.right, after), budget, pair.known):
            changes.append(result[0])
            is_cut |= result[1]
    is_cut = is_cut or len(changes) > MAX_FIELDS
    fields = tuple(changes[:MAX_FIELDS])
    return Explanation(KIND, _summary(changes), fields, is_cut=is_cut, has_same_values=not changes)


def describe(content: Content) -> str:
    """Return the number of tensors in a phrase."""
    return f"a safetensors file with {plural(len(_read_header(content).tensors), 'tensor')}"


def _summary(changes: list[FieldChange]) -> str:
    tensors = [change for change in changes if not change.field.startswith(_METADATA)]
    if not changes:
        return "the same tensors, only their order in the file differs"
    if not tensors:
        return "only the metadata differ"
    return summarize_tensors(tensors)


@dataclass(frozen=True)
class _Header:
    """Metadata and tensors of a safetensors file."""

    metadata: Tree
    tensors: dict[str, Tensor]


def _read_header(content: Content) -> _Header:
    with content.open() as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > _MAX_HEADER_BYTES:
            raise UnexplainedError(f"its header is said to have {length:,} bytes")
        if 8 + length > content.size:
            raise UnexplainedError("its header is cut off")
        header = parse_json(stream.read(length))
    if not isinstance(header, dict):
        raise UnexplainedError("its header is not a mapping of tensors")
    metadata = header.pop(_METADATA, {})
    tensors = {name: _parse_tensor(entry, 8 + length) for name, entry in header.items()}
    for name, tensor in tensors.items():
        if tensor.offset + tensor.size > content.size:
            raise UnexplainedError(f"its tensor {shorten(name)} ends behind the file's end")
    return _Header(metadata, tensors)


def _parse_tensor(entry: Tree, start: int) -> Tensor:
    """Parse the header entry of a tensor.

    Args:
        entry: Value in the header.
        start: Offset of the data section in the file.

    Raises:
        UnexplainedError: The entry does not describe a tensor.
    """
    try:
        kind = _TYPES.get(entry["dtype"].text) or ElementType(shorten(entry["dtype"].text, 20), 1)
        shape = tuple(_parse_number(number) for number in entry["shape"])
        begin, end = (_parse_number(number) for number in entry["data_offsets"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnexplainedError("its header does not describe tensors") from error
    size = end - begin
    if len(shape) > MAX_DIMENSIONS or size < 0:
        raise UnexplainedError("its header describes impossible tensors")
    if entry["dtype"].text not in _TYPES:
        # The bytes of an unknown type can still be compared.
        return Tensor(kind, (size,), start + begin)
    tensor = Tensor(kind, shape, start + begin)
    if tensor.size != size:
        raise UnexplainedError("the shapes in its header do not fit the sizes")
    return tensor


def _parse_number(leaf: Tree) -> int:
    if not isinstance(leaf, Leaf) or leaf.type != "number" or not leaf.text.isdecimal() or len(leaf.text) > 18:
        raise ValueError("no size")
    return int(leaf.text)
