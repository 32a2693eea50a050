"""The objects in a pickle, as placeholders: what they are made of. Nothing is unpickled, imported or called."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from model_gate.explanation.content import Content, UnexplainedError
from model_gate.explanation.pickle_opcodes import LOADS, STORES, Opcode, read_opcodes

_MAX_OPCODES = 150_000
_MAX_KEPT = 200
_MARK = object()
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_CONSTANTS = {"NONE": "None", "NEWTRUE": "True", "NEWFALSE": "False"}
# Opcodes that put a value onto the stack, by the type of the value.
_TYPES = {
    **dict.fromkeys(_CONSTANTS, "constant"),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), "int"),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), "float"),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), "string"),
    **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), "text"),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), "bytes"),
    "BYTEARRAY8": "bytearray",
}


class Atom(NamedTuple):
    """A value without parts.

    Attributes:
        type: Type of the value: `int`, `text`, `bytes`, `global`, …
        value: The value; None if it is long.
        start: Offset of the value's bytes in the file.
        size: Number of these bytes.
    """

    type: str
    value: Hashable
    start: int = 0
    size: int = 0


class Part(NamedTuple):
    """A part of an object.

    Attributes:
        role: `class`, `argument`, `item`, `value` (of a key), `state` or `id`.
        key: The key of a value, otherwise None.
        value: The part itself.
    """

    role: str
    key: Value | None
    value: Value


@dataclass(eq=False, slots=True)
class PickledObject:
    """Placeholder of an object with parts.

    Attributes:
        kind: `tuple`, `list`, `dict`, `set`, `frozenset`, `call` of a class or function, or `persistent`.
        parts: The parts, in the order of the pickle.
        is_used: Whether a call has used the object, so that its parts at that time count.
    """

    kind: str
    parts: list[Part] = field(default_factory=list)
    is_used: bool = False

    def of_role(self, role: str) -> list[Value]:
        """Return the parts with a role."""
        return [part.value for part in self.parts if part.role == role]


Value = Atom | PickledObject


@dataclass(frozen=True)
class Pickle:
    """The objects of a pickle.

    Attributes:
        root: The pickled object.
        effects: What is called only for its effect on other objects.
        references: How often the pickle refers to a value that it has already.
    """

    root: Value
    effects: tuple[Value, ...]
    references: int


def read_pickle(content: Content) -> Pickle:
    """Return the objects of a pickle.

    Raises:
        UnexplainedError: The pickle is damaged, too large, has an unusual opcode, or is not all of the file.
    """
    return _Machine(content).run()


class _Machine:
    """Follows the opcodes of a pickle with placeholders. Each instance reads one pickle."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._effects: list[Value] = []
        self._references = 0
        self._actions: dict[str, Callable[[Any], None]] = {
            "MARK": lambda _: self._stack.append(_MARK),
            "POP": lambda _: self._discard(),
            "POP_MARK": lambda _: self._effects.extend(self._to_mark()),
            "DUP": lambda _: self._stack.append(self._top()),
            "MEMOIZE": lambda _: self._remember(len(self._memo)),
            "TUPLE": lambda _: self._make("tuple", self._to_mark()),
            "LIST": lambda _: self._make("list", self._to_mark()),
            "FROZENSET": lambda _: self._make("frozenset", self._to_mark()),
            "DICT": lambda _: self._make_dict(self._to_mark()),
            "EMPTY_DICT": lambda _: self._make("dict", []),
            "EMPTY_LIST": lambda _: self._make("list", []),
            "EMPTY_SET": lambda _: self._make("set", []),
            "APPEND": lambda _: self._extend(self._take(1)),
            "APPENDS": lambda _: self._extend(self._to_mark()),
            "ADDITEMS": lambda _: self._extend(self._to_mark()),
            "SETITEM": lambda _: self._set(self._take(2)),
            "SETITEMS": lambda _: self._set(self._to_mark()),
            "BUILD": lambda _: self._add([Part("state", None, *self._take(1))]),
            "REDUCE": lambda _: self._call(self._take(2), "argument"),
            "NEWOBJ": lambda _: self._call(self._take(2), "new argument"),
            "NEWOBJ_EX": lambda _: self._call_with_names(self._take(3)),
            "GLOBAL": lambda argument: self._refer(*str(argument).split(" ", 1)),
            "STACK_GLOBAL": lambda _: self._refer(*map(_text, self._take(2))),
            "BINPERSID": lambda _: self._identify(self._take(1)),
        }
        for name, size in _TUPLES.items():
            self._actions[name] = partial(self._make_tuple, size)
        for name in STORES:
            self._actions[name] = lambda argument: self._remember(int(argument))
        for name in LOADS:
            self._actions[name] = lambda argument: self._recall(int(argument))

    def run(self) -> Pickle:
        """Return the objects of the pickle."""
        end = 0
        try:
            for count, opcode in enumerate(read_opcodes(self._content)):
                if count >= _MAX_OPCODES:
                    raise UnexplainedError("it has too many opcodes")
                self._follow(opcode)
                end = opcode.end
            (root,) = self._take(len(self._stack))
        except (IndexError, KeyError, ValueError, TypeError) as error:
            raise UnexplainedError("it is damaged") from error
        if end != self._content.size:
            raise UnexplainedError("bytes follow its value")
        return Pickle(root, tuple(self._effects), self._references)

    def _follow(self, opcode: Opcode) -> None:
        if opcode.name in _IGNORED:
            return
        action = self._actions.get(opcode.name)
        if action is not None:
            action(opcode.argument)
        elif opcode.name in _TYPES:
            self._stack.append(_atom(opcode))
        else:
            raise UnexplainedError(f"it has the opcode {opcode.name}")

    def _top(self) -> Any:
        if self._stack[-1] is _MARK:
            raise IndexError
        return self._stack[-1]

    def _take(self, count: int) -> list[Any]:
        start = len(self._stack) - count
        values = self._stack[start:] if start >= 0 else []
        if len(values) < count or _MARK in values:
            raise IndexError
        del self._stack[start:]
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
        if self._stack[-1] is _MARK:
            self._stack.pop()
        else:
            self._effects += self._take(1)

    def _make(self, kind: str, items: list[Any]) -> None:
        self._stack.append(PickledObject(kind, [Part("item", None, item) for item in items]))

    def _make_tuple(self, size: int, _: object) -> None:
        self._make("tuple", self._take(size))

    def _make_dict(self, values: list[Any]) -> None:
        self._make("dict", [])
        self._set(values)

    def _extend(self, items: list[Any]) -> None:
        self._add([Part("item", None, item) for item in items])

    def _set(self, values: list[Any]) -> None:
        self._add([Part("value", key, value) for key, value in zip(values[::2], values[1::2], strict=True)])

    def _add(self, parts: list[Part]) -> None:
        target = self._top()
        if not isinstance(target, PickledObject):
            raise UnexplainedError("it adds to a value without parts")
        if target.is_used:
            # The call may have a result that depends on when the part was added.
            raise UnexplainedError("it adds to an object after a call has used it")
        target.parts += parts

    def _call(self, values: list[Any], role: str) -> None:
        """Put the placeholder of a new object in the place of its class and its arguments."""
        callee, arguments = values
        if not isinstance(arguments, PickledObject) or arguments.kind != "tuple":
            raise TypeError
        parts = [Part("class", None, callee), *(Part(role, None, value) for value in arguments.of_role("item"))]
        _mark_used([part.value for part in parts])
        self._stack.append(PickledObject("call", parts))

    def _call_with_names(self, values: list[Any]) -> None:
        names = values.pop()
        _mark_used([names])
        self._call(values, "new argument")
        self._add([Part("new argument", None, names)])

    def _refer(self, module: str, name: str) -> None:
        self._stack.append(Atom("global", (module, name)))

    def _identify(self, values: list[Any]) -> None:
        self._stack.append(PickledObject("persistent", [Part("id", None, *values)]))

    def _remember(self, number: int) -> None:
        self._memo[number] = self._top()

    def _recall(self, number: int) -> None:
        self._references += 1
        self._stack.append(self._memo[number])


def _mark_used(values: list[Value]) -> None:
    """Mark all objects that a call uses, each of them once."""
    pending = list(values)
    while pending:
        value = pending.pop()
        if isinstance(value, PickledObject) and not value.is_used:
            value.is_used = True
            pending += [item for part in value.parts for item in (part.key, part.value) if item is not None]


def _text(value: Any) -> str:
    if not isinstance(value, Atom) or value.type != "text" or not isinstance(value.value, str):
        raise TypeError
    return value.value


def _atom(opcode: Opcode) -> Atom:
    kind, argument = _TYPES[opcode.name], opcode.argument
    if opcode.end - opcode.start > _MAX_KEPT:
        # The bytes of texts and of bytes are at the end of their opcode.
        size = len(argument) if isinstance(argument, bytes | bytearray) else opcode.end - opcode.start
        return Atom(kind, None, opcode.end - size, size)
    if kind == "constant":
        return Atom(kind, _CONSTANTS[opcode.name])
    if isinstance(argument, bytes | bytearray):
        return Atom(kind, bytes(argument), opcode.end - len(argument), len(argument))
    # Unlike `==`, `repr` distinguishes 0.0 from -0.0 and gives equal texts for NaN.
    return Atom(kind, argument if isinstance(argument, str) else repr(argument))
