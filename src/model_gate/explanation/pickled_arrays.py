"""NumPy's arrays, numbers and types among the objects of a pickle."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from model_gate.explanation.content import Content
from model_gate.explanation.pickle_objects import Atom, PickledObject, Value
from model_gate.explanation.tensors import ElementType, Tensor, format_float32

# Codes for `struct`, by NumPy's code of a type.
_CODES = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"}
_CODES |= {f"i{size}": code for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))}
_CODES |= {f"u{size}": code for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))}
_NAMES = {"f": "float", "i": "int", "u": "uint"}
_MAX_NUMBER = 8


def array_of(value: Value) -> Tensor | None:
    """Return the type and shape of an array, and the offset of its bytes; None if a value is no plain array."""
    if not isinstance(value, PickledObject):
        return None
    match _function(value):
        case "numeric._frombuffer":
            arguments, states = value.of_role("argument"), 0
            parts = arguments if len(arguments) == 4 else None
            layout = parts[3] if parts else None
        case "multiarray._reconstruct":
            arguments, states = value.of_role("argument"), 1
            parts = _reconstructed(arguments, value.of_role("state"))
            layout = parts[3] if parts else None
        case _:
            return None
    if parts is None or layout is None or len(value.parts) != 1 + len(arguments) + states:
        return None
    return _tensor(parts[0], parts[1], parts[2], _ORDERS.get(layout) if isinstance(layout, Atom) else None)


def number_of(value: Value, content: Content) -> str | None:
    """Return a number of NumPy as text, None if a value is none."""
    if not isinstance(value, PickledObject) or _function(value) != "multiarray.scalar" or len(value.parts) != 3:
        return None
    kind, data = value.parts[1].value, value.parts[2].value
    element = _element(kind)
    if element is None or not isinstance(data, Atom) or data.type != "bytes" or data.size != element.size:
        return None
    with content.slice(data.start, data.size).open() as stream:
        (number,) = struct.unpack(f"{element.order}{element.code or '?'}", stream.read(_MAX_NUMBER))
    return format_float32(number) if element.code == "f" else repr(number)


# By the order of `_frombuffer`, and by whether the state of an array says that it is in Fortran's order.
_ORDERS = {
    Atom("text", "C"): "",
    Atom("text", "F"): "column by column",
    Atom("constant", "False"): "",
    Atom("constant", "True"): "column by column",
}


def _function(value: PickledObject) -> str:
    """Return the function of NumPy that makes an object, without NumPy's own package of it."""
    callee = value.parts[0].value if value.kind == "call" and value.parts else None
    if not isinstance(callee, Atom) or callee.type != "global" or not isinstance(callee.value, tuple):
        return ""
    module, name = callee.value
    package, _, inner = str(module).rpartition(".")
    return f"{inner}.{name}" if package in {"numpy.core", "numpy._core"} else ""


def _reconstructed(arguments: Sequence[Value], states: Sequence[Value]) -> list[Value] | None:
    """Return bytes, type, shape and order of an array that `_reconstruct` makes."""
    if len(arguments) != 3 or arguments[0] != Atom("global", ("numpy", "ndarray")) or len(states) != 1:
        return None
    state = _items(states[0])
    if state is None or len(state) != 5:
        return None
    return [state[4], state[2], state[1], state[3]]


def _tensor(data: Value, kind: Value, shape: Value, layout: str | None) -> Tensor | None:
    element, sizes = _element(kind), _items(shape)
    if element is None or sizes is None or layout is None:
        return None
    if not isinstance(data, Atom) or data.type not in {"bytes", "bytearray"}:
        return None
    dimensions = [_integer(size) for size in sizes]
    if any(size is None for size in dimensions):
        return None
    tensor = Tensor(element, tuple(size or 0 for size in dimensions), data.start, layout)
    return tensor if tensor.size == data.size else None


def _element(value: Value) -> ElementType | None:
    """Return the type of elements from a `numpy.dtype`, None if it is not one of plain numbers."""
    if not isinstance(value, PickledObject) or value.kind != "call" or len(value.parts) != 5:
        return None
    callee, name, *_ = (part.value for part in value.parts)
    state = _items(value.parts[4].value)
    if callee != Atom("global", ("numpy", "dtype")) or not isinstance(name, Atom) or name.type != "text":
        return None
    code = _CODES.get(str(name.value))
    if code is None or state is None or len(state) != 8 or any(item != _NONE for item in state[2:5]):
        return None
    order = {"<": "<", "|": "<", ">": ">"}.get(str(state[1].value) if isinstance(state[1], Atom) else "")
    if order is None:
        return None
    letter, size = str(name.value)[0], int(str(name.value)[1:])
    text = f"{_NAMES[letter]}{8 * size}" if letter in _NAMES else "bool"
    return ElementType(text if order == "<" else f"{text} {order}", size, "" if code == "?" else code, order=order)


_NONE = Atom("constant", "None")


def _items(value: Value) -> list[Value] | None:
    if not isinstance(value, PickledObject) or value.kind != "tuple":
        return None
    return value.of_role("item")


def _integer(value: Value) -> int | None:
    if not isinstance(value, Atom) or value.type != "int" or not isinstance(value.value, str):
        return None
    return int(value.value) if value.value.isdecimal() and len(value.value) < 19 else None
