"""Tests of the concurrency limit: it grows with the throughput of the server, and falls when the server throttles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from model_gate.worker.transfer.concurrency import (
    INITIAL,
    INITIAL_FAR,
    INITIAL_NEAR,
    MAX_CONCURRENCY,
    MIN_CONCURRENCY,
    ConcurrencyLimit,
    ConcurrencyLimiter,
    retry_after_seconds,
)

KIB = 1024


def simulate(
    limit: ConcurrencyLimit, rate: Callable[[int], float], seconds: float, start: float = 0.0, size: int = 4 * KIB
) -> float:
    """Record completed requests in `limit` for some simulated `seconds`.

    `rate` returns the requests a second that the server completes at a limit. Return the simulated time of the last
    request.
    """
    now = start
    while now < start + seconds:
        now += 1 / rate(limit.allowed)
        limit.record_request(size, now, has_waiters=True)
    return now


def test_concurrency_limit_reaches_its_maximum_if_throughput_grows() -> None:
    limit = ConcurrencyLimit()
    simulate(limit, lambda allowed: allowed / 0.05, seconds=5)
    assert limit.allowed == MAX_CONCURRENCY


def test_doubled_concurrency_limit_is_reverted_if_throughput_does_not_grow() -> None:
    limit = ConcurrencyLimit()
    limits: set[int] = set()

    def rate(allowed: int) -> float:
        limits.add(allowed)
        return 200.0

    simulate(limit, rate, seconds=8)
    assert limit.allowed == INITIAL
    # The limit was doubled once and reverted.
    assert limits == {INITIAL, 2 * INITIAL}


def test_reverted_concurrency_limit_is_doubled_again_later() -> None:
    limit = ConcurrencyLimit()
    now = simulate(limit, lambda _: 200.0, seconds=8)
    simulate(limit, lambda allowed: allowed / 0.05, seconds=30, start=now)
    assert limit.allowed == MAX_CONCURRENCY


def test_throttling_halves_the_concurrency_limit_down_to_its_minimum() -> None:
    limit = ConcurrencyLimit()
    for expected in (INITIAL // 2, INITIAL // 4, INITIAL // 8, MIN_CONCURRENCY, MIN_CONCURRENCY):
        limit.throttled(1.0)
        assert limit.allowed == expected


def test_concurrency_limit_does_not_change_if_no_request_waits_for_a_slot() -> None:
    limit = ConcurrencyLimit()
    now = 0.0
    for _ in range(10_000):
        now += 0.01
        limit.record_request(4 * KIB, now, has_waiters=False)
    assert limit.allowed == INITIAL


def test_number_of_active_requests_never_exceeds_the_limit() -> None:
    limiter = ConcurrencyLimiter(clock=lambda: 1.0)
    lock = threading.Lock()
    active = max_active = 0

    def send_request() -> None:
        nonlocal active, max_active
        with limiter.request(1):
            with lock:
                active += 1
                max_active = max(max_active, active)
            time.sleep(0.1)
            with lock:
                active -= 1

    threads = [threading.Thread(target=send_request) for _ in range(5 * INITIAL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max_active == INITIAL


def test_failed_request_releases_its_slot() -> None:
    limiter = ConcurrencyLimiter()
    for _ in range(2 * MAX_CONCURRENCY):
        try:
            with limiter.request(1):
                raise OSError
        except OSError:
            continue
    with limiter.request(1):
        pass


def free_slots(limiter: ConcurrencyLimiter) -> int:
    """Return the number of slots that this thread can still get without waiting."""
    with ExitStack() as stack:
        count = 0
        while stack.enter_context(limiter.slot(blocking=False)):
            count += 1
    return count


@pytest.mark.parametrize(
    "latencies, slots",
    [([], INITIAL), ([0.003], INITIAL_NEAR), ([0.06], INITIAL_FAR), ([0.06, 0.003, 0.2], INITIAL_NEAR)],
)
def test_lowest_latency_selects_the_initial_concurrency_limit(latencies: list[float], slots: int) -> None:
    limiter = ConcurrencyLimiter()
    for seconds in latencies:
        limiter.record_latency(seconds)
    assert free_slots(limiter) == slots


def test_latency_measured_after_the_first_request_does_not_change_the_concurrency_limit() -> None:
    limiter = ConcurrencyLimiter()
    limiter.record_latency(0.003)
    with limiter.request(1):
        pass
    limiter.record_latency(0.001)
    limiter.throttled()
    assert free_slots(limiter) == INITIAL_NEAR


def test_concurrency_limit_of_a_near_server_grows_only_while_throughput_grows() -> None:
    parallel = ConcurrencyLimit(INITIAL_NEAR)
    simulate(parallel, lambda allowed: 400.0 * min(allowed, 8), seconds=10)
    assert parallel.allowed == 8
    shared = ConcurrencyLimit(INITIAL_NEAR)
    # Another server with one active request shares the processors, so a higher limit raises the throughput at its
    # expense only.
    simulate(shared, lambda allowed: 800.0 * allowed / (allowed + 1), seconds=5)
    assert shared.allowed == INITIAL_NEAR


def test_thread_sends_all_requests_in_the_slot_that_it_holds() -> None:
    limiter = ConcurrencyLimiter()
    limiter.record_latency(0.003)
    with limiter.slot() as has_slot:
        assert has_slot
        assert not limiter.has_free_slot
        for _ in range(10):
            with limiter.request(1):
                pass
        assert not limiter.has_free_slot
    assert limiter.has_free_slot


def test_thread_that_does_not_wait_gets_no_slot_if_none_is_free() -> None:
    limiter = ConcurrencyLimiter()
    limiter.record_latency(0.003)
    with limiter.slot(), ThreadPoolExecutor(1) as other:
        assert other.submit(free_slots, limiter).result() == 0
    assert free_slots(limiter) == 1


@pytest.mark.parametrize("size, seconds, slots", [(4 * KIB, 0.6, INITIAL), (4 * KIB, 0.4, 1), (8 * KIB * KIB, 0.6, 1)])
def test_slow_download_of_a_small_file_raises_the_concurrency_limit_of_a_near_server(
    size: int, seconds: float, slots: int
) -> None:
    now = 0.0
    limiter = ConcurrencyLimiter(clock=lambda: now)
    limiter.record_latency(0.003)
    with limiter.request(size):
        now += seconds
    assert free_slots(limiter) == slots


def test_slow_download_does_not_raise_the_concurrency_limit_after_throttling() -> None:
    now = 0.0
    limiter = ConcurrencyLimiter(clock=lambda: now)
    limiter.record_latency(0.003)
    limiter.throttled()
    with limiter.request(1):
        now += 0.6
    assert free_slots(limiter) == MIN_CONCURRENCY


@pytest.mark.parametrize("text, seconds", [("7", 7), ("", 1), ("soon", 1), ("²", 1), ("٣", 1), ("-3", 1), ("1.5", 1)])
def test_delay_that_is_no_number_of_seconds_is_the_default(text: str, seconds: float) -> None:
    assert retry_after_seconds({"Retry-After": text}, 1) == seconds
