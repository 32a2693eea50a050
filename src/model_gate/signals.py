"""SIGINT and SIGTERM as an exception, so that everything is put away on the way out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked the gate to stop. Not an `Exception`: nothing but the end of the command may catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def name(self) -> str:
        """As in `SIGTERM`."""
        return signal.Signals(self.number).name


@contextmanager
def interruptible() -> Iterator[None]:
    """While it lasts, the first signal raises `Interrupted` in the main thread and further ones do nothing."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    before = {each: signal.signal(each, interrupt) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
