"""ONNX models: nodes and their attributes, initializers and other fields that changed. Nothing is loaded or run."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation, FieldChange
from model_gate.domain.wording import byte_count
from model_gate.explanation.content import Content, ContentPair, UnexplainedError
from model_gate.explanation.protobuf import Field, FieldBudget, read_fields
from model_gate.explanation.raw_bytes import first_differing_byte
from model_gate.explanation.tensors import (
    MAX_DIMENSIONS,
    ElementBudget,
    ElementType,
    Tensor,
    compare_tensors,
    format_float32,
    summarize_tensors,
)
from model_gate.explanation.trees import MAX_FIELDS, shorten, summarize_fields

KIND = "ONNX"
_MAX_TEXT = 4 * 1024
_MAX_LIST = 20
# Numbers of the fields in `onnx.proto`, by what they hold.
_GRAPH = 7
_MODEL_INTEGERS = {1: "IR version", 5: "model version"}
_MODEL_TEXTS = {2: "producer", 3: "producer version", 4: "domain", 6: "documentation"}
_OPERATOR_SET, _METADATA = 8, 14
_NODE, _GRAPH_NAME, _INITIALIZER = 1, 2, 5
_GRAPH_VALUES = {11: "input", 12: "output", 13: "value"}
_NODE_LISTS = {1: "inputs", 2: "outputs"}
_NODE_TEXTS = {3: "name", 4: "operator", 7: "domain"}
_NODE_ATTRIBUTE = 5
# One value and a list of values: floats, integers and texts.
_ATTRIBUTE_NAME, _FLOAT, _FLOATS, _INTEGER, _INTEGERS, _STRING, _STRINGS = 1, 2, 7, 3, 8, 4, 9
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _EXTERNAL_DATA = 1, 2, 8, 13
# Floats, raw data and doubles. Floats and doubles are packed as in the raw form.
_TENSOR_DATA = frozenset({4, 9, 10})
_TYPES = {
    1: ElementType("float32", 4, "f"),
    2: ElementType("uint8", 1, "B"),
    3: ElementType("int8", 1, "b"),
    4: ElementType("uint16", 2, "H"),
    5: ElementType("int16", 2, "h"),
    6: ElementType("int32", 4, "i"),
    7: ElementType("int64", 8, "q"),
    9: ElementType("bool", 1),
    10: ElementType("float16", 2, "e"),
    11: ElementType("float64", 8, "d"),
    12: ElementType("uint32", 4, "I"),
    13: ElementType("uint64", 8, "Q"),
    16: ElementType("bfloat16", 2, "f", is_bfloat16=True),
}


def matches(pair: ContentPair) -> bool:
    """Return whether the path has the suffix `.onnx`."""
    return PurePosixPath(pair.path).suffix.lower() == ".onnx"


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with the nodes, initializers and other fields that changed."""
    left, right = (_read_model(content) for content in (pair.left, pair.right))
    changes = [
        *_compare_texts(left.facts, right.facts),
        *_compare_nodes(left.nodes, right.nodes),
        *_compare_contents(left.others, right.others),
    ]
    weights, is_cut = _compare_initializers(left.initializers, right.initializers)
    fields = changes + weights
    if not fields:
        return Explanation(KIND, "the same nodes and initializers, written in another way", has_same_values=True)
    phrases = [summarize_fields(changes, len(changes), "change")] if changes else []
    if weights:
        phrases.append(summarize_tensors(weights))
    is_cut = is_cut or len(fields) > MAX_FIELDS
    return Explanation(KIND, "; ".join(phrases), tuple(fields[:MAX_FIELDS]), is_cut=is_cut)


@dataclass
class _Model:
    """The parts of a model.

    Attributes:
        facts: Short values of the model, by name.
        nodes: Nodes of the main graph, by name.
        initializers: Weights of the main graph, by name.
        others: Other fields of the model and of the graph, by name.
    """

    facts: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    initializers: dict[str, tuple[Content, Tensor]] = field(default_factory=dict)
    others: dict[str, Content] = field(default_factory=dict)


def _read_model(content: Content) -> _Model:
    model, budget = _Model(), FieldBudget()
    for entry in read_fields(content, budget):
        if entry.content is None:
            model.facts[_MODEL_INTEGERS.get(entry.number, f"field {entry.number}")] = str(entry.integer)
        elif entry.number == _GRAPH:
            _read_graph(entry.content, model, budget)
        elif entry.number in _MODEL_TEXTS:
            model.facts[_MODEL_TEXTS[entry.number]] = _text(entry)
        elif entry.number == _OPERATOR_SET:
            values = _values(entry.content, budget)
            model.facts[f"operator set {values.get(1) or 'ai.onnx'}"] = values.get(2, "")
        elif entry.number == _METADATA:
            values = _values(entry.content, budget)
            model.facts[f"metadata {values.get(1, '')}"] = values.get(2, "")
        else:
            model.others[_unused(f"field {entry.number}", model.others)] = entry.content
    if not model.nodes:
        raise UnexplainedError("it has no nodes")
    return model


def _read_graph(graph: Content, model: _Model, budget: FieldBudget) -> None:
    for entry in read_fields(graph, budget):
        if entry.content is None:
            continue
        if entry.number == _NODE:
            node = _read_node(entry.content, budget)
            outputs = f"making {node['outputs']}"
            name = f"node {node.pop('name', '') or outputs} ({node['operator']})"
            model.nodes[_unused(name, model.nodes)] = node
        elif entry.number == _INITIALIZER:
            name, tensor = _read_tensor(entry.content, budget)
            model.initializers[_unused(name, model.initializers)] = tensor
        elif entry.number == _GRAPH_NAME:
            model.facts["graph name"] = _text(entry)
        elif entry.number in _GRAPH_VALUES:
            name = f"{_GRAPH_VALUES[entry.number]} {_values(entry.content, budget).get(1, '')}"
            model.others[_unused(name, model.others)] = entry.content
        else:
            model.others[_unused(f"graph field {entry.number}", model.others)] = entry.content


def _read_node(node: Content, budget: FieldBudget) -> dict[str, str]:
    """Return the name, operator, inputs, outputs and attributes of a node as texts."""
    lists: dict[str, list[str]] = {"inputs": [], "outputs": []}
    result = {"operator": ""}
    for entry in read_fields(node, budget):
        if entry.content is None:
            continue
        if entry.number in _NODE_LISTS:
            lists[_NODE_LISTS[entry.number]].append(_text(entry))
        elif entry.number in _NODE_TEXTS:
            result[_NODE_TEXTS[entry.number]] = _text(entry)
        elif entry.number == _NODE_ATTRIBUTE:
            name, value = _read_attribute(entry.content, budget)
            result[name] = value
        else:
            result[f"field {entry.number}"] = _text(entry)
    return result | {name: ", ".join(texts) for name, texts in lists.items()}


def _read_attribute(attribute: Content, budget: FieldBudget) -> tuple[str, str]:
    """Return the name and the value of an attribute.

    A tensor, a graph and a packed list are returned as a hash. After the first values of a long list, a hash of all
    values follows, so that two values are the same text only if the attributes are the same.
    """
    name, values = "", []
    for entry in read_fields(attribute, budget):
        if entry.number == _ATTRIBUTE_NAME:
            name = _text(entry)
        elif entry.number in {_FLOAT, _FLOATS} and entry.content is None:
            values.append(_format_float((entry.integer % (1 << 32)).to_bytes(4, "little")))
        elif entry.number in {_INTEGER, _INTEGERS} and entry.content is None:
            values.append(str(entry.integer - (1 << 64) if entry.integer >> 63 else entry.integer))
        elif entry.number in {_STRING, _STRINGS}:
            values.append(repr(_text(entry)))
        elif entry.number == _FLOATS and entry.content is not None and entry.content.size <= 4 * _MAX_LIST:
            data = entry.content.head(4 * _MAX_LIST)
            values += [_format_float(data[start : start + 4]) for start in range(0, len(data) - 3, 4)]
        elif entry.content is not None:
            values.append(f"{entry.content.size:,} bytes ({_fingerprint(entry.content)})")
    if len(values) <= _MAX_LIST:
        return name, ", ".join(values)
    hash_of_all = _fingerprint(Content.of_bytes("\0".join(values).encode("utf-8", "surrogatepass")))
    return name, f"{', '.join(values[:_MAX_LIST])} … ({len(values):,} values, {hash_of_all})"


def _read_tensor(message: Content, budget: FieldBudget) -> tuple[str, tuple[Content, Tensor]]:
    """Return the name of an initializer, with the content that has its elements."""
    name, shape, element_type = "", [], 0
    data = Content.of_bytes(b"")
    other = ""
    for entry in read_fields(message, budget):
        if entry.number == _TENSOR_SHAPE:
            shape += [entry.integer] if entry.content is None else _packed_integers(entry.content, budget)
        elif entry.number == _TENSOR_TYPE:
            element_type = entry.integer
        elif entry.number == _TENSOR_NAME:
            name = _text(entry)
        elif entry.number in _TENSOR_DATA and entry.content is not None:
            data = entry.content
        elif entry.number == _EXTERNAL_DATA and entry.content is not None:
            values = _values(entry.content, budget)
            other += f", {values.get(1, '')} {values.get(2, '')}"
    element = _TYPES.get(element_type)
    tensor = Tensor(element, tuple(shape), 0, other) if element and len(shape) <= MAX_DIMENSIONS else None
    if tensor is None or (tensor.size != data.size and not other):
        tensor = Tensor(ElementType(f"type {element_type}", 1), (data.size or message.size,), 0, other)
        data = data if data.size else message
    if other:
        # The elements are in another file, which is compared like any other.
        tensor = Tensor(ElementType(tensor.type.name, tensor.type.size), tensor.shape, 0, f"elsewhere{other}")
    return name, (data, tensor)


def _packed_integers(content: Content, budget: FieldBudget) -> list[int]:
    """Return integers that are packed into one field."""
    # A key in front of each integer makes it a field.
    data = content.read_all(_MAX_TEXT)
    keyed, is_start = bytearray(), True
    for byte in data:
        keyed += b"\x08" if is_start else b""
        keyed.append(byte)
        is_start = byte < 0x80
    return [entry.integer for entry in read_fields(Content.of_bytes(bytes(keyed)), budget)]


def _values(message: Content, budget: FieldBudget) -> dict[int, str]:
    """Return the texts and integers of a message, by field number."""
    return {
        entry.number: _text(entry) if entry.content is not None else str(entry.integer)
        for entry in read_fields(message, budget)
    }


def _text(entry: Field) -> str:
    if entry.content is None:
        return str(entry.integer)
    text = entry.content.head(_MAX_TEXT).decode("utf-8", "replace")
    # The hash is of the whole text, so that two long texts are the same only if all of their bytes are.
    is_whole = entry.content.size <= _MAX_TEXT
    return text if is_whole else f"{text}… {entry.content.size:,} bytes ({_fingerprint(entry.content)})"


def _format_float(data: bytes) -> str:
    (number,) = struct.unpack("<f", data[:4])
    return format_float32(number)


def _fingerprint(content: Content) -> str:
    digest = sha256()
    with content.open() as stream:
        while chunk := stream.read(_MAX_TEXT):
            digest.update(chunk)
    return digest.hexdigest()[:8]


def _unused(name: str, names: Mapping[str, object]) -> str:
    """Return a name that no other part has."""
    name, number = shorten(name), 2
    unused = name
    while unused in names:
        unused, number = f"{name} #{number}", number + 1
    return unused


def _compare_texts(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[FieldChange]:
    for name in [*left, *(name for name in right if name not in left)]:
        before, after = left.get(name), right.get(name)
        if before != after:
            yield FieldChange(name, _short(before), _short(after))


def _short(text: str | None) -> str | None:
    return None if text is None else shorten(text)


def _compare_nodes(
    left: Mapping[str, Mapping[str, str]], right: Mapping[str, Mapping[str, str]]
) -> Iterator[FieldChange]:
    for name in [*left, *(name for name in right if name not in left)]:
        before, after = left.get(name), right.get(name)
        if before is None or after is None:
            yield FieldChange(name, None if before is None else "there", None if after is None else "there")
        else:
            for change in _compare_texts(before, after):
                yield FieldChange(f"{name}.{change.field}", change.left, change.right)


def _compare_contents(left: Mapping[str, Content], right: Mapping[str, Content]) -> Iterator[FieldChange]:
    for name in [*left, *(name for name in right if name not in left)]:
        before, after = left.get(name), right.get(name)
        if before is None or after is None or first_differing_byte(before, after) is not None:
            yield FieldChange(name, _size(before), _size(after))


def _size(content: Content | None) -> str | None:
    return None if content is None else byte_count(content.size)


def _compare_initializers(
    left: Mapping[str, tuple[Content, Tensor]], right: Mapping[str, tuple[Content, Tensor]]
) -> tuple[list[FieldChange], bool]:
    changes: list[FieldChange] = []
    budget, is_cut = ElementBudget(), False
    for name in [*left, *(name for name in right if name not in left)]:
        before, after = left.get(name), right.get(name)
        if before is None or after is None:
            changes.append(FieldChange(name, before and str(before[1]), after and str(after[1])))
        elif before[1].layout != after[1].layout:
            changes.append(FieldChange(name, str(before[1]), str(after[1])))
        elif (before[0].size or after[0].size) and (result := compare_tensors(name, before, after, budget)):
            changes.append(result[0])
            is_cut |= result[1]
    return changes, is_cut
