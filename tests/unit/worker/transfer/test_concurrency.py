"""How many requests are under way at once follows what they bring, and what the server can bear."""

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
)

KIB = 1024


def run(
    level: ConcurrencyLimit, rate: Callable[[int], float], seconds: float, start: float = 0.0, size: int = 4 * KIB
) -> float:
    """Let requests end one after another at a rate that depends on how many are allowed; returns the time then."""
    now = start
    while now < start + seconds:
        now += 1 / rate(level.allowed)
        level.done(size, now, waiting=True)
    return now


def test_a_link_with_latency_gets_as_many_as_there_may_be() -> None:
    level = ConcurrencyLimit()
    run(level, lambda allowed: allowed / 0.05, seconds=5)
    assert level.allowed == MAX_CONCURRENCY


def test_a_server_that_is_busy_with_a_few_gets_no_more() -> None:
    level = ConcurrencyLimit()
    seen: set[int] = set()

    def rate(allowed: int) -> float:
        seen.add(allowed)
        return 200.0

    run(level, rate, seconds=8)
    assert level.allowed == INITIAL
    # It was tried, and given up.
    assert seen == {INITIAL, 2 * INITIAL}


def test_it_is_tried_again_after_a_while() -> None:
    level = ConcurrencyLimit()
    now = run(level, lambda _: 200.0, seconds=8)
    run(level, lambda allowed: allowed / 0.05, seconds=30, start=now)
    assert level.allowed == MAX_CONCURRENCY


def test_a_server_that_pushes_back_gets_less_at_once_and_never_nothing() -> None:
    level = ConcurrencyLimit()
    for expected in (INITIAL // 2, INITIAL // 4, INITIAL // 8, MIN_CONCURRENCY, MIN_CONCURRENCY):
        level.push_back(1.0)
        assert level.allowed == expected


def test_nothing_is_concluded_from_requests_that_nobody_waited_behind() -> None:
    level = ConcurrencyLimit()
    now = 0.0
    for _ in range(10_000):
        now += 0.01
        level.done(4 * KIB, now, waiting=False)
    assert level.allowed == INITIAL


def test_no_more_requests_are_let_through_than_the_level_allows() -> None:
    flow = ConcurrencyLimiter(clock=lambda: 1.0)
    lock = threading.Lock()
    under_way = most = 0

    def ask() -> None:
        nonlocal under_way, most
        with flow.request(1):
            with lock:
                under_way += 1
                most = max(most, under_way)
            time.sleep(0.1)
            with lock:
                under_way -= 1

    threads = [threading.Thread(target=ask) for _ in range(5 * INITIAL)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == INITIAL


def test_a_request_that_fails_gives_its_turn_back() -> None:
    flow = ConcurrencyLimiter()
    for _ in range(2 * MAX_CONCURRENCY):
        try:
            with flow.request(1):
                raise OSError
        except OSError:
            continue
    with flow.request(1):
        pass


def let_through(flow: ConcurrencyLimiter) -> int:
    """How many turns can be had at once."""
    with ExitStack() as stack:
        count = 0
        while stack.enter_context(flow.turn(waits=False)):
            count += 1
    return count


@pytest.mark.parametrize(
    "answers, count",
    [([], INITIAL), ([0.003], INITIAL_NEAR), ([0.06], INITIAL_FAR), ([0.06, 0.003, 0.2], INITIAL_NEAR)],
)
def test_how_soon_a_server_answers_says_how_many_to_begin_with(answers: list[float], count: int) -> None:
    flow = ConcurrencyLimiter()
    for seconds in answers:
        flow.answered(seconds)
    assert let_through(flow) == count


def test_what_is_answered_later_changes_nothing() -> None:
    flow = ConcurrencyLimiter()
    flow.answered(0.003)
    with flow.request(1):
        pass
    flow.answered(0.001)
    flow.push_back()
    assert let_through(flow) == INITIAL_NEAR


def test_a_near_server_gets_more_if_it_does_more_side_by_side_and_not_if_it_only_takes_from_others() -> None:
    scaling = ConcurrencyLimit(INITIAL_NEAR)
    run(scaling, lambda allowed: 400.0 * min(allowed, 8), seconds=10)
    assert scaling.allowed == 8
    sharing = ConcurrencyLimit(INITIAL_NEAR)
    # Another server has one request under way, and the same processors.
    run(sharing, lambda allowed: 800.0 * allowed / (allowed + 1), seconds=5)
    assert sharing.allowed == INITIAL_NEAR


def test_a_turn_is_for_as_many_requests_as_its_thread_makes() -> None:
    flow = ConcurrencyLimiter()
    flow.answered(0.003)
    with flow.turn() as is_mine:
        assert is_mine
        assert not flow.has_room
        for _ in range(10):
            with flow.request(1):
                pass
        assert not flow.has_room
    assert flow.has_room


def test_a_turn_that_is_not_waited_for_is_not_had_where_there_is_none() -> None:
    flow = ConcurrencyLimiter()
    flow.answered(0.003)
    with flow.turn(), ThreadPoolExecutor(1) as other:
        assert other.submit(let_through, flow).result() == 0
    assert let_through(flow) == 1


@pytest.mark.parametrize("size, seconds, count", [(4 * KIB, 0.6, INITIAL), (4 * KIB, 0.4, 1), (8 * KIB * KIB, 0.6, 1)])
def test_a_near_server_that_is_slow_to_give_small_files_waits_for_something(
    size: int, seconds: float, count: int
) -> None:
    now = 0.0
    flow = ConcurrencyLimiter(clock=lambda: now)
    flow.answered(0.003)
    with flow.request(size):
        now += seconds
    assert let_through(flow) == count


def test_one_that_has_pushed_back_gets_no_more_for_being_slow() -> None:
    now = 0.0
    flow = ConcurrencyLimiter(clock=lambda: now)
    flow.answered(0.003)
    flow.push_back()
    with flow.request(1):
        now += 0.6
    assert let_through(flow) == MIN_CONCURRENCY
