"""Tensors in two contents: how many elements changed, and by how much at most. Streamed, whatever their size."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from operator import ne
from typing import IO

from model_gate.domain.difference import FieldChange
from model_gate.explanation.content import Content

_CHUNK_BYTES = 256 * 1024
_BLOCK_BYTES = 4 * 1024
MAX_DIMENSIONS = 64


@dataclass(frozen=True)
class Type:
    """How an element is stored.

    Attributes:
        name: As people call it.
        size: Bytes of one element.
        code: What `struct` calls it, "" if its values have no difference that could be told.
        is_bfloat16: Whether it is the upper half of a 32-bit float.
        order: As in `struct`: `<` or `>`.
    """

    name: str
    size: int
    code: str = ""
    is_bfloat16: bool = False
    order: str = "<"


@dataclass(frozen=True)
class Tensor:
    """A tensor in a content.

    Attributes:
        type: Of its elements.
        shape: Its dimensions.
        offset: Where its bytes begin.
        layout: The order of its elements in memory, where a format has several.
    """

    type: Type
    shape: tuple[int, ...]
    offset: int
    layout: str = ""

    @property
    def elements(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.elements * self.type.size

    def __str__(self) -> str:
        shape = " × ".join(map(str, self.shape)) or "scalar"
        layout = f", {self.layout}" if self.layout else ""
        return f"{self.type.name} {shape}{layout}"


class Allowance:
    """How many elements may still be looked at one by one, for all tensors of a file."""

    def __init__(self, elements: int = 1_000_000) -> None:
        self.elements = elements


@dataclass(frozen=True)
class ElementCount:
    """How many elements changed; at least that many if it `is_cut`.

    Attributes:
        changed: By their bytes.
        largest: The largest difference of two values that are numbers, None if there are none.
        is_cut: Whether not all were looked at.
    """

    changed: int
    largest: float | None = None
    is_cut: bool = False


def tensor_change(
    name: str, left: tuple[Content, Tensor], right: tuple[Content, Tensor], allowance: Allowance
) -> tuple[FieldChange, bool] | None:
    """What changed between two tensors of one name, and whether it was only partly looked at; None if nothing did."""
    one, other = left[1], right[1]
    if (one.type.name, one.shape, one.layout) != (other.type.name, other.shape, other.layout):
        return FieldChange(name, str(one), str(other), meaning=_shape_meaning(one, other)), False
    with left[0].open() as left_stream, right[0].open() as right_stream:
        left_stream.seek(one.offset)
        right_stream.seek(other.offset)
        count = count_changed(left_stream, right_stream, one, allowance)
    if not count.changed and not count.is_cut:
        return None
    return FieldChange(name, str(one), str(other), meaning=shown_count(count, one)), count.is_cut


def _shape_meaning(one: Tensor, other: Tensor) -> str:
    names = {"dtype": one.type.name != other.type.name, "shape": one.shape != other.shape}
    return " and ".join(name for name, is_changed in names.items() if is_changed) or "memory layout"


def shown_count(count: ElementCount, tensor: Tensor) -> str:
    """The count as a phrase."""
    at_least = "at least " if count.is_cut else ""
    largest = "" if count.largest is None else f", largest difference {count.largest:.3g}"
    return f"{at_least}{count.changed:,} of {tensor.elements:,} elements changed{largest}"


def summary_of_tensors(found: Sequence[FieldChange]) -> str:
    """The first tensor that changed, and how many more did, in one phrase."""
    first = found[0]
    how = first.meaning or "changed"
    if first.left is None or first.right is None:
        how = f"added ({first.right})" if first.left is None else f"removed (was {first.left})"
    elif not how.endswith("changed") and "elements" not in how:
        how = f"{first.left} → {first.right}"
    more = f", and {len(found) - 1:,} more tensor{'s' if len(found) > 2 else ''}" if len(found) > 1 else ""
    return f"{first.field}: {how}{more}"


def count_changed(left: IO[bytes], right: IO[bytes], tensor: Tensor, allowance: Allowance) -> ElementCount:
    """How many elements of two tensors of the same type and shape changed; both streams are where they begin."""
    changed, largest, remaining = 0, None, tensor.size
    block = _whole(_BLOCK_BYTES, tensor.type)
    while remaining:
        size = min(_whole(_CHUNK_BYTES, tensor.type), remaining)
        one, other = left.read(size), right.read(size)
        remaining -= size
        if one == other:
            continue
        for start in range(0, size, block):
            before, after = one[start : start + block], other[start : start + block]
            if before != after:
                if allowance.elements <= 0:
                    return ElementCount(changed, largest, is_cut=True)
                count, difference = _compare(before, after, tensor.type)
                allowance.elements -= block // tensor.type.size
                changed += count
                largest = max((each for each in (largest, difference) if each is not None), default=None)
    return ElementCount(changed, largest)


def _whole(size: int, kind: Type) -> int:
    """About `size` bytes, in whole elements."""
    return max(size // kind.size, 1) * kind.size


def _compare(left: bytes, right: bytes, kind: Type) -> tuple[int, float | None]:
    """How many elements differ in their bytes, and the largest difference of their values."""
    raw = struct.Struct(f"{kind.size}s")
    differs = list(map(ne, raw.iter_unpack(left), raw.iter_unpack(right)))
    if not kind.code:
        return sum(differs), None
    ones, others = _values(left, kind), _values(right, kind)
    differences = [abs(one - other) for one, other in compress(zip(ones, others, strict=True), differs)]
    # Neither infinities nor what is no number have a difference worth telling.
    finite = [each for each in differences if math.isfinite(each)]
    return sum(differs), float(max(finite)) if finite else None


def _values(data: bytes, kind: Type) -> tuple[float, ...]:
    count = len(data) // kind.size
    if not kind.is_bfloat16:
        return struct.unpack(f"{kind.order}{count}{kind.code}", data)
    halves = struct.unpack(f"<{count}H", data)
    return struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *[half << 16 for half in halves]))
