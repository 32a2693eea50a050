"""Progress messages that a worker sends to the parent during an operation."""

from __future__ import annotations

import threading

from model_gate.domain.progress import ProgressCallback

# A message is sent for every 4 MiB, because a message for each received piece would take too long.
_REPORT_BYTES = 4 * 1024 * 1024


class TransferProgress:
    """Counts the received bytes of one file, and sends a progress message for every 4 MiB. Thread-safe."""

    def __init__(self, on_progress: ProgressCallback) -> None:
        self._on_progress = on_progress
        self._unreported = 0
        self._received = 0
        # Number of bytes still to ignore: after a restart, the bytes that were counted before arrive again.
        self._repeated = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count `count` more received bytes."""
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
        """Prepare for a download of the same file from its start. Bytes counted before are not counted again."""
        with self._lock:
            self._repeated = self._received
