"""Windows: the parts in which large files are read, compared and dropped, so that no large file is on disk whole.

>>> [(window.start, window.size) for window in windows_of(20, 8)]
[(0, 8), (8, 8), (16, 4)]
>>> Windows().ahead(files=2, is_started=True)
28
>>> [Windows().for_servers(are_near=are_near).ahead(files=2, is_started=True) for are_near in (True, False)]
[4, 28]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

_MIB = 1024**2


@dataclass(frozen=True)
class Window:
    """The bytes of a file from `start` up to, but not including, `stop`. The first window has the number 0."""

    number: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of bytes in the window."""
        return self.stop - self.start


@dataclass(frozen=True)
class Windows:
    """Sizes that bound the scratch space, the memory and the transfer of files that are read in windows.

    Attributes:
        threshold_bytes: A file with more bytes is read in windows, if its source can do so.
        rewritable_threshold_bytes: The same for the files of a pair that can be equivalent although the bytes differ.
            Only a comparison of whole files is certain to find that.
        window_bytes: Bytes of a window. The last window of a file can be smaller.
        scratch_bytes: Bytes of all windows on disk at the same time.
        near_scratch_bytes: Bytes of all windows on disk if all servers are near. A near server sends a file in one
            response. A low bound makes the responses arrive at the same rate, so that no response is left to arrive
            alone while a processor is idle.
        first_bytes: Bytes of all windows that are requested before the first window is compared. A difference at the
            front of a file is found before more is transferred.
        explained_bytes: Bytes that are read again to explain the difference of two files.
        explained_seconds: No such read begins later than this after the first one. A pair that can be equivalent, and
            was compared to its end, also has the seconds of a transfer at the smallest rate (`Limits`).
    """

    threshold_bytes: int = 256 * _MIB
    rewritable_threshold_bytes: int = 2048 * _MIB
    window_bytes: int = 8 * _MIB
    scratch_bytes: int = 448 * _MIB
    near_scratch_bytes: int = 64 * _MIB
    first_bytes: int = 192 * _MIB
    explained_bytes: int = 256 * _MIB
    explained_seconds: float = 60.0

    def is_large(self, size: int) -> bool:
        """Return whether a file of `size` bytes is read in windows."""
        return size > self.threshold_bytes

    def for_servers(self, *, are_near: bool) -> Windows:
        """Return these sizes with the scratch space for near servers, or for others."""
        if not are_near:
            return self
        scratch_bytes = min(self.scratch_bytes, self.near_scratch_bytes)
        return replace(self, scratch_bytes=scratch_bytes, first_bytes=min(self.first_bytes, scratch_bytes))

    def ahead(self, files: int, *, is_started: bool) -> int:
        """Return how many windows of each file may be requested and not yet released.

        Args:
            files: Number of files that are read side by side.
            is_started: Whether the first window has been compared.
        """
        allowed = self.scratch_bytes if is_started else self.first_bytes
        return max(1, allowed // (self.window_bytes * files))


WINDOWS = Windows()


def windows_of(size: int, window_bytes: int) -> Iterator[Window]:
    """Yield the windows of a file of `size` bytes in order. An empty file has no window."""
    for number, start in enumerate(range(0, size, window_bytes)):
        yield Window(number, start, min(start + window_bytes, size))
