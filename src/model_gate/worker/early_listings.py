"""Listings that begin before the parent process requests them.

While a version is resolved, the worker knows the location of a model earlier than the parent does: the lineage and the
other model's location take further round trips.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from model_gate.domain.progress import ProgressCallback

# Returns the sizes of the files at a URI by their paths, and reports how many files are found.
ReadListing = Callable[[str, ProgressCallback], dict[str, int]]

# An early listing that is requested later than this is read again, because the model may have changed since.
_MAX_AGE_SECONDS = 5.0
_THREADS = 8


class EarlyListings:
    """Reads listings, and can begin to read a listing before its result is requested. Thread-safe.

    Each early listing is used once, so that a second request reads the model anew.

    Args:
        read: Reads the listing of a URI.
        clock: Returns the time in seconds.
    """

    def __init__(self, read: ReadListing, clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._pool = ThreadPoolExecutor(_THREADS)
        self._lock = threading.Lock()
        self._begun: dict[str, _EarlyListing] = {}

    def begin(self, uri: str) -> None:
        """Begin to read the listing of `uri`. An error is raised by `read`.

        The listing replaces one that has begun earlier, so that it is never older than the gate that reads it.
        """
        listing = _EarlyListing(lambda progress: self._read(uri, progress), self._pool, self._clock())
        with self._lock:
            # A listing that nobody has read must not stay in memory.
            self._begun = {other: begun for other, begun in self._begun.items() if self._is_recent(begun)}
            self._begun[uri] = listing

    def read(self, uri: str, on_progress: ProgressCallback) -> dict[str, int]:
        """Return the listing that has begun, or read it now. `on_progress` is called with the number of `files`."""
        with self._lock:
            begun = self._begun.pop(uri, None)
        # A listing that still waits for a thread is read by this one.
        if begun is None or not self._is_recent(begun) or begun.cancel():
            return self._read(uri, on_progress)
        return begun.result(on_progress)

    def _is_recent(self, listing: _EarlyListing) -> bool:
        return self._clock() - listing.begun_at <= _MAX_AGE_SECONDS


class _EarlyListing:
    """A listing that is being read. Its progress is reported from the call of `result` on."""

    def __init__(
        self, read: Callable[[ProgressCallback], dict[str, int]], pool: ThreadPoolExecutor, begun_at: float
    ) -> None:
        self.begun_at = begun_at
        self._on_progress: ProgressCallback | None = None
        self._future: Future[dict[str, int]] = pool.submit(read, self._report)

    def cancel(self) -> bool:
        """Return whether the listing is not read any more, because no thread has begun to read it."""
        return self._future.cancel()

    def result(self, on_progress: ProgressCallback) -> dict[str, int]:
        self._on_progress = on_progress
        return self._future.result()

    def _report(self, note: dict[str, Any]) -> None:
        if self._on_progress is not None:
            self._on_progress(note)
