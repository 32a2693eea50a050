"""Signals that stop the program: deferred by default, and an exception while a gate runs.

A signal can arrive at any time: while modules are imported, while a report is written, or after the last comparison.
`install` therefore comes before all other imports. From then on a signal is only recorded. Inside `interruptible`, a
recorded or new signal raises `Interrupted` in the main thread, so that the gate cleans up and reports an error.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Shells report a program that a signal stopped with this number plus the number of the signal.
EXIT_BASE = 128


class Interrupted(BaseException):
    """A signal asked the program to stop.

    It is not an `Exception`: only the end of a command may catch it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """Name of the signal, such as `SIGTERM`."""
        return signal.Signals(self.number).name

    @property
    def exit_code(self) -> int:
        """Exit code of a program that this signal stopped."""
        return EXIT_BASE + self.number


class _State:
    """The recorded signal, and whether signals raise an exception now."""

    def __init__(self) -> None:
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
    """Record every signal that stops the program, from now on."""
    for number in _SIGNALS:
        # A parent that ignores a signal, such as nohup, means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _state.handle)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the main thread for a recorded signal, and for the first one that arrives inside."""
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
def uninterrupted() -> Iterator[None]:
    """Defer signals to the end of the block, so that a resource is either not acquired or registered for cleanup."""
    raised, _state.raises = _state.raises, False
    try:
        yield
    finally:
        _state.raises = raised
    if raised and _state.received is not None:
        _state.raises = False
        raise Interrupted(_state.received)
