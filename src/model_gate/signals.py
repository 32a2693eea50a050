"""SIGINT and SIGTERM as an exception, so that a stopped gate cleans up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal to stop the gate. Not an `Exception`, so that only the end of the command catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """The name of the signal, such as `SIGTERM`."""
        return signal.Signals(self.number).name


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the main thread at the first signal within the context, and ignore further ones."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for stop in _SIGNALS:
            signal.signal(stop, signal.SIG_IGN)
        raise Interrupted(number)

    previous = {stop: signal.signal(stop, interrupt) for stop in _SIGNALS}
    try:
        yield
    finally:
        for stop, handler in previous.items():
            signal.signal(stop, handler)
