"""Fetches and compares the files of pairs of models.

Each pair of files is compared as soon as both files have arrived. The number and the total size of the files in
progress are limited.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

from model_gate.comparison.fail_fast_pool import FailFastPool
from model_gate.comparison.fetching import begin_fetch
from model_gate.comparison.file_comparison import FileComparison, compare_pair, compare_sizes
from model_gate.comparison.job_queue import BegunJob, JobQueue
from model_gate.comparison.jobs import Job, SourceFile, batch_small_jobs, plan_jobs
from model_gate.comparison.model_pair import ModelPair
from model_gate.comparison.progress import Progress
from model_gate.comparison.renamed_files import explain_renamed
from model_gate.comparison.small_files.common import NO_SMALL_FILES, SMALL_PAIR_BYTES, SmallFiles
from model_gate.comparison.windowed_comparison import WindowedComparison, is_windowed
from model_gate.domain.location import store_of_uri
from model_gate.domain.windows import WINDOWS, Windows
from model_gate.explanation import Explainer
from model_gate.sources.model_source import ModelSource

# Comparing and hashing release the interpreter lock, so several threads run at once. Reading small files does not.
_COMPARE_THREADS = min(4, os.cpu_count() or 1)


def compare_files(
    model_pairs: Sequence[ModelPair],
    progress: Progress,
    is_enough: Callable[[FileComparison], bool] | None = None,
    small_files: SmallFiles = NO_SMALL_FILES,
    windows: Windows = WINDOWS,
) -> dict[ModelPair, list[FileComparison]]:
    """Compare the files of each pair of models.

    If the listings prove that two models differ, the other files are compared too, up to the limit of `plan_jobs`.

    Args:
        model_pairs: The pairs of models.
        progress: Receives the progress of the fetches and comparisons.
        is_enough: Returns whether a file comparison settles the verdict of its pair of models. Other files of these
            models, if their fetch has not begun, are then compared only by their listed sizes. So are all files of
            models whose listings prove a difference. None to continue after the verdict is settled.
        small_files: Small files of this machine that are compared in processes of their own. Only for one pair of
            models.
        windows: Which files are compared window by window, and how.

    Returns:
        The file comparisons of each pair of models, in no particular order.

    Raises:
        ModelGateError: A transfer failed, or a file could not be read.
    """
    comparisons: dict[ModelPair, list[FileComparison]] = {model_pair: [] for model_pair in model_pairs}
    sources = {model.source for pair in model_pairs for model in (pair.left, pair.right)}
    are_all_near = all(source.is_near for source in sources)
    # A tracking server may have few threads, or reject a request while it sends a large file. The response of a file in
    # windows takes no slot of the limiter, so the worker would send requests for small files beside it.
    uses_no_server = all(source.is_local or store_of_uri(source.location.uri) for source in sources)
    plan = plan_jobs(model_pairs, stops_when_decided=is_enough is not None)
    for model_pair, pair in plan.unfetched:
        comparisons[model_pair].append(compare_sizes(pair))
    progress.begin(sum(job.paths for job in plan.jobs), plan.bytes_by_model())
    runner = _JobRunner(progress, is_enough or _never, small_files, windows)
    compared = runner.run(plan.jobs, batches_small_jobs=are_all_near, overlaps_windows=uses_no_server)
    for model_pair, comparison in compared:
        comparisons[model_pair].append(comparison)
    return comparisons


def _never(_: FileComparison) -> bool:
    return False


class _ComparedPair(NamedTuple):
    """A file comparison with its pair of models."""

    model_pair: ModelPair
    comparison: FileComparison


@dataclass(frozen=True)
class _FinishedJob:
    """A finished job. `result` holds the comparisons of its pairs, or the error of a failed transfer."""

    begun: BegunJob
    result: Future[list[_ComparedPair]]


@dataclass
class _Countdown:
    """The number of unfinished fetches of a job. Threads of several clients reduce this number."""

    remaining: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_last(self) -> bool:
        """Count a finished fetch, and return whether it was the last fetch of the job."""
        with self.lock:
            self.remaining -= 1
            return not self.remaining


class _JobRunner:
    """Runs jobs: fetches their files, compares the pairs of files and releases the files.

    Only the thread that calls `run` changes the attributes. Other threads put finished jobs into a queue.
    """

    def __init__(
        self,
        progress: Progress,
        is_enough: Callable[[FileComparison], bool],
        small_files: SmallFiles,
        windows: Windows,
    ) -> None:
        self._progress = progress
        self._is_enough = is_enough
        self._small_files = small_files
        self._windows = windows
        self._explainer = Explainer()
        self._settled: set[ModelPair] = set()
        self._finished: SimpleQueue[_FinishedJob] = SimpleQueue()
        self._in_windows: WindowedComparison | None = None

    def run(self, jobs: Iterable[Job], *, batches_small_jobs: bool, overlaps_windows: bool) -> list[_ComparedPair]:
        """Run all jobs and return the comparisons of all pairs of files.

        Args:
            jobs: The jobs, the largest first.
            batches_small_jobs: Whether small jobs are merged into batches.
            overlaps_windows: Whether small files may be fetched while a large file is read in windows.
        """
        windowed: list[Job] = []
        local_small: list[Job] = []
        whole: list[Job] = []
        for job in jobs:
            if is_windowed(job, self._windows):
                windowed.append(job)
                continue
            (local_small if job.size < SMALL_PAIR_BYTES and job.is_local else whole).append(job)
        if batches_small_jobs:
            whole = list(batch_small_jobs(whole))
        # One thread more: a comparison in windows mostly waits for the next window.
        with FailFastPool(_COMPARE_THREADS + bool(windowed)) as pool, self._stopping_windows():
            if self._is_enough is _never:
                compared = self._run_queue(JobQueue(whole, windowed, overlaps_windows=overlaps_windows), pool)
                return compared + self._run_local_small(local_small)
            # A difference in another file makes the transfer of the large files unnecessary.
            compared = self._run_queue(JobQueue(whole), pool) + self._run_local_small(local_small)
            return compared + self._run_queue(JobQueue((), windowed), pool)

    @contextmanager
    def _stopping_windows(self) -> Iterator[None]:
        """If the block raises, end the transfer of the file that is read in windows: the pool does not wait for it."""
        try:
            yield
        except BaseException:
            if self._in_windows is not None:
                self._in_windows.stop()
            raise

    def _run_local_small(self, jobs: Sequence[Job]) -> list[_ComparedPair]:
        """Compare small local files, and return the results in the order of the jobs.

        Most pairs are equal. Reading many pairs at once finds the equal pairs quickly. The others are then compared one
        by one.
        """
        compared: list[_ComparedPair] = []
        for job in jobs:
            if self._settled and self._is_settled(job):
                compared += self._compare_sizes(job)
            elif len(job.pairs) == 1 and (digest := self._small_files.digest_if_equal(job.pairs[0].pair)):
                model_pair, pair = job.pairs[0]
                compared += self._settle([_ComparedPair(model_pair, FileComparison(pair, None, digest, digest))])
                self._progress.advance(1)
            else:
                compared += self._settle(self._compare(job, _local_files(self._begin_fetches(job))))
        return compared

    def _run_queue(self, queue: JobQueue, pool: ThreadPoolExecutor) -> list[_ComparedPair]:
        """Run all jobs of a queue, and return the comparisons of their pairs."""
        compared: list[_ComparedPair] = []
        while True:
            while (begun := queue.begin_next()) is not None:
                if self._is_settled(begun.job):
                    compared += self._compare_sizes(begun.job)
                    queue.end(begun)
                elif begun.is_windowed:
                    self._start_windowed(begun, pool)
                else:
                    self._start_whole(begun, pool)
            if queue.is_idle:
                return compared
            finished = self._finished.get()
            queue.end(finished.begun)
            if finished.begun.is_windowed:
                self._in_windows = None
            compared += self._settle(finished.result.result())

    def _settle(self, compared: list[_ComparedPair]) -> list[_ComparedPair]:
        """Record which pairs of models have a verdict after these file comparisons, and return the file comparisons."""
        for model_pair, comparison in compared:
            if self._is_enough(comparison):
                self._settled.add(model_pair)
        return compared

    def _is_settled(self, job: Job) -> bool:
        return all(pending.model_pair in self._settled for pending in job.pairs)

    def _compare_sizes(self, job: Job) -> list[_ComparedPair]:
        self._progress.advance(job.paths)
        return [_ComparedPair(model_pair, compare_sizes(pair)) for model_pair, pair in job.pairs]

    def _start_windowed(self, begun: BegunJob, pool: ThreadPoolExecutor) -> None:
        """Begin to compare the large files of a job in the pool, window by window."""
        self._in_windows = WindowedComparison(
            begun.job, self._windows, self._explainer, self._is_enough, self._progress
        )
        comparing = pool.submit(self._compare_windows, begun.job, self._in_windows)
        comparing.add_done_callback(lambda result: self._finished.put(_FinishedJob(begun, result)))

    def _compare_windows(self, job: Job, comparison: WindowedComparison) -> list[_ComparedPair]:
        files = zip(job.pairs, comparison.run(), strict=True)
        compared = [_ComparedPair(pending.model_pair, file) for pending, file in files]
        self._progress.advance(job.paths)
        return compared

    def _start_whole(self, begun: BegunJob, pool: ThreadPoolExecutor) -> None:
        """Begin to fetch the files of a job. The pool compares the pairs after all files of the job have arrived."""
        job = begun.job
        fetches = self._begin_fetches(job)
        countdown = _Countdown(len(fetches))

        def on_fetched(fetch: Future[dict[str, str]]) -> None:
            if error := fetch.exception():
                # One failed fetch fails the whole job: none of its pairs is compared.
                failed: Future[list[_ComparedPair]] = Future()
                failed.set_exception(error)
                self._finished.put(_FinishedJob(begun, failed))
            elif countdown.is_last():
                try:
                    comparing = pool.submit(self._compare, job, _local_files(fetches))
                except RuntimeError:
                    # The pool is shut down because another job failed, so nothing waits for this job.
                    return
                comparing.add_done_callback(lambda result: self._finished.put(_FinishedJob(begun, result)))

        for fetch in fetches.values():
            fetch.add_done_callback(on_fetched)

    def _begin_fetches(self, job: Job) -> dict[ModelSource, Future[dict[str, str]]]:
        """Begin to fetch all files of a job, with one request to each source. Return one future for each source."""
        sizes_by_source: dict[ModelSource, dict[str, int]] = {}
        for (source, path), size in job.file_sizes().items():
            sizes_by_source.setdefault(source, {})[path] = size
        return {source: begin_fetch(source, sizes, self._progress) for source, sizes in sizes_by_source.items()}

    def _compare(self, job: Job, files: Mapping[SourceFile, str]) -> list[_ComparedPair]:
        """Compare the pairs of a job, then release the local files. `files` holds the local path of each file."""
        compared: list[_ComparedPair] = []
        local_files = [
            (None if left is None else files[left], None if right is None else files[right])
            for left, right in ((pending.left, pending.right) for pending in job.pairs)
        ]
        for pending, (left, right) in zip(job.pairs, local_files, strict=True):
            comparison = compare_pair(pending.pair, left, right, self._explainer)
            compared.append(_ComparedPair(pending.model_pair, comparison))
        if job.has_counterparts:
            compared = self._explain_renamed(compared, local_files)
        for (source, _), file in files.items():
            source.release(file)
        self._progress.advance(job.paths)
        return compared

    def _explain_renamed(
        self, compared: list[_ComparedPair], files: list[tuple[str | None, str | None]]
    ) -> list[_ComparedPair]:
        """Explain files with random names by their counterparts, which are in the same job."""
        result = list(compared)
        for model_pair in dict.fromkeys(each.model_pair for each in compared):
            numbers = [number for number, each in enumerate(compared) if each.model_pair is model_pair]
            comparisons = [compared[number].comparison for number in numbers]
            explained = explain_renamed(comparisons, [files[number] for number in numbers], self._explainer)
            for number, comparison in zip(numbers, explained, strict=True):
                result[number] = _ComparedPair(model_pair, comparison)
        return result


def _local_files(fetches: Mapping[ModelSource, Future[dict[str, str]]]) -> dict[SourceFile, str]:
    """Return the local path of each file of finished fetches, or raise the error of a failed fetch."""
    return {
        SourceFile(source, path): file for source, fetch in fetches.items() for path, file in fetch.result().items()
    }
