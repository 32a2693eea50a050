"""Of several failed tasks, the error of the first one in the order is raised."""

from __future__ import annotations

import threading
import time

import pytest

from model_gate.comparison.fail_fast_pool import GRACE_SECONDS, FailFastPool, results_of


def fail(name: str, seconds: float = 0.0) -> str:
    time.sleep(seconds)
    raise ValueError(name)


def test_error_of_the_first_task_is_raised_although_a_later_task_fails_sooner() -> None:
    with pytest.raises(ValueError, match="first"), FailFastPool(2) as pool:
        results_of([pool.submit(fail, "first", 0.3), pool.submit(fail, "second")])


def test_task_that_does_not_end_delays_an_error_by_the_grace_only() -> None:
    is_done = threading.Event()
    start = time.monotonic()
    with pytest.raises(ValueError, match="second"), FailFastPool(2) as pool:
        results_of([pool.submit(lambda: str(is_done.wait(30))), pool.submit(fail, "second")])
    is_done.set()
    assert time.monotonic() - start < GRACE_SECONDS + 5


def test_results_have_the_order_of_the_tasks() -> None:
    with FailFastPool(2) as pool:
        assert results_of(pool.submit(str, number) for number in range(5)) == ["0", "1", "2", "3", "4"]
