"""Names of the tensors in PyTorch's archives, from `data.pkl` or the config of weights. Nothing is unpickled.

The pickle is followed with placeholders for all objects, so that only keys and storages remain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from model_gate.explanation.content import Content, UnexplainedError
from model_gate.explanation.json_tree import parse_json
from model_gate.explanation.pickle_opcodes import MAX_OPCODES, Opcode, read_opcodes
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
_MARK = object()
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class NamedStorage:
    """The bytes of one or more tensors.

    Attributes:
        name: Name of the first tensor with these bytes, such as `encoder.0.weight`.
        element: Type of the elements, None if it is unknown.
    """

    name: str
    element: ElementType | None


@dataclass
class _Node:
    """Placeholder of an object: what it contains, each with its key."""

    items: list[tuple[object, object]] = field(default_factory=list)


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    element: ElementType | None


def named_storages(pickle: Content) -> dict[str, NamedStorage]:
    """Return the storages of a `data.pkl`, by the name of the member with their bytes (`0` for `data/0`).

    Raises:
        UnexplainedError: The pickle is damaged, too large, or has an opcode that PyTorch does not write.
    """
    root = _Machine().run(pickle)
    names: dict[str, NamedStorage] = {}
    seen: set[int] = set()
    pending: list[tuple[object, tuple[str, ...]]] = [(root, ())]
    while pending:
        value, path = pending.pop()
        if isinstance(value, _Storage):
            names.setdefault(value.key, NamedStorage(".".join(path), value.element))
        elif isinstance(value, tuple | _Node) and id(value) not in seen and len(path) < _MAX_PARTS:
            # An object can be in many places. The first place gives its name.
            seen.add(id(value))
            items = value.items if isinstance(value, _Node) else [(None, item) for item in value]
            pending += [(item, _extended(path, key)) for key, item in reversed(items)]
    return names


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
        kind = meta.get("dtype") if isinstance(meta, dict) else None
        if isinstance(member, Leaf):
            element = _TYPES.get(_EXPORTED_TYPES.get(kind.text, "")) if isinstance(kind, Leaf) else None
            names.setdefault(member.text, NamedStorage(name, element))
    return names


def _extended(path: tuple[str, ...], key: object) -> tuple[str, ...]:
    return (*path, key) if isinstance(key, str) and key not in _UNNAMED else path


class _Machine:
    """Follows the opcodes of a pickle with placeholders. Each instance reads one pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self._stack.append(_MARK),
            "POP": lambda _: self._discard(),
            "POP_MARK": lambda _: self._discard_to_mark(),
            "DUP": lambda _: self._stack.append(self._stack[-1]),
            "MEMOIZE": lambda _: self._remember(len(self._memo)),
            "TUPLE": lambda _: self._stack.append(tuple(self._to_mark())),
            "LIST": lambda _: self._collect(),
            "FROZENSET": lambda _: self._collect(),
            "DICT": lambda _: self._collect_pairs(),
            "APPEND": lambda _: self._add([(None, self._stack.pop())]),
            "APPENDS": lambda _: self._add([(None, value) for value in self._to_mark()]),
            "ADDITEMS": lambda _: self._add([(None, value) for value in self._to_mark()]),
            "SETITEM": lambda _: self._add(_pairs([*self._take(2)])),
            "SETITEMS": lambda _: self._add(_pairs(self._to_mark())),
            "BUILD": lambda _: self._add([(None, self._stack.pop())]),
            "REDUCE": lambda _: self._make(2),
            "NEWOBJ": lambda _: self._make(2),
            "NEWOBJ_EX": lambda _: self._make(3),
            "GLOBAL": lambda argument: self._stack.append(_Global(str(argument).replace(" ", "."))),
            "STACK_GLOBAL": lambda _: self._stack.append(_global(*self._take(2))),
            "BINPERSID": lambda _: self._stack.append(_storage(self._stack.pop())),
        }
        for name, size in _TUPLES.items():
            self._actions[name] = partial(self._make_tuple, size)
        for name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET"):
            self._actions[name] = lambda _: self._stack.append(_Node())
        for name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._actions[name] = lambda argument: self._remember(int(argument))
        for name in ("GET", "BINGET", "LONG_BINGET"):
            self._actions[name] = lambda argument: self._stack.append(self._memo[int(argument)])

    def run(self, pickle: Content) -> object:
        """Return the placeholder of the pickled object."""
        try:
            for count, opcode in enumerate(read_opcodes(pickle)):
                if count >= MAX_OPCODES:
                    raise UnexplainedError("it has too many opcodes")
                self._follow(opcode)
            return self._stack[-1]
        except (IndexError, KeyError, ValueError, TypeError) as error:
            raise UnexplainedError("it is damaged") from error

    def _follow(self, opcode: Opcode) -> None:
        if opcode.name in _IGNORED:
            return
        action = self._actions.get(opcode.name)
        if action is not None:
            action(opcode.argument)
        elif opcode.pushes and opcode.is_value:
            self._stack.append(opcode.argument if isinstance(opcode.argument, str) else None)
        else:
            raise UnexplainedError(f"it has the opcode {opcode.name}")

    def _make_tuple(self, size: int, _: object) -> None:
        self._stack.append(tuple(self._take(size)))

    def _take(self, count: int) -> list[Any]:
        values = self._stack[len(self._stack) - count :]
        if len(values) < count:
            raise IndexError
        del self._stack[len(self._stack) - count :]
        return values

    def _to_mark(self) -> list[Any]:
        start = len(self._stack) - 1
        while self._stack[start] is not _MARK:
            start -= 1
            if start < 0:
                raise IndexError
        values = self._stack[start + 1 :]
        del self._stack[start:]
        return values

    def _discard(self) -> None:
        self._stack.pop()

    def _discard_to_mark(self) -> None:
        self._to_mark()

    def _collect(self) -> None:
        self._stack.append(_Node([(None, value) for value in self._to_mark()]))

    def _collect_pairs(self) -> None:
        self._stack.append(_Node(_pairs(self._to_mark())))

    def _add(self, items: list[tuple[object, object]]) -> None:
        if isinstance(self._stack[-1], _Node):
            self._stack[-1].items += items

    def _make(self, count: int) -> None:
        """Put the placeholder of a new object in the place of its class and its arguments."""
        _, *arguments = self._take(count)
        self._stack.append(_Node([(None, argument) for argument in arguments]))

    def _remember(self, number: int) -> None:
        self._memo[number] = self._stack[-1]


def _global(module: object, name: object) -> _Global:
    return _Global(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "")


def _pairs(values: list[Any]) -> list[tuple[object, object]]:
    return list(zip(values[::2], values[1::2], strict=True))


def _storage(identifier: object) -> object:
    """Return the placeholder of a storage from its persistent id: `storage`, type, key, device, number of elements."""
    if not (isinstance(identifier, tuple) and len(identifier) >= 3 and identifier[0] == "storage"):
        return None
    kind, key = identifier[1:3]
    element = _TYPES.get(kind.name.rpartition(".")[2]) if isinstance(kind, _Global) else None
    return _Storage(key, element) if isinstance(key, str) else None
