"""Tests of `Batch`: it fetches each file once, respects the concurrency limit, and stops after a failure."""

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
    with ThreadPoolExecutor(64) as executor:
        yield executor


def near_limiter() -> ConcurrencyLimiter:
    """Return a limiter with one slot, as for a near server."""
    limiter = ConcurrencyLimiter()
    limiter.record_latency(0.001)
    return limiter


def default_limiter() -> ConcurrencyLimiter:
    """Return a limiter with 16 slots, as for a server of unknown latency."""
    return ConcurrencyLimiter()


class Recorder:
    """Records the paths of the fetched files, the fetching threads and the maximum number of concurrent fetches.

    Each call of `fetch` blocks until `barrier` calls have been active at the same time.
    """

    def __init__(self, limiter: ConcurrencyLimiter, barrier: int = 1) -> None:
        self.paths: list[str] = []
        self.threads: set[int] = set()
        self.max_active = 0
        self._limiter = limiter
        self._active = 0
        self._lock = threading.Lock()
        self._barrier_reached = threading.Event()
        self._barrier = barrier

    def fetch(self, file: FileRequest) -> None:
        with self._limiter.request(file.size):
            with self._lock:
                self.paths.append(file.path)
                self.threads.add(threading.get_ident())
                self._active += 1
                self.max_active = max(self.max_active, self._active)
                if self._active == self._barrier:
                    self._barrier_reached.set()
            self._barrier_reached.wait(30)
            with self._lock:
                self._active -= 1


def test_batch_with_a_single_slot_fetches_all_files_in_order_in_the_calling_thread(pool: ThreadPoolExecutor) -> None:
    limiter = near_limiter()
    recorder = Recorder(limiter)
    Batch(FILES, limiter, pool).fetch(recorder.fetch)
    assert recorder.paths == [file.path for file in FILES]
    assert recorder.threads == {threading.get_ident()}
    assert recorder.max_active == INITIAL_NEAR == 1


def test_batch_uses_all_slots_and_fetches_each_file_once(pool: ThreadPoolExecutor) -> None:
    limiter = default_limiter()
    recorder = Recorder(limiter, barrier=INITIAL)
    Batch(FILES, limiter, pool).fetch(recorder.fetch)
    assert sorted(recorder.paths) == [file.path for file in FILES]
    assert recorder.max_active == INITIAL


def test_two_batches_together_do_not_exceed_the_concurrency_limit(pool: ThreadPoolExecutor) -> None:
    limiter = near_limiter()
    recorder = Recorder(limiter)
    with ThreadPoolExecutor(2) as callers:
        for future in [
            callers.submit(Batch(files, limiter, pool).fetch, recorder.fetch) for files in (FILES[:50], FILES[50:])
        ]:
            future.result()
    assert sorted(recorder.paths) == [file.path for file in FILES]
    assert recorder.max_active == 1


# The calling thread fetches file 000, another thread fetches file 003.
@pytest.mark.parametrize(
    "make_limiter, failing_path", [(near_limiter, "000"), (default_limiter, "000"), (default_limiter, "003")]
)
def test_batch_starts_no_further_fetch_after_a_failure(
    pool: ThreadPoolExecutor, make_limiter: Callable[[], ConcurrencyLimiter], failing_path: str
) -> None:
    limiter = make_limiter()
    started: list[str] = []
    has_failed = threading.Event()

    def fetch(file: FileRequest) -> None:
        started.append(file.path)
        if file.path == failing_path:
            has_failed.set()
            raise OSError("the connection broke off")
        has_failed.wait(30)

    with pytest.raises(OSError, match="broke off"):
        Batch(FILES, limiter, pool).fetch(fetch)
    assert len(started) <= 2 * INITIAL < len(FILES)
    assert limiter.has_free_slot
