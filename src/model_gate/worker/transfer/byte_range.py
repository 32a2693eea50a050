"""Byte ranges of a large file, so that several connections can download it at the same time.

Example:
    >>> [byte_range.header for byte_range in split_into_ranges(20 * 1024 * 1024)]
    ['bytes=0-8388607', 'bytes=8388608-16777215', 'bytes=16777216-20971519']
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Size of a range. A smaller range would not be worth a request, a larger range would take too long to download again.
_MIN_BYTES, _MAX_BYTES = 8 * 1024 * 1024, 64 * 1024 * 1024
_PREFERRED_COUNT = 32
# Texts in place of an ETag that are not of one content.
_EMPTY_ETAGS = frozenset({'""', "*", "null"})
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})")


@dataclass(frozen=True)
class ByteRange:
    """The bytes of a file from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of bytes in the range."""
        return self.stop - self.start

    @property
    def header(self) -> str:
        """Value of the HTTP header Range. Unlike `stop`, its second number is the position of the last byte."""
        return f"bytes={self.start}-{self.stop - 1}"

    def after(self, count: int) -> ByteRange:
        """Return the part of the range that follows its first `count` bytes."""
        return ByteRange(self.start + count, self.stop)

    def matches(self, headers: Mapping[str, str], total: int) -> bool:
        """Return whether a response with status 206 and these headers has this range of a file of `total` bytes.

        The Content-Range must be that of the range. A body of another length, or of several parts with headers of
        their own, is not the range, whatever its Content-Range is.
        """
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
        is_range = match is not None and tuple(map(int, match.groups())) == (self.start, self.stop - 1, total)
        has_length = headers.get("Content-Length", str(self.size)).strip() == str(self.size)
        is_multipart = headers.get("Content-Type", "").strip().lower().startswith("multipart/")
        return is_range and has_length and not is_multipart


def split_into_ranges(size: int) -> tuple[ByteRange, ...]:
    """Split a file of `size` bytes into ranges of 8 to 64 MiB, of which the last may be smaller.

    A file below 16 MiB has a single range.
    """
    length = min(max(-(-size // _PREFERRED_COUNT), _MIN_BYTES), _MAX_BYTES)
    if size < 2 * _MIN_BYTES:
        return (ByteRange(0, size),)
    return tuple(ByteRange(start, min(start + length, size)) for start in range(0, size, length))


def strong_etag(headers: Mapping[str, str]) -> str:
    """Return the ETag in `headers`, or "" if it is missing, weak or empty.

    Only equal strong ETags prove that two responses are ranges of the same content.

    >>> [strong_etag({"ETag": tag}) for tag in ('"1"', 'W/"1"', 'w/"1"', '""', "*")]
    ['"1"', '', '', '', '']
    """
    tag = headers.get("ETag", "").strip()
    return "" if tag.upper().startswith("W/") or tag in _EMPTY_ETAGS else tag


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Return whether the body of a response may be compressed."""
    return headers.get("Content-Encoding", "identity").lower() != "identity"
