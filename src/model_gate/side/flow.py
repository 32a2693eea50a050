"""How many requests are under way to one server at once: more as long as they bring more, fewer when it pushes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

FEWEST, FIRST, MOST = 2, 16, 64
# The statuses of a server that asks for less.
PUSHES_BACK = frozenset({429, 503})
# What a request costs beside its bytes, in bytes: small files count by number, large ones by size.
_REQUEST_BYTES = 256 * 1024
# More connections must bring this much more, or they are given up again; and then this many measurements of peace.
_GAIN = 1.15
_PEACE = 20
_MEASURED_SECONDS = 0.3


def asked_pause(headers: Mapping[str, str], otherwise: float) -> float:
    """The seconds that an answer asks to wait before the next try; `otherwise` if it names none."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isdigit() else otherwise


class Level:
    """The number of requests to have under way: pure arithmetic, told of each request that ended.

    It doubles while the rate grows with it, goes back to where it grew last, and tries again after a while. A server
    that pushes back (429, 503) halves it at once.
    """

    def __init__(self) -> None:
        self.allowed = FIRST
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
        self.allowed = max(FEWEST, self.allowed // 2)
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
        if self.allowed < MOST:
            self._before = (self.allowed, rate)
            self.allowed = min(MOST, self.allowed * 2)


class Flow:
    """Lets as many requests through at once as the level says."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._level = Level()
        self._under_way = 0
        self._waiting = 0
        self._changed = threading.Condition()

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        """Wait for a turn to ask for `size` bytes."""
        with self._changed:
            self._waiting += 1
            while self._under_way >= self._level.allowed:
                self._changed.wait()
            self._waiting -= 1
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                allowed = self._level.allowed
                self._level.done(size, self._clock(), waiting=self._waiting > 0)
                self._changed.notify(1 + max(0, self._level.allowed - allowed))

    def push_back(self) -> None:
        """The server asked for less."""
        with self._changed:
            self._level.push_back(self._clock())
