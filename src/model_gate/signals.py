"""Handles the signals that stop the program: they are deferred, except while a gate runs.

A signal can arrive at any time: while modules are imported, while a report is written, or after the last comparison.
The program therefore calls `install` before it imports other modules. From then on, a signal is only recorded. Inside
`interruptible`, a recorded or a new signal raises `Interrupted` in the main thread, so that the gate cleans up and
reports an error.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A century. The system rejects timers that are far longer.
_MAX_SECONDS = 3.2e9
# As in shells, the exit code of a program that a signal stopped is this number plus the number of the signal.
EXIT_BASE = 128


class Interrupted(BaseException):
    """A signal that stops the program: SIGINT, SIGTERM, SIGHUP, or SIGALRM when the time limit has passed.

    The class is not a subclass of `Exception`, so that only the outermost handler of a command catches it.

    Attributes:
        number: Number of the signal.
        awaited: What the program was waiting for, "" if it is not known.
    """

    def __init__(self, number: int) -> None:
        self.awaited = ""
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """Name of the signal, such as `SIGTERM`."""
        return signal.Signals(self.number).name

    @property
    def is_timeout(self) -> bool:
        """Whether the time limit has passed."""
        return self.number == signal.SIGALRM

    @property
    def exit_code(self) -> int:
        """Exit code of a program that this signal stopped."""
        return EXIT_BASE + self.number


class _State:
    """The recorded signal, and whether a new signal raises an exception."""

    def __init__(self) -> None:
        self.started_at = time.monotonic()
        self.received: int | None = None
        self.raises = False

    def handle(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            return
        self.received = number
        if self.raises:
            self.raises = False
            raise Interrupted(number)


_state = _State()


def install() -> None:
    """From now on, record SIGINT, SIGTERM and SIGHUP instead of stopping the program."""
    for number in _SIGNALS:
        # A signal that the parent process ignores, as nohup does, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _state.handle)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the main thread if a signal was recorded before, or when one arrives inside the block."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    install()
    _state.raises = True
    try:
        if _state.received is not None:
            raise Interrupted(_state.received)
        yield
    finally:
        _state.raises = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `Interrupted` in the main thread if `seconds` pass before the end of the block; None for no limit.

    The time starts when this module is imported, at the start of the program. Use the function inside `interruptible`.
    """
    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, _state.handle)
    remaining = _state.started_at + min(seconds, _MAX_SECONDS) - time.monotonic()
    # A time of zero would stop the timer instead.
    signal.setitimer(signal.ITIMER_REAL, max(remaining, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer signals to the end of the block.

    Acquire a resource and register its cleanup inside the block, so that no signal arrives between the two. Signals are
    raised in the main thread only, so the function does nothing in other threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised, _state.raises = _state.raises, False
    try:
        yield
    finally:
        _state.raises = raised
    if raised and _state.received is not None:
        _state.raises = False
        raise Interrupted(_state.received)
