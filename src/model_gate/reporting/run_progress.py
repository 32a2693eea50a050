"""Shows the progress of a run of many gates: a line per finished gate in a log, or a bar on a terminal."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from model_gate.domain.gates import GateRow
from model_gate.domain.wording import truncate, truncate_middle
from model_gate.reporting.output import print_line
from model_gate.reporting.progress import rich_progress
from model_gate.reporting.run_wording import finding_of

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_MAX_NAME = 80
_MAX_LINE = 300


class RunProgress(Protocol):
    """Receives the progress of a run. Its methods can be called by several threads."""

    def begin(self, total: int) -> None:
        """Receive the number of gates, before the first one ends."""

    def end(self, row: GateRow) -> None:
        """Receive the row of a finished gate."""


class RunLog:
    """Writes a line for each finished gate, so that a long run does not look like a hang.

    Use it as a context manager, as a bar.
    """

    def __init__(self, descriptor: int = 1) -> None:
        """Create the log. `descriptor` is the file descriptor of standard output or standard error."""
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._total = self._finished = 0

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: every line is complete."""

    def begin(self, total: int) -> None:
        """Remember the number of gates."""
        self._total = total

    def end(self, row: GateRow) -> None:
        """Write the line of a finished gate."""
        with self._lock:
            self._finished += 1
            print_line(progress_line(row, self._finished, self._total), self._descriptor)


class RunBar:
    """A bar on standard error with the number of finished gates, and a line above it for each gate that failed.

    Use it as a context manager, which removes the bar at its end.
    """

    def __init__(self) -> None:
        self._rich: RichProgress | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()
        self._total = self._finished = self._failed = 0

    def __enter__(self) -> RunBar:
        self._rich = rich_progress()
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def begin(self, total: int) -> None:
        """Show the bar."""
        self._total = total
        if self._rich is not None:
            self._task = self._rich.add_task("gates", total=max(total, 1), shown=self._shown())

    def end(self, row: GateRow) -> None:
        """Move the bar, and write the line of a gate that failed."""
        with self._lock:
            self._finished += 1
            self._failed += not row.passed
            if self._rich is None or self._task is None:
                return
            if not row.passed:
                line = progress_line(row, self._finished, self._total)
                self._rich.console.print(line, markup=False, highlight=False, soft_wrap=True)
            self._rich.update(self._task, completed=self._finished, shown=self._shown())

    def _shown(self) -> str:
        failed = f", {self._failed:,} failed" if self._failed else ""
        return f"{self._finished:,}/{self._total:,} gates{failed}"


def run_progress(descriptor: int = 2) -> RunBar | RunLog:
    """Return a bar if standard error is a terminal, otherwise a log that is written to `descriptor`."""
    return RunBar() if sys.stderr.isatty() else RunLog(descriptor)


def progress_line(row: GateRow, finished: int, total: int) -> str:
    """Return the line of a finished gate, as in `[3/500] equal: wine: Wine: staging v12 = production v12, 1.3 s`."""
    number = f"{finished:>{len(str(total))}}"
    line = f"[{number}/{total}] {row.result}: {truncate_middle(row.name, _MAX_NAME)}: {finding_of(row)}"
    return f"{truncate(line, _MAX_LINE)}, {row.seconds:,.1f} s"
