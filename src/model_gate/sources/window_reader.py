"""Reads large files side by side, window by window, with a bound on the windows that are on disk.

One file alone can be read too, for example to compute its hash without keeping it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import NamedTuple

from model_gate.domain.windows import WINDOWS, Window, Windows
from model_gate.sources.windowed_file import WindowedFile


class ReadWindow(NamedTuple):
    """The same window of several files.

    Attributes:
        start: Offset of the window in the files.
        files: The local path of each file's window. A file that ends before the window has no entry.
    """

    start: int
    files: dict[WindowedFile, str]


class WindowReader:
    """Reads the windows of one or several files in order. Use it as a context manager, and iterate over it once.

    A file that is faster than another one waits: at most `Windows.scratch_bytes` are requested and not yet released.

    Args:
        files: The files to read side by side.
        windows: The sizes of windows and of the scratch space.
    """

    def __init__(self, files: Sequence[WindowedFile], windows: Windows = WINDOWS) -> None:
        self._files = list(files)
        self._count = len(files)
        self._windows = windows
        self._pending: deque[dict[WindowedFile, Future[str]]] = deque()
        self._requested = 0

    def __enter__(self) -> WindowReader:
        return self

    def __exit__(self, *_: object) -> None:
        for file in list(self._files):
            self.drop(file)

    def __iter__(self) -> Iterator[ReadWindow]:
        """Yield each window when it has arrived from all files. Its local files are given back at the next step.

        Raises:
            ModelGateError: A transfer failed.
        """
        number = 0
        while True:
            self._request(number)
            if not self._pending:
                return
            reads = self._pending[0]
            wait(reads.values(), return_when=FIRST_EXCEPTION)
            for read in reads.values():
                if read.done():
                    read.result()
            self._pending.popleft()
            files = {file: read.result() for file, read in reads.items()}
            try:
                yield ReadWindow(number * self._windows.window_bytes, files)
            finally:
                for file, path in files.items():
                    file.release(path)
            number += 1

    def drop(self, file: WindowedFile) -> None:
        """Read no further window of a file."""
        self._files.remove(file)
        pending = [read for reads in self._pending if (read := reads.pop(file, None)) is not None]
        if pending:
            file.stop()
        for read in pending:
            read.add_done_callback(lambda done: _release(file, done))
        while self._pending and not self._pending[-1]:
            self._pending.pop()

    def _request(self, number: int) -> None:
        """Request the windows from `number` on, as far as the bounds allow it."""
        ahead = self._windows.ahead(self._count, is_started=number > 0)
        length = self._windows.window_bytes
        while self._requested < number + ahead:
            start = self._requested * length
            reads = {
                file: file.begin_read(Window(self._requested, start, min(start + length, file.size)))
                for file in self._files
                if start < file.size
            }
            if not reads:
                return
            self._requested += 1
            self._pending.append(reads)


def _release(file: WindowedFile, read: Future[str]) -> None:
    if read.exception() is None:
        file.release(read.result())
