"""Any two files: sizes, the first byte that differs, how many do. What is left when nothing else fits."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.domain.difference import Explanation
from model_gate.explanation.content import Content, ContentPair

KIND = "bytes"
# Counting differing bytes takes much longer than finding that two blocks are the same.
_MAX_COUNTED_BYTES = 96 * 1024 * 1024
_BLOCK_BYTES = 16 * 1024


@dataclass(frozen=True)
class ByteCount:
    """How many bytes of two contents of the same size differ; at least that many if it `is_cut`."""

    differing: int
    is_cut: bool = False


def matches(pair: ContentPair) -> bool:
    """Anything."""
    del pair
    return True


def explain(pair: ContentPair) -> Explanation:
    """How much differs, and from where on."""
    summary, is_cut = summarize(pair)
    return Explanation(KIND, summary, is_cut=is_cut)


def summarize(pair: ContentPair) -> tuple[str, bool]:
    """The same as a phrase, and whether there is more than it says."""
    left, right = pair.left.size, pair.right.size
    if left != right:
        return f"{left:,} → {right:,} bytes", False
    count = count_differing(pair)
    at_least = "at least " if count.is_cut else ""
    share = 100 * count.differing / left if left else 0
    shown = f" ({share:.0f} %)" if share >= 1 and not count.is_cut else ""
    return f"{at_least}{count.differing:,} of {left:,} bytes differ{shown}", count.is_cut


def count_differing(pair: ContentPair) -> ByteCount:
    """How many bytes differ, for contents of the same size."""
    differing = counted = 0
    for left, right in pair.chunks():
        if left == right:
            continue
        for start in range(0, max(len(left), len(right)), _BLOCK_BYTES):
            one, other = left[start : start + _BLOCK_BYTES], right[start : start + _BLOCK_BYTES]
            if one != other:
                differing += differing_bytes(one, other)
                counted += len(one)
        if counted >= _MAX_COUNTED_BYTES:
            return ByteCount(differing, is_cut=True)
    return ByteCount(differing)


def differing_bytes(left: bytes, right: bytes) -> int:
    """In how many places two strings of bytes differ."""
    size = max(len(left), len(right))
    # As whole numbers, all bytes are compared by one operation.
    both = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
    return size - both.to_bytes(size, "little").count(0)


def first_differing_byte(left: Content, right: Content) -> int | None:
    """The offset of the first byte that differs, or where the shorter content ends; None if there is none."""
    offset = 0
    for one, other in ContentPair("", left, right).chunks():
        if one != other:
            return offset + _first_in(one, other)
        offset += len(one)
    return None


def _first_in(left: bytes, right: bytes) -> int:
    """The length of the common prefix of two chunks that differ."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
