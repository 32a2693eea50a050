"""Jobs are small or not by the bytes of their files."""

from __future__ import annotations

import pytest

from model_gate.comparison.jobs import Job, batch_small_jobs

KIB = 1024


@pytest.mark.parametrize("paths", [1, 2, 16])
def test_job_below_128_kib_for_each_path_is_small(paths: int) -> None:
    size = 128 * KIB * paths
    assert Job([], size - 1, is_local=False, paths=paths).is_small
    assert not Job([], size, is_local=False, paths=paths).is_small


def test_batch_of_small_jobs_is_small() -> None:
    jobs = [Job([], 100 * KIB, is_local=False) for _ in range(20)]
    batches = list(batch_small_jobs(jobs))
    assert [batch.paths for batch in batches] == [16, 4]
    assert all(batch.is_small for batch in batches)
