"""Contents of files and archive members as explainers read them: sizes and streams, no paths on disk."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from typing import IO

from model_gate.regular_files import open_regular

CHUNK_BYTES = 256 * 1024


class UnexplainedError(Exception):
    """A file cannot be explained as its kind. The message is a clause for the report, such as `it is truncated`."""


@dataclass(frozen=True)
class KnownDifference:
    """What a comparison has already found out about two contents, so that no explainer reads them for it.

    Attributes:
        offset: Offset of the first differing byte.
        differing: Number of differing bytes, if both contents have the same size.
        is_cut: Whether `differing` is only a lower bound.
        ranges: Start and stop of ranges in order, outside which both contents have the same bytes at the same offsets.
    """

    offset: int
    differing: int
    is_cut: bool
    ranges: tuple[tuple[int, int], ...]

    def may_touch(self, start: int, stop: int) -> bool:
        """Return whether the contents may differ between two offsets."""
        index = bisect_right(self.ranges, (start, stop))
        return any(first < stop and start < last for first, last in self.ranges[max(0, index - 1) : index + 1])


@dataclass(frozen=True)
class Content:
    """Bytes that can be read any number of times.

    Attributes:
        size: Number of bytes.
        open: Opens a new, seekable stream of the bytes.
    """

    size: int
    open: Callable[[], IO[bytes]]

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Content:
        """Return the content of a file."""
        return cls(os.stat(path).st_size, lambda: open(path, "rb", opener=open_regular))

    @classmethod
    def of_bytes(cls, data: bytes) -> Content:
        """Return the content with these bytes, which stay in memory."""
        return cls(len(data), lambda: BytesIO(data))

    def slice(self, start: int, size: int) -> Content:
        """Return the content of `size` bytes from the offset `start`. The range must exist."""
        return Content(size, lambda: _Slice(self.open(), start, size))

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes, or all bytes if there are fewer."""
        with self.open() as stream:
            return stream.read(size)

    def read_all(self, limit: int) -> bytes:
        """Return all bytes.

        Raises:
            UnexplainedError: The content is larger than `limit` bytes.
        """
        if self.size > limit:
            raise UnexplainedError(f"it is larger than {limit:,} bytes")
        return self.head(limit)


class _Slice(BytesIO):
    """A stream of a byte range of another stream."""

    def __init__(self, stream: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._start = start
        self._size = size
        self._position = 0
        stream.seek(start)

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes of the range."""
        remaining = max(self._size - self._position, 0)
        data = self._stream.read(remaining if size is None or size < 0 else min(size, remaining))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to an offset in the range, counted from its start."""
        if whence:
            raise OSError("a slice seeks from its start only")
        self._position = offset
        self._stream.seek(self._start + offset)
        return offset

    def tell(self) -> int:
        """Return the offset in the range."""
        return self._position

    def close(self) -> None:
        """Close this stream and the underlying one."""
        self._stream.close()
        super().close()


@dataclass(frozen=True)
class ContentPair:
    """The left and the right content of one path.

    Attributes:
        path: Path in the model, or name of the archive member.
        left: Left content.
        right: Right content.
        is_member: Whether the contents are archive members.
        known: What is already known about their difference, None if nothing is.
    """

    path: str
    left: Content
    right: Content
    is_member: bool = False
    known: KnownDifference | None = None

    @property
    def larger_size(self) -> int:
        """Size of the larger content, in bytes."""
        return max(self.left.size, self.right.size)

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[tuple[bytes, bytes]]:
        """Yield the left and the right chunk at each offset, until both contents end."""
        with ExitStack() as stack:
            left, right = (stack.enter_context(content.open()) for content in (self.left, self.right))
            while True:
                pair = left.read(size), right.read(size)
                if not any(pair):
                    return
                yield pair


def read_text(content: Content, limit: int) -> str | None:
    """Return the content as UTF-8 text, or None if it is binary.

    Raises:
        UnexplainedError: The content is larger than `limit` bytes.
    """
    data = content.read_all(limit)
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None
