"""Names of the tensors in PyTorch's archives, from `data.pkl` or the config of weights. Nothing is unpickled."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.explanation.content import Content
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.pickle_objects import Atom, PickledObject, Value, read_pickle
from model_gate.explanation.tensors import ElementType
from model_gate.explanation.trees import Leaf

_TYPES = {
    "DoubleStorage": ElementType("float64", 8, "d"),
    "FloatStorage": ElementType("float32", 4, "f"),
    "HalfStorage": ElementType("float16", 2, "e"),
    "BFloat16Storage": ElementType("bfloat16", 2, "f", is_bfloat16=True),
    "LongStorage": ElementType("int64", 8, "q"),
    "IntStorage": ElementType("int32", 4, "i"),
    "ShortStorage": ElementType("int16", 2, "h"),
    "CharStorage": ElementType("int8", 1, "b"),
    "ByteStorage": ElementType("uint8", 1, "B"),
    "BoolStorage": ElementType("bool", 1),
}
# Numbers of the types in `torch._export.serde.schema.ScalarType`.
_EXPORTED_TYPES = {
    "1": "ByteStorage",
    "2": "CharStorage",
    "3": "ShortStorage",
    "4": "IntStorage",
    "5": "LongStorage",
    "6": "HalfStorage",
    "7": "FloatStorage",
    "8": "DoubleStorage",
    "12": "BoolStorage",
    "13": "BFloat16Storage",
}
_MAX_CONFIG_BYTES = 16 * 1024 * 1024
# Attributes of modules that do not belong to the name of a tensor, as in `state_dict()`.
_UNNAMED = frozenset({"_parameters", "_buffers", "_modules"})
_MAX_PARTS = 30


@dataclass(frozen=True)
class NamedStorage:
    """The bytes of one or more tensors.

    Attributes:
        name: Name of the first tensor with these bytes, such as `encoder.0.weight`.
        element: Type of the elements, None if it is unknown.
    """

    name: str
    element: ElementType | None


def named_storages(pickle: Content) -> dict[str, NamedStorage]:
    """Return the storages of a `data.pkl`, by the name of the member with their bytes (`0` for `data/0`).

    Raises:
        UnexplainedError: The pickle is damaged, too large, or has an opcode that PyTorch does not write.
    """
    names: dict[str, NamedStorage] = {}
    seen: set[int] = set()
    pending: list[tuple[Value, tuple[str, ...]]] = [(read_pickle(pickle).root, ())]
    while pending:
        value, path = pending.pop()
        # An object can be in many places. The first place gives its name.
        if isinstance(value, Atom) or id(value) in seen or len(path) >= _MAX_PARTS:
            continue
        seen.add(id(value))
        if value.kind == "persistent":
            names |= {key: storage for key, storage in _storage(value, path).items() if key not in names}
        else:
            pending += [
                (part.value, _extended(path, part.key)) for part in reversed(value.parts) if part.role != "class"
            ]
    return names


def _storage(value: PickledObject, path: tuple[str, ...]) -> dict[str, NamedStorage]:
    """Return the storage of a persistent id: `storage`, type, key, device, number of elements."""
    identifier = value.parts[0].value
    items = identifier.of_role("item") if isinstance(identifier, PickledObject) else []
    texts = [item.value if isinstance(item, Atom) else None for item in items]
    if len(texts) < 3 or texts[0] != "storage" or not isinstance(texts[2], str):
        return {}
    element_type = texts[1][-1] if isinstance(texts[1], tuple) else ""
    return {texts[2]: NamedStorage(".".join(path), _TYPES.get(str(element_type).rpartition(".")[2]))}


def exported_weights(config: Content) -> dict[str, NamedStorage]:
    """Return the weights of an exported program (`.pt2`), by the names of the members beside its `config`.

    Raises:
        UnexplainedError: The config is not as `torch.export` writes it.
    """
    tree = parse_json(config.read_all(_MAX_CONFIG_BYTES))
    entries = tree.get("config") if isinstance(tree, dict) else None
    names: dict[str, NamedStorage] = {}
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        member = entry.get("path_name") if isinstance(entry, dict) else None
        meta = entry.get("tensor_meta") if isinstance(entry, dict) else None
        element_type = meta.get("dtype") if isinstance(meta, dict) else None
        if isinstance(member, Leaf):
            element = _TYPES.get(_EXPORTED_TYPES.get(element_type.text, "")) if isinstance(element_type, Leaf) else None
            names.setdefault(member.text, NamedStorage(name, element))
    return names


def _extended(path: tuple[str, ...], key: Value | None) -> tuple[str, ...]:
    if not isinstance(key, Atom) or key.type not in {"text", "string"} or not isinstance(key.value, str):
        return path
    return path if key.value in _UNNAMED else (*path, key.value)
