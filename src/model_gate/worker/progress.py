"""What a side tells of a request before it has the answer: how many files were found, how many bytes have come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

ProgressCallback = Callable[[dict[str, Any]], None]

_TOLD_BYTES = 4 * 1024 * 1024


class TransferProgress:
    """Adds up what has come, and notes it in steps that are worth a message."""

    def __init__(self, note: ProgressCallback) -> None:
        self._note = note
        self._count = 0
        self._come = 0
        self._again = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """So many bytes more."""
        with self._lock:
            again = min(count, self._again)
            self._again -= again
            self._come += count - again
            self._count += count - again
            if self._count < _TOLD_BYTES:
                return
            told, self._count = self._count, 0
        self._note({"bytes": told})

    def restart(self) -> None:
        """All is fetched anew: as many bytes as have come will come again, and are not told twice."""
        with self._lock:
            self._again = self._come
