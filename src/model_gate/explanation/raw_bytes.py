"""Files of any kind: sizes, the first differing byte and the number of differing bytes."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.domain.difference import Explanation
from model_gate.explanation.content import Content, ContentPair

KIND = "bytes"
# Counting differing bytes takes much longer than comparing blocks.
MAX_COUNTED_BYTES = 96 * 1024 * 1024
_BLOCK_BYTES = 16 * 1024


def matches(pair: ContentPair) -> bool:
    """Return True: any pair can be explained by its bytes."""
    del pair
    return True


def explain(pair: ContentPair) -> Explanation:
    """Return an explanation with both sizes or, if the sizes are equal, the number of bytes that differ."""
    summary, is_cut = summarize(pair)
    return Explanation(KIND, summary, is_cut=is_cut)


def summarize(pair: ContentPair) -> tuple[str, bool]:
    """Return both sizes or the number of differing bytes as a phrase, and whether counting stopped early."""
    left, right = pair.left.size, pair.right.size
    if left != right:
        return f"{left:,} → {right:,} bytes", False
    known = pair.known
    count = count_differing(pair) if known is None else ByteCount(known.differing, is_cut=known.is_cut)
    at_least = "at least " if count.is_cut else ""
    share = 100 * count.differing / left if left else 0
    percentage = f" ({share:.0f} %)" if share >= 1 and not count.is_cut else ""
    return f"{at_least}{count.differing:,} of {left:,} bytes differ{percentage}", count.is_cut


@dataclass(frozen=True)
class ByteCount:
    """Number of differing bytes; a lower bound if `is_cut`. `counted` is the size of the blocks that differ."""

    differing: int
    counted: int = 0
    is_cut: bool = False


def count_differing(pair: ContentPair, max_bytes: int = MAX_COUNTED_BYTES) -> ByteCount:
    """Count the differing bytes of two contents of the same size, until blocks of `max_bytes` differ."""
    differing = counted = 0
    for left, right in pair.chunks():
        if left == right:
            continue
        for start in range(0, max(len(left), len(right)), _BLOCK_BYTES):
            left_block, right_block = left[start : start + _BLOCK_BYTES], right[start : start + _BLOCK_BYTES]
            if left_block != right_block:
                differing += _differing_in_block(left_block, right_block)
                counted += len(left_block)
        if counted >= max_bytes:
            return ByteCount(differing, counted, is_cut=True)
    return ByteCount(differing, counted)


def _differing_in_block(left: bytes, right: bytes) -> int:
    size = max(len(left), len(right))
    # Integers allow one XOR for the whole block.
    xor = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
    return size - xor.to_bytes(size, "little").count(0)


def first_differing_byte(left: Content, right: Content) -> int | None:
    """Return the offset of the first differing byte, or None if the contents are equal.

    If one content is the beginning of the other, the offset is the size of the shorter one.
    """
    offset = 0
    for left_chunk, right_chunk in ContentPair("", left, right).chunks():
        if left_chunk != right_chunk:
            return offset + _common_prefix_length(left_chunk, right_chunk)
        offset += len(left_chunk)
    return None


def _common_prefix_length(left: bytes, right: bytes) -> int:
    # A binary search over slices is much faster than a loop over bytes.
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
