"""Limits of the operating system for this process: memory, and the size of the files that it writes.

They stop a server whose data bypasses the limits of `response_limits`. If the system does not support a limit, the
process runs without it.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import signal
import threading
from pathlib import Path

from model_gate.domain.limits import LIMITS, Limits

_STATUS = Path("/proc/self/status")


def limit_memory(limits: Limits = LIMITS) -> None:
    """Limit the memory that this process may allocate from now on. Call this before the process starts its threads.

    The limit is RLIMIT_DATA. Linux counts private writable pages for it, including the stacks of threads, but not pages
    that are only reserved. RLIMIT_AS would also count those: each thread reserves 64 MiB for its allocations. On macOS,
    neither of the two limits has an effect.
    """
    with contextlib.suppress(ValueError, RuntimeError):
        # The default stack of each thread, 8 MiB, would count in full.
        threading.stack_size(limits.thread_stack)
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = _STATUS.read_text("ascii")
        used = int(text.partition("VmData:")[2].split()[0]) * 1024
        _lower(resource.RLIMIT_DATA, used + limits.worker_memory)


class FileSizeLimit:
    """Limit for the size of each file that this process writes.

    Writing beyond the limit raises an OSError with EFBIG. It does not end the process by a signal.

    The limit starts at `worker_file_bytes`, and `allow` raises it by the size of the largest file that is requested.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._slack = limits.worker_file_bytes
        self._allowed = 0
        self._lock = threading.Lock()
        self._original = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.allow(0)

    def allow(self, size: int) -> None:
        """Raise the limit if a file of `size` bytes needs it. The limit never shrinks."""
        with self._lock:
            if size < self._allowed:
                return
            self._allowed = size
            wanted = size + self._slack
            if self._original != resource.RLIM_INFINITY:
                wanted = min(wanted, self._original)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            with contextlib.suppress(OSError, ValueError, OverflowError):
                resource.setrlimit(resource.RLIMIT_FSIZE, (wanted, hard))

    def is_cause_of(self, error: BaseException) -> bool:
        """Return whether `error` means that a file exceeded this limit, and not a limit that the user has set."""
        soft = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return isinstance(error, OSError) and error.errno == errno.EFBIG and soft != self._original


def _lower(kind: int, limit: int) -> None:
    soft, hard = resource.getrlimit(kind)
    current = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([limit, *current]), hard))
