"""Adaptive concurrency limit for the requests to one server.

The limit grows while more concurrent requests raise the throughput, and shrinks when the server throttles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

MIN_CONCURRENCY, MAX_CONCURRENCY = 1, 64
# Initial limits: while the latency is unknown, for a near server, and for a far server.
INITIAL, INITIAL_NEAR, INITIAL_FAR = 16, 1, 32
# A round trip below this is mostly processing time of the server. Concurrent requests would only compete for its
# processors, and each would take longer.
_NEAR_SECONDS = 0.015
# A near server that needs this long for a small file is waiting, for example for its store.
_SLOW_SECONDS, _SMALL_BYTES = 0.5, 1024 * 1024
# The server requests a lower rate.
THROTTLING_STATUSES = frozenset({429, 503})
# Fixed cost of a request, in bytes: small files count by number, large files by size.
_REQUEST_BYTES = 256 * 1024
# Minimum gain from doubling; otherwise revert, then skip this many samples. The threshold is above one third, which is
# what two servers on the same processors would each gain at the expense of the other.
_MIN_GAIN = 1.4
_SAMPLES_TO_SKIP = 20
_SAMPLE_SECONDS = 0.3


def retry_after_seconds(headers: Mapping[str, str], default: float) -> float:
    """Return the delay in seconds of a Retry-After header, or `default` if the header has no number."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else default


class ConcurrencyLimit:
    """The maximum number of concurrent requests, computed from the completed requests. Pure arithmetic.

    The limit doubles while the throughput grows with it. If the throughput stops growing, the limit returns to the
    previous value and doubles again later. A throttled request (429, 503) halves the limit at once.
    """

    def __init__(self, initial: int = INITIAL) -> None:
        self.allowed = initial
        # The limit and the rate before the last doubling, until that doubling is evaluated.
        self._previous: tuple[int, float] | None = None
        self._samples_to_skip = 0
        self._is_saturated = True
        self._start_sample(0.0)

    def record_request(self, size: int, now: float, *, has_waiters: bool) -> None:
        """Record a completed request.

        Args:
            size: Size of the response in bytes.
            now: Time of completion in seconds.
            has_waiters: Whether other requests were waiting for a slot.
        """
        if not self._sample_start:
            self._start_sample(now)
            return
        self._count += 1
        self._work += _REQUEST_BYTES + size
        self._is_saturated = self._is_saturated and has_waiters
        elapsed = now - self._sample_start
        if elapsed >= _SAMPLE_SECONDS and self._count >= 2 * self.allowed:
            # Without waiters, the rate shows the demand and not what the server can do.
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
    """Grants slots: permissions to send a request. Thread-safe.

    Attributes:
        is_near: Whether the server is near: its round trip is below 15 ms, as far as measured.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit = ConcurrencyLimit()
        self._lowest_latency: float | None = None
        self._has_started = False
        self.is_near = False
        self._active = 0
        self._waiters = 0
        self._condition = threading.Condition()
        self._thread = threading.local()

    @property
    def has_free_slot(self) -> bool:
        """Whether a request could start now."""
        return self._active < self._limit.allowed

    def record_latency(self, seconds: float) -> None:
        """Record the duration of a small request. Latencies before the first slot select the initial limit."""
        with self._condition:
            self._lowest_latency = seconds if self._lowest_latency is None else min(self._lowest_latency, seconds)
            if not self._has_started:
                self.is_near = self._lowest_latency < _NEAR_SECONDS
                self._limit = ConcurrencyLimit(INITIAL_NEAR if self.is_near else INITIAL_FAR)

    @contextmanager
    def slot(self, *, blocking: bool = True) -> Iterator[bool]:
        """Hold a slot for any number of consecutive requests of this thread.

        Yields:
            Whether this thread has the slot: always true if `blocking`, otherwise false if no slot is free.
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
        """Measure a request for `size` bytes, in the slot of this thread or else in a new slot."""
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
        """Lower the limit, because the server throttled a request."""
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
