"""Adaptive limit for the number of concurrent requests to one server.

The limit grows while more concurrent requests raise the throughput, and shrinks when the server throttles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

MIN_CONCURRENCY, MAX_CONCURRENCY = 1, 64
# Initial limits for a server of unknown latency, for a near server and for a far server.
INITIAL, INITIAL_NEAR, INITIAL_FAR = 16, 1, 32
# A server is near if a small request takes less than 15 ms. Most of that is processing time of the server, so
# concurrent requests would compete for its processors and each would take longer.
_NEAR_SECONDS = 0.015
# If a near server takes over 0.5 s for a file of at most 1 MiB, it is waiting for something, such as its store. More
# concurrent requests then help.
_SLOW_SECONDS, _SMALL_BYTES = 0.5, 1024 * 1024
# HTTP statuses with which a server demands fewer requests.
THROTTLING_STATUSES = frozenset({429, 503})
# Overhead of each request, as the number of bytes that the server could send in the same time.
_REQUEST_BYTES = 256 * 1024
# A doubled limit must raise the throughput by 40 %. Otherwise it is reverted, and the next 20 samples are ignored. A
# smaller gain may be no real gain: a server that shares its processors with another server can gain one third at the
# other's expense.
_MIN_GAIN = 1.4
_SAMPLES_TO_SKIP = 20
_SAMPLE_SECONDS = 0.3


def retry_after_seconds(headers: Mapping[str, str], default: float) -> float:
    """Return the delay in seconds that the Retry-After header demands.

    Return `default` if the header is missing or is not a number.
    """
    text = headers.get("Retry-After", "")
    # `isdigit` is true for "²" too, which is not a number.
    return float(text) if text.isascii() and text.isdigit() else default


class ConcurrencyLimit:
    """Computes the maximum number of concurrent requests from the sizes and times of the completed requests.

    The limit doubles while this raises the throughput. If a doubling does not raise the throughput, the limit returns
    to its previous value and is doubled again later. A throttled request (429, 503) halves the limit at once.

    The class does no I/O and reads no clock.

    Attributes:
        allowed: The current maximum number of concurrent requests.
    """

    def __init__(self, initial: int = INITIAL) -> None:
        self.allowed = initial
        # The limit and the throughput before the last doubling. None if no doubling is being evaluated.
        self._previous: tuple[int, float] | None = None
        self._samples_to_skip = 0
        self._is_saturated = True
        self._start_sample(0.0)

    def record_request(self, size: int, now: float, *, has_waiters: bool) -> None:
        """Record a completed request.

        Args:
            size: Size of the response in bytes.
            now: Time of completion in seconds, on a clock of the caller's choice.
            has_waiters: Whether other requests were waiting for the limit to allow them.
        """
        if not self._sample_start:
            self._start_sample(now)
            return
        self._count += 1
        self._work += _REQUEST_BYTES + size
        self._is_saturated = self._is_saturated and has_waiters
        elapsed = now - self._sample_start
        if elapsed >= _SAMPLE_SECONDS and self._count >= 2 * self.allowed:
            # If no request waited for a slot, the server could have answered more requests than it received.
            if self._is_saturated:
                self._adjust(self._work / elapsed)
            self._start_sample(now)

    def throttled(self, now: float) -> None:
        """Halve the limit, because the server throttled a request."""
        self.allowed = max(MIN_CONCURRENCY, self.allowed // 2)
        self._previous = None
        self._samples_to_skip = _SAMPLES_TO_SKIP
        self._start_sample(now)

    def _start_sample(self, now: float) -> None:
        self._sample_start = now
        self._count = 0
        self._work = 0.0
        self._is_saturated = True

    def _adjust(self, rate: float) -> None:
        if self._previous is not None:
            previous_limit, previous_rate = self._previous
            self._previous = None
            if rate < previous_rate * _MIN_GAIN:
                self.allowed = previous_limit
                self._samples_to_skip = _SAMPLES_TO_SKIP
                return
        elif self._samples_to_skip:
            self._samples_to_skip -= 1
            return
        if self.allowed < MAX_CONCURRENCY:
            self._previous = (self.allowed, rate)
            self.allowed = min(MAX_CONCURRENCY, self.allowed * 2)


class ConcurrencyLimiter:
    """Grants slots, each a permission to send a request to one server. Thread-safe.

    Args:
        clock: Returns the time in seconds.
        initial: The limit until `record_latency` replaces it.

    Attributes:
        is_near: Whether the server is near, that is whether its fastest small request took less than 15 ms.
            False before the first measurement, and after the server throttled a request or was slow with a small file.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, initial: int = INITIAL) -> None:
        self._clock = clock
        self._limit = ConcurrencyLimit(initial)
        self._lowest_latency: float | None = None
        self._has_started = False
        self.is_near = False
        self._active = 0
        self._waiters = 0
        self._condition = threading.Condition()
        self._thread = threading.local()

    @property
    def has_free_slot(self) -> bool:
        """Whether fewer slots are in use than the limit allows."""
        return self._active < self._limit.allowed

    def record_latency(self, seconds: float) -> None:
        """Record the duration of a small request in seconds.

        The shortest duration recorded before the first slot is granted decides how many requests may run at once in the
        beginning. Later calls do not change the limit.
        """
        with self._condition:
            self._lowest_latency = seconds if self._lowest_latency is None else min(self._lowest_latency, seconds)
            if not self._has_started:
                self.is_near = self._lowest_latency < _NEAR_SECONDS
                self._limit = ConcurrencyLimit(INITIAL_NEAR if self.is_near else INITIAL_FAR)

    @contextmanager
    def slot(self, *, blocking: bool = True) -> Iterator[bool]:
        """Hold a slot, in which this thread may send any number of requests, one after the other.

        If `blocking`, wait until a slot is free.

        Yields:
            Whether this thread has a slot. False only if `blocking` is false and no slot is free.
        """
        if not self._acquire_slot(blocking):
            yield False
            return
        self._thread.has_slot = True
        try:
            yield True
        finally:
            self._thread.has_slot = False
            with self._condition:
                self._active -= 1
                self._condition.notify(max(1, self._limit.allowed - self._active))

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        """Hold a slot during a request whose response has `size` bytes, and record its duration.

        If this thread already has a slot, the request uses that slot. Otherwise it waits for a new slot.
        """
        with nullcontext() if getattr(self._thread, "has_slot", False) else self.slot():
            start = self._clock()
            try:
                yield
            finally:
                self._record_request(size, start)

    def _record_request(self, size: int, start: float) -> None:
        now = self._clock()
        with self._condition:
            allowed = self._limit.allowed
            self._limit.record_request(size, now, has_waiters=self._waiters > 0)
            if self.is_near and size <= _SMALL_BYTES and now - start > _SLOW_SECONDS:
                self.is_near = False
                self._limit = ConcurrencyLimit(INITIAL)
            if self._limit.allowed > allowed:
                self._condition.notify(self._limit.allowed - allowed)

    def throttled(self) -> None:
        """Halve the limit, because the server throttled a request."""
        with self._condition:
            self.is_near = False
            self._limit.throttled(self._clock())

    def _acquire_slot(self, blocking: bool) -> bool:
        with self._condition:
            self._has_started = True
            if not blocking and not self.has_free_slot:
                return False
            self._waiters += 1
            while not self.has_free_slot:
                self._condition.wait()
            self._waiters -= 1
            self._active += 1
            return True
