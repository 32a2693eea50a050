"""Two files, or two members of archives, as explainers read them: sizes and streams, never names to open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from typing import IO

CHUNK_BYTES = 256 * 1024


class UnexplainedError(Exception):
    """Why files cannot be explained as what their names say, as in `it is truncated`."""


@dataclass(frozen=True)
class Content:
    """Bytes that can be read from the start as often as wanted.

    Attributes:
        size: How many.
        open: A new stream of them, that can seek.
    """

    size: int
    open: Callable[[], IO[bytes]]

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> Content:
        """The content of a file."""
        return cls(os.stat(path).st_size, lambda: open(path, "rb"))

    @classmethod
    def of_bytes(cls, data: bytes) -> Content:
        """These bytes."""
        return cls(len(data), lambda: BytesIO(data))

    def part(self, start: int, size: int) -> Content:
        """Some of its bytes, which all are there."""
        return Content(size, lambda: _Part(self.open(), start, size))

    def head(self, size: int) -> bytes:
        """The first bytes."""
        with self.open() as stream:
            return stream.read(size)

    def whole(self, limit: int) -> bytes:
        """All bytes.

        Raises:
            UnexplainedError: They are more than `limit`.
        """
        if self.size > limit:
            raise UnexplainedError(f"it is larger than {limit:,} bytes")
        return self.head(limit)


class _Part(BytesIO):
    """A part of a stream, read from its start to its end."""

    def __init__(self, stream: IO[bytes], start: int, size: int) -> None:
        super().__init__()
        self._stream = stream
        self._remaining = size
        stream.seek(start)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes."""
        wanted = self._remaining if size is None or size < 0 else min(size, self._remaining)
        data = self._stream.read(wanted)
        self._remaining -= len(data)
        return data

    def close(self) -> None:
        """Closes the stream too."""
        self._stream.close()
        super().close()


@dataclass(frozen=True)
class ContentPair:
    """Two contents that differ.

    Attributes:
        path: In the model, or the member's name in an archive.
        left: The first.
        right: The second.
        is_member: Whether they are members of archives.
    """

    path: str
    left: Content
    right: Content
    is_member: bool = False

    @property
    def largest(self) -> int:
        """Bytes of the larger one."""
        return max(self.left.size, self.right.size)

    def chunks(self, size: int = CHUNK_BYTES) -> Iterator[tuple[bytes, bytes]]:
        """Both, read side by side until both end."""
        with ExitStack() as stack:
            left, right = (stack.enter_context(each.open()) for each in (self.left, self.right))
            while True:
                pair = left.read(size), right.read(size)
                if not any(pair):
                    return
                yield pair


def text_of(content: Content, limit: int) -> str | None:
    """The content as text; None if it is none.

    Raises:
        UnexplainedError: It is larger than `limit` bytes.
    """
    data = content.whole(limit)
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None
