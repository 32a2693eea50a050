"""Writes a small ONNX model without ONNX: a product with the weights `W`, and an activation with the value `alpha`."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def onnx_model(
    weights: Sequence[float] = (1.0, 2.0, 3.0),
    alpha: float = 0.1,
    operator: str = "LeakyRelu",
    producer: str = "pytorch",
    batch: int = 1,
    more: bytes = b"",
) -> bytes:
    """Return the content of a model file. The field numbers are those of `onnx.proto`.

    `more` are further fields of the node `act`.
    """
    multiply = _bytes(1, "x") + _bytes(1, "W") + _bytes(2, "h") + _bytes(3, "mm") + _bytes(4, "MatMul")
    value = _bytes(1, "alpha") + _key(2, 5) + struct.pack("<f", alpha) + _integer(20, 1)
    activate = _bytes(1, "h") + _bytes(2, "y") + _bytes(3, "act") + _bytes(4, operator) + _bytes(5, value) + more
    raw = struct.pack(f"<{len(weights)}f", *weights)
    tensor = _integer(1, len(weights)) + _integer(2, 1) + _bytes(8, "W") + _bytes(9, raw)
    graph = _bytes(1, multiply) + _bytes(1, activate) + _bytes(2, "g") + _bytes(5, tensor)
    graph += _bytes(11, _bytes(1, "x") + _bytes(2, _integer(1, batch))) + _bytes(12, _bytes(1, "y"))
    operator_set = _bytes(1, "") + _integer(2, 17)
    return _integer(1, 8) + _bytes(2, producer) + _bytes(7, graph) + _bytes(8, operator_set)


def float_list(values: Sequence[float], *, is_packed: bool) -> bytes:
    """Return an attribute `values` of a node, which is a list of floats."""
    data = [struct.pack("<f", value) for value in values]
    listed = _bytes(7, b"".join(data)) if is_packed else b"".join(_key(7, 5) + each for each in data)
    return _bytes(5, _bytes(1, "values") + listed + _integer(20, 6))


def text_attribute(text: str) -> bytes:
    """Return an attribute `text` of a node."""
    return _bytes(5, _bytes(1, "text") + _bytes(4, text) + _integer(20, 3))


def overload(name: str) -> bytes:
    """Return the field of a node that selects a function."""
    return _bytes(8, name)


def _key(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _integer(number: int, value: int) -> bytes:
    return _key(number, 0) + _varint(value)


def _bytes(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _key(number, 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])
