"""Returns free memory of this process to the system, so that its size does not grow with the files that it transfers.

The C library keeps memory that is freed. Each part of a file is read by another thread, and small objects that stay
between the freed buffers keep ever more pages: about 5 MiB for each GiB of a file. `malloc_trim` returns these pages.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

_INTERVAL_BYTES = 512 * 1024 * 1024


class FreeMemory:
    """Returns free memory after each 512 MiB of transferred files. Thread-safe.

    It takes some milliseconds. The C libraries of macOS and Alpine Linux have no `malloc_trim`, and nothing happens.

    Args:
        interval: Transferred bytes after which free memory is returned.
        trim: Returns free memory when it is called with 0; None for `malloc_trim`.
    """

    def __init__(self, interval: int = _INTERVAL_BYTES, trim: Callable[[int], object] | None = None) -> None:
        self._interval = interval
        self._transferred = 0
        self._lock = threading.Lock()
        self._trim = trim or getattr(ctypes.CDLL(None), "malloc_trim", None)

    def transferred(self, size: int) -> None:
        """Count `size` bytes of a file that was transferred, and return free memory if it is time."""
        with self._lock:
            self._transferred += size
            if self._transferred < self._interval:
                return
            self._transferred = 0
        if self._trim is not None:
            self._trim(0)
