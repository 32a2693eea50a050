"""Comparison of two tensors: how many elements changed, and the largest difference. Streams data of any size."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import ne
from typing import IO

from model_gate.domain.difference import FieldChange
from model_gate.explanation.content import Content, KnownDifference

_CHUNK_BYTES = 256 * 1024
_BLOCK_BYTES = 4 * 1024
MAX_DIMENSIONS = 64


@dataclass(frozen=True)
class ElementType:
    """Type of a tensor's elements, and how an element is stored.

    Attributes:
        name: Name in the report.
        size: Bytes of one element.
        code: Format character for `struct`, "" if no numeric difference is computed.
        is_bfloat16: Whether the element is the upper half of a 32-bit float.
        order: Byte order for `struct`: `<` or `>`.
    """

    name: str
    size: int
    code: str = ""
    is_bfloat16: bool = False
    order: str = "<"


@dataclass(frozen=True)
class Tensor:
    """Type and shape of a tensor, and its position in the content of a file.

    Attributes:
        type: Type of the elements.
        shape: Dimensions.
        offset: Offset of the tensor's first byte in the content.
        layout: Order of the elements in memory, "" if it is the usual order.
    """

    type: ElementType
    shape: tuple[int, ...]
    offset: int
    layout: str = ""

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.elements * self.type.size

    def __str__(self) -> str:
        shape = " × ".join(map(str, self.shape)) or "scalar"
        layout = f", {self.layout}" if self.layout else ""
        return f"{self.type.name} {shape}{layout}"


def format_float32(number: float) -> str:
    """Return the shortest text that stands for a 32-bit float.

    >>> format_float32(0.10000000149011612)
    '0.1'
    """
    for digits in range(6, 9):
        text = format(number, f".{digits}g")
        if struct.pack("<d", number) == struct.pack("<d", _rounded_to_float32(text)):
            return text
    return format(number, ".9g")


def _rounded_to_float32(text: str) -> float:
    try:
        (number,) = struct.unpack("<f", struct.pack("<f", float(text)))
    except OverflowError:
        return math.inf
    return float(number)


class ElementBudget:
    """Number of elements that may still be compared one by one, shared by all tensors of a file."""

    def __init__(self, elements: int = 1_000_000) -> None:
        self.elements = elements


def compare_tensors(
    name: str,
    left: tuple[Content, Tensor],
    right: tuple[Content, Tensor],
    budget: ElementBudget,
    known: KnownDifference | None = None,
) -> tuple[FieldChange, bool] | None:
    """Compare two tensors of the same name.

    Args:
        name: Name of the tensors.
        left: The left content, and the tensor in it.
        right: The right content, and the tensor in it.
        budget: Number of elements that may still be compared one by one.
        known: What is already known about the difference of the contents. Bytes that are known to be equal are not
            read, if the tensors are at the same offset.

    Returns:
        The change, and whether its number of elements is only a lower bound; None if the tensors are equal.
    """
    left_tensor, right_tensor = left[1], right[1]
    properties = _changed_properties(left_tensor, right_tensor)
    if properties:
        return FieldChange(name, str(left_tensor), str(right_tensor), meaning=properties), False
    if left_tensor.offset != right_tensor.offset:
        known = None
    with left[0].open() as left_stream, right[0].open() as right_stream:
        chunks = _chunks((left_stream, right_stream), left_tensor, right_tensor, known)
        count = _count_changed(chunks, left_tensor, budget)
    if not count.changed and not count.is_cut:
        return None
    meaning = _format_count(count, left_tensor)
    return FieldChange(name, str(left_tensor), str(right_tensor), meaning=meaning), count.is_cut


def _changed_properties(left: Tensor, right: Tensor) -> str:
    names = {"dtype": left.type.name != right.type.name, "shape": left.shape != right.shape}
    changed = " and ".join(name for name, is_changed in names.items() if is_changed)
    return changed or ("memory layout" if left.layout != right.layout else "")


def summarize_tensors(changes: Sequence[FieldChange]) -> str:
    """Return a phrase with the first changed tensor and the number of the other changed tensors."""
    first = changes[0]
    how = first.meaning or "changed"
    if first.left is None or first.right is None:
        how = f"added ({first.right})" if first.left is None else f"removed (was {first.left})"
    elif not how.endswith("changed") and "elements" not in how:
        how = f"{first.left} → {first.right}"
    more = f", and {len(changes) - 1:,} more tensor{'s' if len(changes) > 2 else ''}" if len(changes) > 1 else ""
    return f"{first.field}: {how}{more}"


@dataclass(frozen=True)
class _ElementCount:
    """Number of changed elements; a lower bound if `is_cut`.

    Attributes:
        changed: Number of elements whose bytes differ.
        largest: Largest finite difference of two values, None if there is none.
        is_cut: Whether the budget ended before the last element.
    """

    changed: int
    largest: float | None = None
    is_cut: bool = False


def _format_count(count: _ElementCount, tensor: Tensor) -> str:
    at_least = "at least " if count.is_cut else ""
    largest = "" if count.largest is None else f", largest difference {count.largest:.3g}"
    return f"{at_least}{count.changed:,} of {tensor.elements:,} elements changed{largest}"


def _count_changed(chunks: Iterator[tuple[bytes, bytes]], tensor: Tensor, budget: ElementBudget) -> _ElementCount:
    """Count the changed elements of two tensors of the same type and shape.

    Args:
        chunks: The left and the right bytes at the same positions of the tensors, in whole elements.
        tensor: Type and shape of both tensors.
        budget: Number of elements that may still be compared one by one. This function reduces it.
    """
    changed, largest = 0, None
    block = _whole_elements(_BLOCK_BYTES, tensor.type)
    for left_chunk, right_chunk in chunks:
        if left_chunk == right_chunk:
            continue
        for start in range(0, max(len(left_chunk), len(right_chunk)), block):
            left_block, right_block = left_chunk[start : start + block], right_chunk[start : start + block]
            if left_block != right_block:
                if budget.elements <= 0:
                    return _ElementCount(changed, largest, is_cut=True)
                count, difference = _compare_block(left_block, right_block, tensor.type)
                budget.elements -= block // tensor.type.size
                changed += count
                largest = max((value for value in (largest, difference) if value is not None), default=None)
    return _ElementCount(changed, largest)


def _chunks(
    streams: tuple[IO[bytes], IO[bytes]], left: Tensor, right: Tensor, known: KnownDifference | None
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the bytes of two tensors of the same size in chunks, except chunks that are known to be equal."""
    length = _whole_elements(_CHUNK_BYTES, left.type)
    is_positioned = False
    for start in range(0, left.size, length):
        size = min(length, left.size - start)
        if known is not None and not known.may_touch(left.offset + start, left.offset + start + size):
            is_positioned = False
            continue
        if not is_positioned:
            for stream, tensor in zip(streams, (left, right), strict=True):
                stream.seek(tensor.offset + start)
            is_positioned = True
        yield streams[0].read(size), streams[1].read(size)


def _whole_elements(size: int, kind: ElementType) -> int:
    """Return the largest number of bytes up to `size` that holds only whole elements, but at least one element."""
    return max(size // kind.size, 1) * kind.size


def _compare_block(left: bytes, right: bytes, kind: ElementType) -> tuple[int, float | None]:
    """Return the number of elements whose bytes differ, and the largest finite difference of their values."""
    raw = struct.Struct(f"{kind.size}s")
    differs = list(map(ne, raw.iter_unpack(left), raw.iter_unpack(right)))
    if not kind.code:
        return sum(differs), None
    values = zip(_values(left, kind), _values(right, kind), strict=True)
    differences = [abs(left_value - right_value) for left_value, right_value in compress(values, differs)]
    # A difference to an infinity or NaN is not informative.
    finite = [difference for difference in differences if math.isfinite(difference)]
    return sum(differs), float(max(finite)) if finite else None


def _values(data: bytes, kind: ElementType) -> tuple[float, ...]:
    count = len(data) // kind.size
    if not kind.is_bfloat16:
        return struct.unpack(f"{kind.order}{count}{kind.code}", data)
    halves = struct.unpack(f"<{count}H", data)
    return struct.unpack(f"<{count}f", struct.pack(f"<{count}I", *[half << 16 for half in halves]))
