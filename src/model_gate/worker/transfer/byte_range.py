"""A large file in parts, each a range of its bytes, so that several connections bring it side by side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# A part must be worth a request, and short enough to be repeated when its connection breaks.
_SMALLEST, _LARGEST = 8 * 1024 * 1024, 64 * 1024 * 1024
_USUAL = 32
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class ByteRange:
    """The bytes of a file from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start

    @property
    def asked(self) -> str:
        """As the value of a Range header, which includes the last byte."""
        return f"bytes={self.start}-{self.stop - 1}"

    def after(self, count: int) -> ByteRange:
        """What is left when the first `count` bytes have come."""
        return ByteRange(self.start + count, self.stop)

    def is_answered_by(self, headers: Mapping[str, str], total: int) -> bool:
        """Whether an answer with status 206 is this part of a file of `total` bytes."""
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        return match is not None and tuple(map(int, match.groups())) == (self.start, self.stop - 1, total)


def split_into_ranges(size: int) -> tuple[ByteRange, ...]:
    """The parts in which to fetch a file of `size` bytes; one if it is not worth more."""
    length = min(max(-(-size // _USUAL), _SMALLEST), _LARGEST)
    if size < 2 * _SMALLEST:
        return (ByteRange(0, size),)
    return tuple(ByteRange(start, min(start + length, size)) for start in range(0, size, length))


def strong_etag(headers: Mapping[str, str]) -> str:
    """What tells that two answers are of the same file: a strong ETag, "" if there is none."""
    tag = headers.get("ETag", "").strip()
    return "" if tag.startswith("W/") else tag
