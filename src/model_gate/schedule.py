"""Which files are fetched, in what order and how many at once; each pair is judged as soon as both halves are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from model_gate.artifacts import Artifacts
from model_gate.explanation import is_explainable
from model_gate.judgement import Judgement, judge, judge_unfetched
from model_gate.pairing import Pair, Pairing
from model_gate.progress import Progress

# Pairs under way at once: disk in use stays near the largest pair times this.
WORKERS = 8
# A pair on this machine that is smaller is judged sooner than it is handed to another thread.
_LIGHT_BYTES = 1024 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True)
class Match:
    """Two models whose files are to be judged; their locations are named by identity."""

    left: str
    right: str
    pairing: Pairing


@dataclass(frozen=True)
class _Job:
    """Pairs that share a file, so that it is fetched once.

    Attributes:
        pairs: Each with the index of its match.
        needs: The bytes of every file that must be fetched, by the location's identity and the path in it.
    """

    pairs: tuple[tuple[int, Pair], ...]
    needs: Mapping[tuple[str, str], int]

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(self.needs.values())


def judge_matches(
    matches: list[Match], artifacts: Mapping[str, Artifacts], progress: Progress
) -> list[list[Judgement]]:
    """The judgement of every pair of every match, in no particular order within a match.

    `artifacts` has the source of each location by its identity. Once the listings have decided a match, its files are
    fetched only where they explain the difference, unless they are on this machine anyway.

    Raises:
        ModelGateError: A transfer failed, or a file could not be read.
    """
    judgements: list[list[Judgement]] = [[] for _ in matches]
    wanted: dict[str, list[tuple[int, Pair]]] = defaultdict(list)
    for index, match in enumerate(matches):
        at_hand = artifacts[match.left].is_at_hand and artifacts[match.right].is_at_hand
        for pair in match.pairing.pairs:
            if at_hand or not match.pairing.is_decided or _explains(pair):
                wanted[pair.path].append((index, pair))
            else:
                judgements[index].append(judge_unfetched(pair))
    # Largest first, so that the last ones to finish are small.
    jobs = sorted((_job(pairs, matches) for pairs in wanted.values()), key=lambda job: job.size, reverse=True)
    progress.begin(len(jobs), sum(job.size for job in jobs))
    for index, judgement in _Work(matches, artifacts, progress).do_all(jobs):
        judgements[index].append(judgement)
    return judgements


def _explains(pair: Pair) -> bool:
    both = pair.left is not None and pair.right is not None
    return both and is_explainable(pair.path, pair.largest)


def _job(pairs: list[tuple[int, Pair]], matches: list[Match]) -> _Job:
    needs: dict[tuple[str, str], int] = {}
    for index, pair in pairs:
        if pair.left is not None:
            needs[matches[index].left, pair.left] = pair.left_size or 0
        if pair.right is not None:
            needs[matches[index].right, pair.right] = pair.right_size or 0
    return _Job(tuple(pairs), needs)


class _Work:
    """Does jobs: fetches their files, judges their pairs, puts the files away."""

    def __init__(self, matches: list[Match], artifacts: Mapping[str, Artifacts], progress: Progress) -> None:
        self._matches = matches
        self._artifacts = artifacts
        self._progress = progress

    def do_all(self, jobs: list[_Job]) -> list[tuple[int, Judgement]]:
        """All judgements, each with the index of its match."""
        light: list[_Job] = []
        heavy: list[_Job] = []
        for job in jobs:
            (light if self._is_light(job) else heavy).append(job)
        with Pool(WORKERS * 2) as fetchers, Pool(WORKERS) as workers:
            futures = [workers.submit(self._do, job, fetchers) for job in heavy]
            done = [self._do(job, None) for job in light]
            done += results(futures)
        return [each for judged in done for each in judged]

    def _is_light(self, job: _Job) -> bool:
        return job.size < _LIGHT_BYTES and all(self._artifacts[identity].is_at_hand for identity, _ in job.needs)

    def _do(self, job: _Job, fetchers: ThreadPoolExecutor | None) -> list[tuple[int, Judgement]]:
        files = dict(zip(job.needs, self._fetch(job, fetchers), strict=True))
        judged = []
        for index, pair in job.pairs:
            match = self._matches[index]
            left = None if pair.left is None else files[match.left, pair.left]
            right = None if pair.right is None else files[match.right, pair.right]
            judged.append((index, judge(pair, left, right)))
        for (identity, _), file in files.items():
            self._artifacts[identity].release(file)
        self._progress.advance(1, job.size)
        return judged

    def _fetch(self, job: _Job, fetchers: ThreadPoolExecutor | None) -> list[str]:
        calls = [(self._artifacts[identity], path, size) for (identity, path), size in job.needs.items()]
        if fetchers is None:
            return [artifacts.fetch(path, size) for artifacts, path, size in calls]
        # Both halves at once.
        return results([fetchers.submit(artifacts.fetch, path, size) for artifacts, path, size in calls])


class Pool(ThreadPoolExecutor):
    """An executor that, once something has failed, begins nothing more and is not waited for."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # What is under way ends when the servers are closed; waiting for it here would wait for a dead host.
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def results(futures: Iterable[Future[_T]]) -> list[_T]:
    """All results in order; the first exception as soon as there is one."""
    futures = list(futures)
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if error := future.exception():
            raise error
    return [future.result() for future in futures]
