"""safetensors files: tensors added, removed, of another type or shape, and how many of their elements changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.tensors import MAX_DIMENSIONS, Allowance, Tensor, Type, summary_of_tensors, tensor_change
from model_gate.explanation.trees import MAX_FIELDS, Leaf, Tree, changes, fields_of, shortened

KIND = "safetensors"
_MAX_HEADER_BYTES = 4 * 1024 * 1024
_METADATA = "__metadata__"
_TYPES = {
    "F64": Type("float64", 8, "d"),
    "F32": Type("float32", 4, "f"),
    "F16": Type("float16", 2, "e"),
    "BF16": Type("bfloat16", 2, "f", is_bfloat16=True),
    "F8_E5M2": Type("float8 E5M2", 1),
    "F8_E4M3": Type("float8 E4M3", 1),
    "I64": Type("int64", 8, "q"),
    "I32": Type("int32", 4, "i"),
    "I16": Type("int16", 2, "h"),
    "I8": Type("int8", 1, "b"),
    "U64": Type("uint64", 8, "Q"),
    "U32": Type("uint32", 4, "I"),
    "U16": Type("uint16", 2, "H"),
    "U8": Type("uint8", 1, "B"),
    "BOOL": Type("bool", 1),
}


def matches(pair: ContentPair) -> bool:
    """By the file's name."""
    return PurePosixPath(pair.path).suffix.lower() == ".safetensors"


def explain(pair: ContentPair) -> Explanation:
    """What changed, tensor by tensor."""
    before, after = _read(pair.left), _read(pair.right)
    found = list(fields_of(list(changes(before.metadata, after.metadata, (_METADATA,)))))
    allowance, is_cut = Allowance(), False
    for name in [*before.tensors, *(name for name in after.tensors if name not in before.tensors)]:
        one, other = before.tensors.get(name), after.tensors.get(name)
        if one is None or other is None:
            found.append(FieldChange(shortened(name), str(one) if one else None, str(other) if other else None))
        elif change := tensor_change(shortened(name), (pair.left, one), (pair.right, other), allowance):
            found.append(change[0])
            is_cut |= change[1]
    return Explanation(KIND, _summary(found), tuple(found[:MAX_FIELDS]), is_cut=is_cut or len(found) > MAX_FIELDS)


def _summary(found: list[FieldChange]) -> str:
    tensors = [each for each in found if not each.field.startswith(_METADATA)]
    if not found:
        return "the same tensors, only their order in the file differs"
    if not tensors:
        return "only the metadata differ"
    return summary_of_tensors(tensors)


@dataclass(frozen=True)
class _File:
    """What a header says."""

    metadata: Tree
    tensors: dict[str, Tensor]


def _read(content: Content) -> _File:
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
    tensors = {name: _tensor(entry, 8 + length) for name, entry in header.items()}
    for name, tensor in tensors.items():
        if tensor.offset + tensor.size > content.size:
            raise UnexplainedError(f"its tensor {shortened(name)} ends behind the file's end")
    return _File(metadata, tensors)


def _tensor(entry: Tree, start: int) -> Tensor:
    """The tensor that an entry of the header describes.

    Raises:
        UnexplainedError: It describes none.
    """
    try:
        kind = _TYPES.get(entry["dtype"].text) or Type(shortened(entry["dtype"].text, 20), 1)
        shape = tuple(_number(each) for each in entry["shape"])
        begin, end = (_number(each) for each in entry["data_offsets"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnexplainedError("its header does not describe tensors") from error
    size = end - begin
    if len(shape) > MAX_DIMENSIONS or size < 0:
        raise UnexplainedError("its header describes impossible tensors")
    if entry["dtype"].text not in _TYPES:
        # A type that came later: its bytes can be compared all the same.
        return Tensor(kind, (size,), start + begin)
    tensor = Tensor(kind, shape, start + begin)
    if tensor.size != size:
        raise UnexplainedError("the shapes in its header do not fit the sizes")
    return tensor


def _number(leaf: Tree) -> int:
    if not isinstance(leaf, Leaf) or leaf.type != "number" or not leaf.text.isdecimal() or len(leaf.text) > 18:
        raise ValueError("no size")
    return int(leaf.text)
