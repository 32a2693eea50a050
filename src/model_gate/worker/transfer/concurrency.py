"""How many requests are under way to one server at once: more as long as they bring more, fewer when it pushes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

MIN_CONCURRENCY, MAX_CONCURRENCY = 1, 64
# How many to begin with: where nothing is known of the server, where it answers quickly, and where it is far away.
INITIAL, INITIAL_NEAR, INITIAL_FAR = 16, 1, 32
# A server that answers sooner than this is busy with the request for most of that time. More requests would only wait
# for each other there, and cost it more: each is worked on in turns with the others.
_NEAR_SECONDS = 0.015
# One that takes this long for a small file, though, waits for something itself, such as its store.
_SLOW_SECONDS, _SMALL_BYTES = 0.5, 1024 * 1024
# The statuses of a server that asks for less.
THROTTLING_STATUSES = frozenset({429, 503})
# What a request costs beside its bytes, in bytes: small files count by number, large ones by size.
_REQUEST_BYTES = 256 * 1024
# Twice the connections must bring this much more, or they are given up again; and then this many measurements of peace.
# Two servers that share their processors would each win a third from the other.
_GAIN = 1.4
_PEACE = 20
_MEASURED_SECONDS = 0.3


def retry_after(headers: Mapping[str, str], otherwise: float) -> float:
    """The seconds that an answer asks to wait before the next try; `otherwise` if it names none."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else otherwise


class ConcurrencyLimit:
    """The number of requests to have under way: pure arithmetic, told of each request that ended.

    It doubles while the rate grows with it, goes back to where it grew last, and tries again after a while. A server
    that pushes back (429, 503) halves it at once.
    """

    def __init__(self, first: int = INITIAL) -> None:
        self.allowed = first
        self._before: tuple[int, float] | None = None
        self._peace = 0
        self._was_full = True
        self._begin(0.0)

    def done(self, size: int, now: float, *, waiting: bool) -> None:
        """A request for `size` bytes ended at `now` seconds; `waiting` says whether others waited for their turn."""
        if not self._started:
            self._begin(now)
            return
        self._count += 1
        self._work += _REQUEST_BYTES + size
        self._was_full = self._was_full and waiting
        elapsed = now - self._started
        if elapsed >= _MEASURED_SECONDS and self._count >= 2 * self.allowed:
            if self._was_full:
                self._judge(self._work / elapsed)
            self._begin(now)

    def push_back(self, now: float) -> None:
        """The server asked for less."""
        self.allowed = max(MIN_CONCURRENCY, self.allowed // 2)
        self._before = None
        self._peace = _PEACE
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._started = now
        self._count = 0
        self._work = 0.0
        self._was_full = True

    def _judge(self, rate: float) -> None:
        if self._before is not None:
            level, former_rate = self._before
            self._before = None
            if rate < former_rate * _GAIN:
                self.allowed = level
                self._peace = _PEACE
                return
        elif self._peace:
            self._peace -= 1
            return
        if self.allowed < MAX_CONCURRENCY:
            self._before = (self.allowed, rate)
            self.allowed = min(MAX_CONCURRENCY, self.allowed * 2)


class ConcurrencyLimiter:
    """Lets as many requests through at once as the level says.

    Attributes:
        is_near: Whether the server answers at once, as far as is known.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._level = ConcurrencyLimit()
        self._quickest: float | None = None
        self._is_begun = False
        self.is_near = False
        self._under_way = 0
        self._waiting = 0
        self._changed = threading.Condition()
        self._own = threading.local()

    @property
    def has_room(self) -> bool:
        """Whether a request could be let through at once."""
        return self._under_way < self._level.allowed

    def answered(self, seconds: float) -> None:
        """The server answered something small after so long; what comes before the first request counts."""
        with self._changed:
            self._quickest = seconds if self._quickest is None else min(self._quickest, seconds)
            if not self._is_begun:
                self.is_near = self._quickest < _NEAR_SECONDS
                self._level = ConcurrencyLimit(INITIAL_NEAR if self.is_near else INITIAL_FAR)

    @contextmanager
    def turn(self, *, waits: bool = True) -> Iterator[bool]:
        """A turn for this thread's requests, as many as it makes one after the other.

        It is waited for; if not, there is none (False) unless it can be had at once.
        """
        if not self._take_turn(waits):
            yield False
            return
        self._own.has_turn = True
        try:
            yield True
        finally:
            self._own.has_turn = False
            with self._changed:
                self._under_way -= 1
                self._changed.notify(max(1, self._level.allowed - self._under_way))

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        """Ask for `size` bytes, in the turn that this thread has, or else wait for one."""
        with nullcontext() if getattr(self._own, "has_turn", False) else self.turn():
            begun = self._clock()
            try:
                yield
            finally:
                self._done(size, begun)

    def _done(self, size: int, begun: float) -> None:
        now = self._clock()
        with self._changed:
            allowed = self._level.allowed
            self._level.done(size, now, waiting=self._waiting > 0)
            if self.is_near and size <= _SMALL_BYTES and now - begun > _SLOW_SECONDS:
                self.is_near = False
                self._level = ConcurrencyLimit(INITIAL)
            if self._level.allowed > allowed:
                self._changed.notify(self._level.allowed - allowed)

    def push_back(self) -> None:
        """The server asked for less."""
        with self._changed:
            self.is_near = False
            self._level.push_back(self._clock())

    def _take_turn(self, waits: bool) -> bool:
        with self._changed:
            self._is_begun = True
            if not waits and not self.has_room:
                return False
            self._waiting += 1
            while not self.has_room:
                self._changed.wait()
            self._waiting -= 1
            self._under_way += 1
            return True
