"""Which files are fetched, in what order and how many at once; each pair is judged as soon as both halves are there."""

from __future__ import annotations

import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from model_gate.comparison.file_comparison import FileComparison, compare_pair, compare_sizes
from model_gate.comparison.progress import Progress
from model_gate.comparison.small_files.equality import SmallPair
from model_gate.comparison.small_files.processes import SmallFileComparer, process_count
from model_gate.domain.pairing import Pair, Pairing
from model_gate.explanation import Explainer, is_worth_fetching
from model_gate.sources.model_source import ModelSource

# Disk in use stays below the largest pair times WORKERS, and below USUAL_BYTES unless one pair alone is larger. Many
# small files may always be under way together: that is what keeps the connections busy.
WORKERS = 8
MAX_BYTES_IN_PROGRESS = 2 * 1024**3
_SMALL_BYTES = 64 * 1024**2
_MOST_PAIRS = 64
# Comparing and hashing let other threads run, reading small files does not.
_JUDGES = min(4, os.cpu_count() or 1)
# Pairs that are smaller are fetched together from near servers, so many at once: what is said of each takes as long as
# its bytes. From one that is far away, the first of them would wait for the last.
_TOGETHER_BYTES = 128 * 1024
_TOGETHER = 16
# A pair on this machine that is smaller is judged sooner than it is handed to another thread.
_LIGHT_BYTES = 1024 * 1024
# What is fetched of a match for no other reason than to be explained.
_MAX_EXPLAINED_BYTES = 64 * 1024 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True)
class ModelPair:
    """Two models whose files are to be judged; their locations are named by identity."""

    left: str
    right: str
    pairing: Pairing


@dataclass(frozen=True)
class _Job:
    """Pairs that are fetched together: those that share a file, so that it is fetched once, and small ones.

    Attributes:
        pairs: Each with the index of its match.
        size: Bytes to fetch.
        files: How many there are of different paths.
    """

    pairs: list[tuple[int, Pair]]
    size: int
    files: int = 1


def compare_files(
    matches: list[ModelPair],
    artifacts: Mapping[str, ModelSource],
    progress: Progress,
    is_enough: Callable[[FileComparison], bool] = lambda _: False,
) -> list[list[FileComparison]]:
    """The judgement of every pair of every match, in no particular order within a match.

    `artifacts` has the source of each location by its identity. Once the listings have decided a match, its files are
    fetched only where they explain the difference, unless they are on this machine anyway. After a judgement that
    `is_enough`, no further pair of its match is begun: what the listings say is all that is known of the others.

    Raises:
        ModelGateError: A transfer failed, or a file could not be read.
    """
    judgements: list[list[FileComparison]] = [[] for _ in matches]
    wanted: dict[str, list[tuple[int, Pair]]] = defaultdict(list)
    for index, match in enumerate(matches):
        at_hand = artifacts[match.left].is_at_hand and artifacts[match.right].is_at_hand
        is_decided = match.pairing.is_decided
        explained = _explained(match.pairing) if is_decided else set()
        for pair in match.pairing.pairs:
            if at_hand or not is_decided or pair in explained:
                wanted[pair.path].append((index, pair))
            else:
                judgements[index].append(compare_sizes(pair))
    # Largest first, so that the last ones to finish are small.
    jobs = sorted((_job(pairs, matches) for pairs in wanted.values()), key=lambda job: job.size, reverse=True)
    progress.begin(len(jobs), _to_fetch(jobs, matches, artifacts))
    for index, judgement in _Work(matches, artifacts, progress, is_enough).do_all(jobs):
        judgements[index].append(judgement)
    return judgements


def _to_fetch(jobs: Iterable[_Job], matches: list[ModelPair], artifacts: Mapping[str, ModelSource]) -> dict[str, int]:
    """Bytes to fetch, by the name of the model that they are of."""
    remote = {identity: source.name for identity, source in artifacts.items() if not source.is_at_hand}
    sizes: dict[str, int] = {}
    for job in jobs if remote else ():
        for (identity, _), size in _needs(job.pairs, matches).items():
            if identity in remote:
                sizes[remote[identity]] = sizes.get(remote[identity], 0) + size
    return sizes


def _explained(pairing: Pairing) -> set[Pair]:
    """The pairs that are fetched to be explained, although the listings have decided."""
    chosen: set[Pair] = set()
    size = 0
    for pair in pairing.pairs:
        if pair.left_size is None or pair.right_size is None or pair.ignored_by:
            continue
        if is_worth_fetching(pair.path, pair.left_size, pair.right_size):
            size += pair.left_size + pair.right_size
            if size > _MAX_EXPLAINED_BYTES:
                break
            chosen.add(pair)
    return chosen


def _job(pairs: list[tuple[int, Pair]], matches: list[ModelPair]) -> _Job:
    if len(pairs) == 1:
        index, pair = pairs[0]
        if matches[index].left != matches[index].right:
            return _Job(pairs, (pair.left_size or 0) + (pair.right_size or 0))
    return _Job(pairs, sum(_needs(pairs, matches).values()))


def _together(jobs: Iterable[_Job]) -> Iterator[_Job]:
    """The same jobs, with several small ones made one."""
    small: list[_Job] = []
    for job in jobs:
        if job.size >= _TOGETHER_BYTES:
            yield job
            continue
        small.append(job)
        if len(small) == _TOGETHER:
            yield _joined(small)
            small = []
    if small:
        yield _joined(small)


def _joined(jobs: list[_Job]) -> _Job:
    return _Job([pair for job in jobs for pair in job.pairs], sum(job.size for job in jobs), len(jobs))


def _needs(pairs: list[tuple[int, Pair]], matches: list[ModelPair]) -> dict[tuple[str, str], int]:
    """The bytes of every file that must be fetched, by the location's identity and the path in it."""
    needs: dict[tuple[str, str], int] = {}
    for index, pair in pairs:
        if pair.left is not None:
            needs[matches[index].left, pair.left] = pair.left_size or 0
        if pair.right is not None:
            needs[matches[index].right, pair.right] = pair.right_size or 0
    return needs


_Judged = list[tuple[int, FileComparison]]


@dataclass
class _Arrival:
    """The models whose files of a job have come, told by threads of both sides."""

    missing: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def is_last(self) -> bool:
        """Count one that has come; whether it was the last."""
        with self.lock:
            self.missing -= 1
            return not self.missing


class _Work:
    """Does jobs: fetches their files, judges their pairs, puts the files away.

    All state belongs to the thread that calls `do_all`; others tell it through a queue what has ended.
    """

    def __init__(
        self,
        matches: list[ModelPair],
        artifacts: Mapping[str, ModelSource],
        progress: Progress,
        is_enough: Callable[[FileComparison], bool],
    ) -> None:
        self._matches = matches
        self._artifacts = artifacts
        self._progress = progress
        self._is_enough = is_enough
        self._explaining = Explainer()
        self._at_hand = [artifacts[match.left].is_at_hand and artifacts[match.right].is_at_hand for match in matches]
        self._settled: set[int] = set()
        self._ended: SimpleQueue[tuple[_Job, Future[_Judged]]] = SimpleQueue()

    def do_all(self, jobs: list[_Job]) -> _Judged:
        """All judgements, each with the index of its match."""
        light: list[_Job] = []
        heavy: list[_Job] = []
        for job in jobs:
            (light if self._is_light(job) else heavy).append(job)
        if all(source.is_near for source in self._artifacts.values()):
            heavy = list(_together(heavy))
        with FailFastPool(_JUDGES) as judges:
            judged = self._do_heavy(deque(heavy), judges)
            judged += self._do_light(light)
        return judged

    def _do_light(self, jobs: list[_Job]) -> _Judged:
        """Do jobs one after the other, except that what most pairs are is found out for many of them at once."""
        judged: _Judged = []
        questions = [self._question(job) for job in jobs]
        with SmallFileComparer(questions, process_count(questions)) as equality:
            for number, job in enumerate(jobs):
                if self._settled and self._is_settled(job):
                    judged += self._judge_unfetched(job)
                elif digest := equality.digest(number):
                    index, pair = job.pairs[0]
                    judged += self._noted([(index, FileComparison(pair, None, digest, digest))])
                    self._progress.advance(1)
                else:
                    judged += self._noted(self._judge(job, self._files_at_hand(job)))
        return judged

    def _do_heavy(self, jobs: deque[_Job], judges: ThreadPoolExecutor) -> _Judged:
        """Do jobs side by side."""
        judged: _Judged = []
        bound = _bound(jobs[0].size) if jobs else 0
        count = size = 0
        while True:
            while jobs and count + jobs[0].files <= _MOST_PAIRS and size + jobs[0].size <= bound:
                job = jobs.popleft()
                if self._is_settled(job):
                    judged += self._judge_unfetched(job)
                    continue
                count, size = count + job.files, size + job.size
                self._begin(job, judges)
            if not count:
                return judged
            job, future = self._ended.get()
            count, size = count - job.files, size - job.size
            judged += self._noted(future.result())

    def _noted(self, judged: _Judged) -> _Judged:
        for index, judgement in judged:
            if self._is_enough(judgement):
                self._settled.add(index)
        return judged

    def _is_settled(self, job: _Job) -> bool:
        return all(index in self._settled for index, _ in job.pairs)

    def _judge_unfetched(self, job: _Job) -> _Judged:
        self._progress.advance(job.files)
        return [(index, compare_sizes(pair)) for index, pair in job.pairs]

    def _begin(self, job: _Job, judges: ThreadPoolExecutor) -> None:
        fetched = self._begin_fetches(job)
        arrival = _Arrival(len(fetched))

        def on_arrival(future: Future[dict[str, str]]) -> None:
            if future.exception() is not None:
                # An error of a file is the job's: nothing of it is judged.
                self._ended.put((job, future))  # type: ignore[arg-type]  # it has an exception, and no result
            elif arrival.is_last():
                try:
                    judging = judges.submit(self._judge, job, _results_of(fetched))
                except RuntimeError:
                    # Another job has failed meanwhile, and nobody waits for this one.
                    return
                judging.add_done_callback(lambda done: self._ended.put((job, done)))

        for future in fetched.values():
            future.add_done_callback(on_arrival)

    def _begin_fetches(self, job: _Job) -> dict[str, Future[dict[str, str]]]:
        """Begin to fetch all that a job needs, by the location's identity."""
        sizes: dict[str, dict[str, int]] = {}
        for (identity, path), size in _needs(job.pairs, self._matches).items():
            sizes.setdefault(identity, {})[path] = size
        return {identity: self._begin_fetch(identity, each) for identity, each in sizes.items()}

    def _begin_fetch(self, identity: str, sizes: Mapping[str, int]) -> Future[dict[str, str]]:
        source = self._artifacts[identity]
        if source.is_at_hand:
            return source.begin_fetch(sizes, lambda _: None)
        told = 0

        def on_bytes(count: int) -> None:
            nonlocal told
            told += count
            self._progress.received(source.name, count)

        future = source.begin_fetch(sizes, on_bytes)
        # Not every store tells how far it is; in the end it is all.
        future.add_done_callback(lambda _: self._progress.received(source.name, sum(sizes.values()) - told))
        return future

    def _is_light(self, job: _Job) -> bool:
        return job.size < _LIGHT_BYTES and all(self._at_hand[index] for index, _ in job.pairs)

    def _question(self, job: _Job) -> SmallPair:
        """Where the files of a pair are that may be equal, as most are."""
        index, pair = job.pairs[0]
        if len(job.pairs) > 1 or pair.left is None or pair.right is None or pair.left_size != pair.right_size:
            return None
        match = self._matches[index]
        left = self._artifacts[match.left].file_at_hand(pair.left)
        right = self._artifacts[match.right].file_at_hand(pair.right)
        return (left, right, pair.left_size) if left and right and pair.left_size is not None else None

    def _files_at_hand(self, job: _Job) -> dict[tuple[str, str], str]:
        return _results_of(self._begin_fetches(job))

    def _judge(self, job: _Job, files: dict[tuple[str, str], str]) -> _Judged:
        judged: _Judged = []
        for index, pair in job.pairs:
            match = self._matches[index]
            left = None if pair.left is None else files[match.left, pair.left]
            right = None if pair.right is None else files[match.right, pair.right]
            judged.append((index, compare_pair(pair, left, right, self._explaining)))
        for (identity, _), file in files.items():
            self._artifacts[identity].release(file)
        self._progress.advance(job.files)
        return judged


def _bound(largest: int) -> int:
    """Bytes under way at once, where the largest job has so many."""
    return max(largest, min(MAX_BYTES_IN_PROGRESS, max(WORKERS * largest, _SMALL_BYTES)))


def _results_of(fetched: Mapping[str, Future[dict[str, str]]]) -> dict[tuple[str, str], str]:
    """The local files, by the location's identity and by the path in it."""
    return {(identity, path): file for identity, each in fetched.items() for path, file in each.result().items()}


class FailFastPool(ThreadPoolExecutor):
    """An executor that, once something has failed, begins nothing more and is not waited for."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # What is under way ends when the servers are closed; waiting for it here would wait for a dead host.
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def results_of(futures: Iterable[Future[_T]]) -> list[_T]:
    """All results in order; the first exception as soon as there is one."""
    futures = list(futures)
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if error := future.exception():
            raise error
    return [future.result() for future in futures]
