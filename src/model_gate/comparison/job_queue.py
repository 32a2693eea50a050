"""Decides which job begins next, within the bounds on the jobs in progress. This module does no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from model_gate.comparison.jobs import Job

# The total size of the files in progress is at most MAX_LARGE_PAIRS times the size of the largest job, and at most
# MAX_BYTES_IN_PROGRESS unless a single job is larger. _MIN_BYTES_IN_PROGRESS are always allowed, so that small files
# keep the connections busy. Small jobs do not count: all of them in progress have at most 8 MiB.
MAX_LARGE_PAIRS = 8
MAX_BYTES_IN_PROGRESS = 448 * 1024**2
_MIN_BYTES_IN_PROGRESS = 64 * 1024**2
MAX_PAIRS_IN_PROGRESS = 64


@dataclass(frozen=True)
class QueuedJob:
    """A job with the way in which it is compared.

    Attributes:
        job: The job.
        is_windowed: Whether its files are compared window by window.
    """

    job: Job
    is_windowed: bool = False

    @property
    def counted_bytes(self) -> int:
        """The bytes that count against the bound on whole files in progress."""
        return 0 if self.is_windowed or self.job.is_small else self.job.size


class JobQueue:
    """The jobs that have not begun. Not thread-safe.

    The next job begins when it fits into the bounds. Until then, small jobs from the end of the queue begin. After the
    large files, their round trips would take more time.

    Args:
        whole: Jobs whose files are on disk whole, the largest first.
        windowed: Jobs whose files are compared window by window. They begin before the jobs in `whole`, one after the
            other: the windows of one job fill the scratch space.
        overlaps: Whether small jobs may be in progress together with a windowed job.
    """

    def __init__(self, whole: Iterable[Job], windowed: Iterable[Job] = (), *, overlaps: bool = False) -> None:
        self._whole = deque(whole)
        self._windowed = deque(windowed)
        self._overlaps = overlaps
        self._max_bytes = _max_bytes_in_progress(self._whole[0].size) if self._whole else 0
        self._paths = self._bytes = 0
        self._is_windowing = False

    @property
    def is_idle(self) -> bool:
        """Whether no job is in progress."""
        return not self._paths

    def begin_next(self) -> QueuedJob | None:
        """Return the job that begins now, and count it as in progress. Return None if no job may begin now."""
        if self._windowed and not self._is_windowing and not self._bytes and (self._overlaps or self.is_idle):
            return self._begin(QueuedJob(self._windowed.popleft(), is_windowed=True))
        is_windowed_first = bool(self._windowed) or self._is_windowing
        if self._whole and not is_windowed_first and self._fits(self._whole[0]):
            return self._begin(QueuedJob(self._whole.popleft()))
        may_fill = self._overlaps or not is_windowed_first
        if self._whole and may_fill and self._whole[-1].is_small and self._fits(self._whole[-1]):
            return self._begin(QueuedJob(self._whole.pop()))
        return None

    def end(self, queued: QueuedJob) -> None:
        """Count a job as no longer in progress."""
        self._paths -= queued.job.paths
        self._bytes -= queued.counted_bytes
        if queued.is_windowed:
            self._is_windowing = False

    def _begin(self, queued: QueuedJob) -> QueuedJob:
        self._paths += queued.job.paths
        self._bytes += queued.counted_bytes
        self._is_windowing = self._is_windowing or queued.is_windowed
        return queued

    def _fits(self, job: Job) -> bool:
        if self.is_idle:
            return True
        return (
            self._paths + job.paths <= MAX_PAIRS_IN_PROGRESS
            and self._bytes + QueuedJob(job).counted_bytes <= self._max_bytes
        )


def _max_bytes_in_progress(largest: int) -> int:
    """Return how many bytes may be in progress at once, if the largest job has `largest` bytes."""
    return max(largest, min(MAX_BYTES_IN_PROGRESS, max(MAX_LARGE_PAIRS * largest, _MIN_BYTES_IN_PROGRESS)))
