"""Files that are fetched together come once each, as many at a time as there is room for, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from model_gate.domain.model import FileRequest
from model_gate.worker.transfer.batch import Batch
from model_gate.worker.transfer.concurrency import INITIAL, INITIAL_NEAR, ConcurrencyLimiter

FILES = [FileRequest(f"{number:03}", 1, "") for number in range(100)]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(64) as started:
        yield started


def near() -> ConcurrencyLimiter:
    """Lets one request through at a time."""
    flow = ConcurrencyLimiter()
    flow.answered(0.001)
    return flow


def far() -> ConcurrencyLimiter:
    """Lets sixteen through."""
    return ConcurrencyLimiter()


class Fetched:
    """What was fetched, and how many at most at one time.

    Those that are fetched first wait until there are `together` of them.
    """

    def __init__(self, flow: ConcurrencyLimiter, together: int = 1) -> None:
        self.paths: list[str] = []
        self.threads: set[int] = set()
        self.most = 0
        self._flow = flow
        self._under_way = 0
        self._lock = threading.Lock()
        self._met = threading.Event()
        self._together = together

    def fetch(self, file: FileRequest) -> None:
        with self._flow.request(file.size):
            with self._lock:
                self.paths.append(file.path)
                self.threads.add(threading.get_ident())
                self._under_way += 1
                self.most = max(self.most, self._under_way)
                if self._under_way == self._together:
                    self._met.set()
            self._met.wait(30)
            with self._lock:
                self._under_way -= 1


def test_where_one_request_is_enough_one_thread_fetches_them_in_order(pool: ThreadPoolExecutor) -> None:
    flow = near()
    fetched = Fetched(flow)
    Batch(FILES, flow, pool).fetch(fetched.fetch)
    assert fetched.paths == [file.path for file in FILES]
    assert fetched.threads == {threading.get_ident()}
    assert fetched.most == INITIAL_NEAR == 1


def test_where_there_is_room_many_come_at_once_and_each_of_them_once(pool: ThreadPoolExecutor) -> None:
    flow = far()
    fetched = Fetched(flow, together=INITIAL)
    Batch(FILES, flow, pool).fetch(fetched.fetch)
    assert sorted(fetched.paths) == [file.path for file in FILES]
    assert fetched.most == INITIAL


def test_two_batches_share_the_room(pool: ThreadPoolExecutor) -> None:
    flow = near()
    fetched = Fetched(flow)
    with ThreadPoolExecutor(2) as both:
        for future in [both.submit(Batch(part, flow, pool).fetch, fetched.fetch) for part in (FILES[:50], FILES[50:])]:
            future.result()
    assert sorted(fetched.paths) == [file.path for file in FILES]
    assert fetched.most == 1


# The first is fetched by the thread that asks for them all, the fourth by another.
@pytest.mark.parametrize("make, failing", [(near, "000"), (far, "000"), (far, "003")])
def test_after_one_that_fails_no_other_is_begun(
    pool: ThreadPoolExecutor, make: Callable[[], ConcurrencyLimiter], failing: str
) -> None:
    flow = make()
    begun: list[str] = []
    has_failed = threading.Event()

    def fetch(file: FileRequest) -> None:
        begun.append(file.path)
        if file.path == failing:
            has_failed.set()
            raise OSError("it broke off")
        has_failed.wait(30)

    with pytest.raises(OSError, match="broke off"):
        Batch(FILES, flow, pool).fetch(fetch)
    assert len(begun) <= 2 * INITIAL < len(FILES)
    assert flow.has_room
