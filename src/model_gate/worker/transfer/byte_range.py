"""Byte ranges of a large file, so that several connections can download it at the same time.

Example:
    >>> [byte_range.header for byte_range in split_into_ranges(20 * 1024 * 1024)]
    ['bytes=0-8388607', 'bytes=8388608-16777215', 'bytes=16777216-20971519']
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Large enough to be worth a request, small enough to repeat after a broken connection.
_MIN_BYTES, _MAX_BYTES = 8 * 1024 * 1024, 64 * 1024 * 1024
_PREFERRED_COUNT = 32
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class ByteRange:
    """The bytes of a file from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of bytes."""
        return self.stop - self.start

    @property
    def header(self) -> str:
        """Value of the Range header, which includes the last byte."""
        return f"bytes={self.start}-{self.stop - 1}"

    def after(self, count: int) -> ByteRange:
        """Return the rest of the range after its first `count` bytes."""
        return ByteRange(self.start + count, self.stop)

    def matches(self, headers: Mapping[str, str], total: int) -> bool:
        """Whether the headers of a 206 response describe this range of a file of `total` bytes."""
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        return match is not None and tuple(map(int, match.groups())) == (self.start, self.stop - 1, total)


def split_into_ranges(size: int) -> tuple[ByteRange, ...]:
    """Return the ranges in which to download a file of `size` bytes: a single range for a small file."""
    length = min(max(-(-size // _PREFERRED_COUNT), _MIN_BYTES), _MAX_BYTES)
    if size < 2 * _MIN_BYTES:
        return (ByteRange(0, size),)
    return tuple(ByteRange(start, min(start + length, size)) for start in range(0, size, length))


def strong_etag(headers: Mapping[str, str]) -> str:
    """Return the strong ETag, or "" without one. Only a strong ETag proves that two ranges belong to the same file."""
    tag = headers.get("ETag", "").strip()
    return "" if tag.startswith("W/") else tag
