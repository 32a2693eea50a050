"""Plans a comparison: which files are fetched, which files are fetched together, and in what order.

This module does no I/O.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from model_gate.comparison.model_pair import ModelPair
from model_gate.domain.counterparts import find_counterparts, stable_name
from model_gate.domain.importance import importance_of
from model_gate.domain.pairing import Pair, Pairing
from model_gate.explanation import is_worth_fetching
from model_gate.sources.model_source import ModelSource

# A job with fewer bytes for each path is small.
SMALL_JOB_BYTES = 128 * 1024
# So many small jobs are merged into a batch if all servers have a low latency: the overhead of a request then exceeds
# the transfer time of a small file. On a distant server, a batch only delays the comparison of its first file until its
# last file has arrived.
BATCH_JOBS = 16
# Maximum total sizes for one pair of models whose listings prove that they differ: of the files of different sizes that
# are fetched only to explain the difference, and of the files of equal size, which may differ too.
MAX_EXPLAINED_BYTES = 64 * 1024 * 1024
MAX_COMPARED_BYTES = 2 * 1024**3


class SourceFile(NamedTuple):
    """A file of a model.

    Attributes:
        source: The source of the model.
        path: Path relative to the model's root.
    """

    source: ModelSource
    path: str


class PendingPair(NamedTuple):
    """A pair of files that is not compared yet, with the pair of models to which the files belong."""

    model_pair: ModelPair
    pair: Pair

    @property
    def left(self) -> SourceFile | None:
        """The left file, None if the left model does not have it."""
        return None if self.pair.left is None else SourceFile(self.model_pair.left.source, self.pair.left)

    @property
    def right(self) -> SourceFile | None:
        """The right file, None if the right model does not have it."""
        return None if self.pair.right is None else SourceFile(self.model_pair.right.source, self.pair.right)


class Job(NamedTuple):
    """Pairs of files that are fetched together, because they share a file or because their files are small.

    Attributes:
        pairs: The pairs of files. They may belong to several pairs of models.
        size: Total size of the files in bytes. A file that several pairs share is counted once.
        is_local: Whether all files can be read without a transfer.
        paths: Number of distinct paths among the pairs. Progress advances by this number when the job is done.
        has_counterparts: Whether the job has files with random names together with their counterparts.
    """

    pairs: list[PendingPair]
    size: int
    is_local: bool
    paths: int = 1
    has_counterparts: bool = False

    @property
    def is_small(self) -> bool:
        """Whether the files have less than 128 KiB for each path, on average."""
        return self.size < SMALL_JOB_BYTES * self.paths

    def file_sizes(self) -> dict[SourceFile, int]:
        """Return the listed size in bytes of each file of the pairs."""
        return _file_sizes(self.pairs)


@dataclass(frozen=True)
class Plan:
    """The pairs of files to fetch, and the pairs of files to compare without a fetch.

    Attributes:
        jobs: Jobs for the pairs to fetch. The largest job comes first, so that the last jobs take little time.
        unfetched: Pairs that are compared only by their listed sizes.
    """

    jobs: list[Job]
    unfetched: list[PendingPair]

    def bytes_by_model(self) -> dict[str, int]:
        """Return the number of bytes to transfer for each model, by the model's name. Local models have no entry."""
        sizes: dict[str, int] = defaultdict(int)
        for job in self.jobs:
            if job.is_local:
                continue
            for file, size in job.file_sizes().items():
                if not file.source.is_local:
                    sizes[file.source.name] += size
        return dict(sizes)


def plan_jobs(model_pairs: Iterable[ModelPair], *, stops_when_decided: bool = False) -> Plan:
    """Return the plan for comparing pairs of models.

    If the listings prove that two models differ, files of equal size are fetched up to 2 GiB, and files of different
    sizes only if they can explain the difference. The files of two local models are all compared even then.

    Args:
        model_pairs: The pairs of models.
        stops_when_decided: Whether to fetch nothing of two models whose listings prove that they differ.
    """
    fetched: dict[str, list[PendingPair]] = defaultdict(list)
    renamed: dict[str, list[PendingPair]] = defaultdict(list)
    unfetched: list[PendingPair] = []
    for model_pair in model_pairs:
        pairing = model_pair.pairing
        needs_all = model_pair.is_local or not pairing.is_proven_not_equivalent
        chosen = set() if needs_all or stops_when_decided else _equal_sized_pairs(pairing) | _explained_pairs(pairing)
        together = {} if stops_when_decided else _renamed_pairs(pairing)
        for pair in pairing.pairs:
            pending = PendingPair(model_pair, pair)
            if pair in together:
                renamed[together[pair]].append(pending)
            elif needs_all or pair in chosen:
                fetched[pair.path].append(pending)
            else:
                unfetched.append(pending)
    jobs = [*map(_job, fetched.values()), *map(_job_of_counterparts, renamed.values())]
    return Plan(sorted(jobs, key=lambda job: job.size, reverse=True), unfetched)


def batch_small_jobs(jobs: Iterable[Job]) -> Iterator[Job]:
    """Merge small jobs, up to 16 jobs into one, and yield all jobs.

    Larger jobs are yielded unchanged and in the same order.
    """
    small: list[Job] = []
    for job in jobs:
        if not job.is_small:
            yield job
            continue
        small.append(job)
        if len(small) == BATCH_JOBS:
            yield _merge(small)
            small = []
    if small:
        yield _merge(small)


def _equal_sized_pairs(pairing: Pairing) -> set[Pair]:
    """Return the pairs of files of equal size to compare although the listings already prove a difference.

    Files that decide about predictions come first, and then the smallest. Their total size is at most 2 GiB.
    """
    return first_pairs((pair for pair in pairing.pairs if pair.left_size == pair.right_size), MAX_COMPARED_BYTES)


def _explained_pairs(pairing: Pairing) -> set[Pair]:
    """Return the pairs of files that are fetched only to explain a difference that the listings already prove.

    The total size of their files is at most 64 MiB.
    """
    explained = (
        pair
        for pair in pairing.pairs
        if pair.left_size is not None
        and pair.right_size is not None
        and pair.left_size != pair.right_size
        and not pair.ignored_by
        and is_worth_fetching(pair.path, pair.left_size, pair.right_size)
    )
    return first_pairs(explained, MAX_EXPLAINED_BYTES)


def first_pairs(pairs: Iterable[Pair], max_bytes: int) -> set[Pair]:
    """Return the most important pairs whose files have at most `max_bytes` in total.

    A pair that is larger than what remains is left out. Smaller pairs after it may still fit.
    """
    chosen: set[Pair] = set()
    for pair in sorted(pairs, key=_fetch_order):
        size = (pair.left_size or 0) + (pair.right_size or 0)
        if size <= max_bytes:
            max_bytes -= size
            chosen.add(pair)
    return chosen


def _fetch_order(pair: Pair) -> tuple[bool, bool, int]:
    return not pair.decides, not importance_of(pair.path).is_compared_first, pair.left_size or 0


def _renamed_pairs(pairing: Pairing) -> dict[Pair, str]:
    """Return the files with random names that are explained by their counterparts, with a name for both of them.

    The total size of the files is at most 64 MiB.
    """
    together: dict[Pair, str] = {}
    size = 0
    for left, right in find_counterparts(pairing.pairs):
        size += (left.left_size or 0) + (right.right_size or 0)
        if size <= MAX_EXPLAINED_BYTES:
            together[left] = together[right] = stable_name(left.path)
    return together


def _job_of_counterparts(pairs: list[PendingPair]) -> Job:
    paths = len({pending.pair.path for pending in pairs})
    return _job(pairs)._replace(paths=paths, has_counterparts=True)


def _job(pairs: list[PendingPair]) -> Job:
    if len(pairs) == 1:
        model_pair, pair = pairs[0]
        if model_pair.left.source is not model_pair.right.source:
            # Most jobs have one pair of files. Adding the two sizes is faster than calling `_file_sizes`.
            return Job(pairs, (pair.left_size or 0) + (pair.right_size or 0), model_pair.is_local)
    return Job(pairs, sum(_file_sizes(pairs).values()), all(pending.model_pair.is_local for pending in pairs))


def _merge(jobs: list[Job]) -> Job:
    return Job(
        pairs=[pending for job in jobs for pending in job.pairs],
        size=sum(job.size for job in jobs),
        is_local=all(job.is_local for job in jobs),
        paths=sum(job.paths for job in jobs),
        has_counterparts=any(job.has_counterparts for job in jobs),
    )


def _file_sizes(pairs: Iterable[PendingPair]) -> dict[SourceFile, int]:
    sizes: dict[SourceFile, int] = {}
    for pending in pairs:
        if (left := pending.left) is not None:
            sizes[left] = pending.pair.left_size or 0
        if (right := pending.right) is not None:
            sizes[right] = pending.pair.right_size or 0
    return sizes
