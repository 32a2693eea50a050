"""The queue of jobs bounds the jobs in progress, and begins each job once."""

from __future__ import annotations

import random

import pytest

from model_gate.comparison.job_queue import MAX_BYTES_IN_PROGRESS, MAX_PAIRS_IN_PROGRESS, JobQueue, QueuedJob
from model_gate.comparison.jobs import Job

KIB, MIB = 1024, 1024 * 1024
SMALL = 8 * KIB


def job(size: int, paths: int = 1) -> Job:
    return Job([], size, is_local=False, paths=paths)


def begin_all(queue: JobQueue) -> list[QueuedJob]:
    begun = []
    while (queued := queue.begin_next()) is not None:
        begun.append(queued)
    return begun


def sizes(jobs: list[QueuedJob]) -> list[int]:
    return [queued.job.size for queued in jobs]


def test_small_jobs_begin_while_the_next_job_does_not_fit() -> None:
    queue = JobQueue([job(400 * MIB), job(300 * MIB), job(SMALL), job(SMALL - 1)])
    first, *small = begin_all(queue)
    assert first.job.size == 400 * MIB
    assert sizes(small) == [SMALL - 1, SMALL]
    queue.end(first)
    assert sizes(begin_all(queue)) == [300 * MIB]


def test_job_of_medium_size_does_not_begin_before_a_larger_one() -> None:
    queue = JobQueue([job(400 * MIB), job(300 * MIB), job(60 * MIB)])
    assert sizes(begin_all(queue)) == [400 * MIB]


@pytest.mark.parametrize("size, is_small", [(128 * KIB - 1, True), (128 * KIB, False)])
def test_job_below_128_kib_is_small(size: int, is_small: bool) -> None:
    queue = JobQueue([job(MAX_BYTES_IN_PROGRESS), job(size)])
    assert sizes(begin_all(queue)) == [MAX_BYTES_IN_PROGRESS, size][: 1 + is_small]


def test_batch_of_small_files_is_small() -> None:
    queue = JobQueue([job(500 * MIB), job(16 * 100 * KIB, paths=16)])
    assert len(begin_all(queue)) == 2


def test_number_of_small_files_in_progress_is_bounded() -> None:
    queue = JobQueue([job(500 * MIB), *(job(SMALL) for _ in range(1000))])
    assert len(begin_all(queue)) == MAX_PAIRS_IN_PROGRESS


def test_windowed_jobs_begin_one_after_the_other_before_all_but_small_jobs() -> None:
    windowed = [job(9000 * MIB), job(700 * MIB)]
    queue = JobQueue([job(100 * MIB), job(SMALL)], windowed, overlaps=True)
    first, small = begin_all(queue)
    assert (first.is_windowed, first.job.size, small.job.size) == (True, 9000 * MIB, SMALL)
    queue.end(first)
    (second,) = begin_all(queue)
    assert (second.is_windowed, second.job.size) == (True, 700 * MIB)
    queue.end(second)
    assert sizes(begin_all(queue)) == [100 * MIB]


def test_without_overlap_a_windowed_job_is_in_progress_alone() -> None:
    queue = JobQueue([job(SMALL)], [job(700 * MIB), job(600 * MIB)])
    for size in (700 * MIB, 600 * MIB):
        (windowed,) = begin_all(queue)
        assert (windowed.is_windowed, windowed.job.size) == (True, size)
        queue.end(windowed)
    assert sizes(begin_all(queue)) == [SMALL]


def test_job_that_exceeds_every_bound_begins_alone() -> None:
    queue = JobQueue([job(10_000 * MIB, paths=MAX_PAIRS_IN_PROGRESS + 1)])
    (only,) = begin_all(queue)
    assert not queue.is_idle
    queue.end(only)
    assert queue.is_idle


@pytest.mark.parametrize("seed", range(40))
def test_every_job_begins_once_within_the_bounds(seed: int) -> None:
    chance = random.Random(seed)
    largest = chance.choice([SMALL, MIB, 200 * MIB, 3000 * MIB])
    whole = sorted((job(chance.randint(0, largest)) for _ in range(150)), key=lambda each: each.size, reverse=True)
    windowed = [job(chance.randint(300, 9000) * MIB) for _ in range(chance.randint(0, 4))]
    overlaps = chance.random() < 0.5
    queue = JobQueue(whole, windowed, overlaps=overlaps)
    in_progress: list[QueuedJob] = []
    ended: list[Job] = []
    while True:
        in_progress += begin_all(queue)
        if not in_progress:
            break
        on_disk = [queued.job.size for queued in in_progress if not queued.is_windowed and not queued.job.is_small]
        assert sum(on_disk) <= max(MAX_BYTES_IN_PROGRESS, whole[0].size)
        assert len(in_progress) <= MAX_PAIRS_IN_PROGRESS
        windows = [queued for queued in in_progress if queued.is_windowed]
        assert len(windows) <= 1
        assert not windows or not on_disk
        assert overlaps or not windows or len(in_progress) == 1
        finished = in_progress.pop(chance.randrange(len(in_progress)))
        queue.end(finished)
        ended.append(finished.job)
    assert queue.is_idle
    assert sorted(each.size for each in ended) == sorted(each.size for each in [*whole, *windowed])
