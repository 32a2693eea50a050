"""Decides which job begins next, within the bounds on the jobs in progress. This module does no I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from model_gate.comparison.jobs import Job

# The whole files in progress have at most MAX_LARGE_PAIRS times the size of the largest job, and at most
# MAX_BYTES_IN_PROGRESS unless one job is larger. _MIN_BYTES_IN_PROGRESS are always allowed, so that files of 128 KiB to
# a few MiB keep the connections busy. Small jobs do not count: MAX_PAIRS_IN_PROGRESS of them have less than 8 MiB.
MAX_LARGE_PAIRS = 8
MAX_BYTES_IN_PROGRESS = 448 * 1024**2
_MIN_BYTES_IN_PROGRESS = 64 * 1024**2
MAX_PAIRS_IN_PROGRESS = 64


@dataclass(frozen=True)
class BegunJob:
    """A job that has begun, and how its files are compared.

    Attributes:
        job: The job.
        is_windowed: Whether its files are compared window by window.
    """

    job: Job
    is_windowed: bool = False


class JobQueue:
    """Jobs that wait, and the space of the jobs in progress. Not thread-safe.

    The next job begins as soon as it fits within the bounds. Until then, small jobs begin from the end of the queue, so
    that their round trips overlap the transfer of large files.

    Args:
        whole: Jobs whose files are on disk whole: the largest first, then batches of small jobs.
        windowed: Jobs whose files are compared window by window. They begin before the jobs in `whole`, one after the
            other, because the windows of one job fill the scratch space.
        overlaps_windows: Whether small jobs may be in progress together with a windowed job.
    """

    def __init__(self, whole: Iterable[Job], windowed: Iterable[Job] = (), *, overlaps_windows: bool = False) -> None:
        self._whole = deque(whole)
        self._windowed = deque(windowed)
        self._overlaps_windows = overlaps_windows
        self._max_bytes = _max_bytes_in_progress(self._whole[0].size) if self._whole else 0
        self._paths = self._bytes = 0
        self._is_reading_windows = False

    @property
    def is_idle(self) -> bool:
        """Whether no job is in progress."""
        return not self._paths

    def begin_next(self) -> BegunJob | None:
        """Return the job that begins now, and count it as in progress. Return None if no job may begin now."""
        if self._windowed and not self._is_reading_windows:
            return self._begin(BegunJob(self._windowed.popleft(), is_windowed=True))
        if self._whole and not self._is_reading_windows and self._fits(self._whole[0]):
            return self._begin(BegunJob(self._whole.popleft()))
        if self._may_begin_small and self._fits(self._whole[-1]):
            return self._begin(BegunJob(self._whole.pop()))
        return None

    def end(self, begun: BegunJob) -> None:
        """Count a job as no longer in progress."""
        self._paths -= begun.job.paths
        if begun.is_windowed:
            self._is_reading_windows = False
        else:
            self._bytes -= _counted_bytes(begun.job)

    def _begin(self, begun: BegunJob) -> BegunJob:
        self._paths += begun.job.paths
        if begun.is_windowed:
            self._is_reading_windows = True
        else:
            self._bytes += _counted_bytes(begun.job)
        return begun

    @property
    def _may_begin_small(self) -> bool:
        is_allowed = self._overlaps_windows or not self._is_reading_windows
        return is_allowed and bool(self._whole) and self._whole[-1].is_small

    def _fits(self, job: Job) -> bool:
        if self.is_idle:
            return True
        has_space = self._bytes + _counted_bytes(job) <= self._max_bytes
        return has_space and self._paths + job.paths <= MAX_PAIRS_IN_PROGRESS


def _counted_bytes(job: Job) -> int:
    return 0 if job.is_small else job.size


def _max_bytes_in_progress(largest: int) -> int:
    """Return how many bytes may be in progress at once, if the largest job has `largest` bytes."""
    return max(largest, min(MAX_BYTES_IN_PROGRESS, max(MAX_LARGE_PAIRS * largest, _MIN_BYTES_IN_PROGRESS)))
