"""The queue of jobs bounds the jobs in progress, and begins each job once."""

from __future__ import annotations

import random

import pytest

from model_gate.comparison.job_queue import MAX_BYTES_IN_PROGRESS, MAX_PAIRS_IN_PROGRESS, BegunJob, JobQueue
from model_gate.comparison.jobs import Job

KIB, MIB = 1024, 1024 * 1024
SMALL = 8 * KIB


def job(size: int, paths: int = 1) -> Job:
    return Job([], size, is_local=False, paths=paths)


def begin_all(queue: JobQueue) -> list[BegunJob]:
    jobs = []
    while (begun := queue.begin_next()) is not None:
        jobs.append(begun)
    return jobs


def sizes(jobs: list[BegunJob]) -> list[int]:
    return [begun.job.size for begun in jobs]


def test_small_jobs_begin_while_the_next_job_does_not_fit() -> None:
    queue = JobQueue([job(400 * MIB), job(300 * MIB), job(SMALL), job(SMALL - 1)])
    first, *small = begin_all(queue)
    assert first.job.size == 400 * MIB
    assert sizes(small) == [SMALL - 1, SMALL]
    queue.end(first)
    assert sizes(begin_all(queue)) == [300 * MIB]


def test_job_of_medium_size_does_not_begin_before_a_larger_one() -> None:
    queue = JobQueue([job(400 * MIB), job(300 * MIB), job(40 * MIB)])
    assert sizes(begin_all(queue)) == [400 * MIB]


def test_number_of_small_files_in_progress_is_bounded() -> None:
    queue = JobQueue([job(500 * MIB), *(job(SMALL) for _ in range(1000))])
    assert len(begin_all(queue)) == MAX_PAIRS_IN_PROGRESS


def test_windowed_jobs_begin_one_after_the_other_before_all_but_small_jobs() -> None:
    windowed = [job(9000 * MIB), job(700 * MIB)]
    queue = JobQueue([job(100 * MIB), job(SMALL)], windowed, overlaps_windows=True)
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


def test_job_with_too_many_paths_begins_alone() -> None:
    queue = JobQueue([job(10_000 * MIB, paths=MAX_PAIRS_IN_PROGRESS + 1), job(SMALL)])
    (first,) = begin_all(queue)
    assert first.job.size == 10_000 * MIB
    queue.end(first)
    assert sizes(begin_all(queue)) == [SMALL]


@pytest.mark.parametrize("seed", range(40))
def test_every_job_begins_once_within_the_bounds(seed: int) -> None:
    chance = random.Random(seed)
    largest = chance.choice([SMALL, MIB, 200 * MIB, 3000 * MIB])
    whole = sorted((job(chance.randint(0, largest)) for _ in range(150)), key=lambda each: each.size, reverse=True)
    windowed = [job(chance.randint(300, 9000) * MIB) for _ in range(chance.randint(0, 4))]
    overlaps = chance.random() < 0.5
    queue = JobQueue(whole, windowed, overlaps_windows=overlaps)
    bound = max(whole[0].size, min(MAX_BYTES_IN_PROGRESS, max(8 * whole[0].size, 64 * MIB)))
    in_progress: list[BegunJob] = []
    ended: list[Job] = []
    while True:
        in_progress += begin_all(queue)
        if not in_progress:
            break
        on_disk = [each.job.size for each in in_progress if not each.is_windowed and not each.job.is_small]
        assert sum(on_disk) <= bound
        assert len(in_progress) <= MAX_PAIRS_IN_PROGRESS
        windows = [each for each in in_progress if each.is_windowed]
        assert len(windows) <= 1
        assert not windows or not on_disk
        assert overlaps or not windows or len(in_progress) == 1
        finished = in_progress.pop(chance.randrange(len(in_progress)))
        queue.end(finished)
        ended.append(finished.job)
    assert queue.is_idle
    assert sorted(each.size for each in ended) == sorted(each.size for each in [*whole, *windowed])
