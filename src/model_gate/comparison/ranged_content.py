"""The content of a large file that is not on this machine, read by range for an explanation, within a budget."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from typing import IO, Any

from model_gate.domain.wording import byte_count, printable
from model_gate.errors import ModelGateError, RereadError, TransferError
from model_gate.explanation.content import Content, UnexplainedError
from model_gate.sources.windowed_file import WindowedFile

# Each range that follows the previous one is twice as large, because a request costs a distant server a round trip.
_FIRST_BYTES, _MAX_BYTES = 64 * 1024, 8 * 1024 * 1024


class ReadBudget:
    """How much may be read again to explain or to describe files, and for how long.

    Args:
        path: Path of the files in the model, for error messages.
        size: Number of bytes.
        seconds: The time after the first read in which further reads may begin; infinity for no limit.
        clock: Returns the time in seconds.

    Attributes:
        failure: The error that ended the reads, None if none did. It may not occur in another run. A server that can
            never send a part again is no failure.
    """

    def __init__(self, path: str, size: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._total = self._remaining = size
        self._seconds = seconds
        self._clock = clock
        self._begun_at: float | None = None
        self.failure: ModelGateError | None = None

    def spend(self, size: int) -> None:
        """Count `size` bytes that are read now.

        Raises:
            UnexplainedError: The bytes or the seconds are spent.
        """
        now = self._clock()
        if self._begun_at is None:
            self._begun_at = now
        if now - self._begun_at > self._seconds:
            self.failure = TransferError(
                f"{printable(self._path)} could not be read again within {self._seconds:,.0f} seconds.",
                "Check the server and the network, or run the gate again.",
            )
            raise UnexplainedError(
                f"Model Gate reads both files again for at most {self._seconds:g} seconds to explain a difference"
            )
        if size > self._remaining:
            raise UnexplainedError(
                f"Model Gate reads at most {byte_count(self._total)} of both files again to explain a difference"
            )
        self._remaining -= size


def ranged_content(file: WindowedFile, budget: ReadBudget) -> Content:
    """Return the content of a file whose windows were read."""

    def open_stream() -> IO[bytes]:
        return io.BufferedReader(_RangedStream(file, budget), _FIRST_BYTES)

    return Content(file.size, open_stream)


class _RangedStream(io.RawIOBase):
    """A seekable stream that requests ranges of a file and keeps the last one in memory."""

    def __init__(self, file: WindowedFile, budget: ReadBudget) -> None:
        self._file = file
        self._budget = budget
        self._position = 0
        self._start = 0
        self._range = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the position, and return it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size}[whence]
        if origin + offset < 0:
            raise ValueError("negative position")
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`, and return the number of bytes; 0 is the end of the file.

        Raises:
            UnexplainedError: The budget is spent, or the file cannot be read again.
        """
        wanted = min(len(buffer), self._file.size - self._position)
        if wanted <= 0:
            return 0
        if not self._start <= self._position < self._start + len(self._range):
            self._request(wanted)
        offset = self._position - self._start
        data = self._range[offset : offset + wanted]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _request(self, wanted: int) -> None:
        is_next = bool(self._range) and self._position == self._start + len(self._range)
        size = max(min(wanted, _MAX_BYTES), min(2 * len(self._range), _MAX_BYTES) if is_next else _FIRST_BYTES)
        size = min(size, self._file.size - self._position)
        self._budget.spend(size)
        try:
            self._range = self._file.read_again(self._position, size)
        except ModelGateError as error:
            if not isinstance(error, RereadError):
                self._budget.failure = error
            raise UnexplainedError(f"it cannot be read again: {error.message}") from error
        self._start = self._position
