"""Progress messages that a worker sends before the response: files found so far, bytes received."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

# Called with `{"files": N}` (total so far) or `{"bytes": N}` (increment).
ProgressCallback = Callable[[dict[str, Any]], None]

# Minimum increment that is worth a message.
_REPORT_BYTES = 4 * 1024 * 1024


class TransferProgress:
    """Collects the received bytes of one file, and reports them in large increments. Thread-safe."""

    def __init__(self, on_progress: ProgressCallback) -> None:
        self._on_progress = on_progress
        self._unreported = 0
        self._received = 0
        # Bytes that arrive again after a restart, and were counted before.
        self._repeated = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Add `count` received bytes."""
        with self._lock:
            repeated = min(count, self._repeated)
            self._repeated -= repeated
            self._received += count - repeated
            self._unreported += count - repeated
            if self._unreported < _REPORT_BYTES:
                return
            increment, self._unreported = self._unreported, 0
        self._on_progress({"bytes": increment})

    def restart(self) -> None:
        """Start the file again. Bytes that were counted before are not counted twice."""
        with self._lock:
            self._repeated = self._received
