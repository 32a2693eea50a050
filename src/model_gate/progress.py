"""Tells a person who waits what is being done; silent where nobody watches."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


_DRAW_SECONDS = 0.1


class Progress(Protocol):
    """What a gate tells while it works. Any thread may tell."""

    def listing(self, name: str, files: int) -> None:
        """So many files of that model were found so far."""

    def begin(self, files: int, size: int) -> None:
        """So many pairs of files, with so many bytes to fetch, will be compared."""

    def advance(self, files: int, size: int) -> None:
        """So many more were."""


class Silence:
    """No progress is told."""

    def listing(self, name: str, files: int) -> None:
        """Nothing."""

    def begin(self, files: int, size: int) -> None:
        """Nothing."""

    def advance(self, files: int, size: int) -> None:
        """Nothing."""


class TerminalProgress:
    """A line for each listing and a bar for files and bytes, on standard error; gone when it ends.

    Use it as a context manager. Silent where standard error is not a terminal.
    """

    def __init__(self) -> None:
        self._rich: RichProgress | None = None
        self._listings: dict[str, TaskID] = {}
        self._fetching: TaskID | None = None
        self._lock = threading.Lock()
        self._total = 0
        self._done = (0, 0)
        self._drawn = 0.0

    def __enter__(self) -> TerminalProgress:
        if sys.stderr.isatty():
            self._rich = _rich_progress()
            self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()

    def listing(self, name: str, files: int) -> None:
        """Show how many files of that model were found."""
        if self._rich is None:
            return
        if name not in self._listings:
            self._listings[name] = self._rich.add_task(f"list {name}", total=None, files="")
        self._rich.update(self._listings[name], files=f"{files:,} files")

    def begin(self, files: int, size: int) -> None:
        """Show a bar for these."""
        if self._rich is None:
            return
        for task in self._listings.values():
            self._rich.update(task, visible=False)
        self._total = files
        self._fetching = self._rich.add_task("compare", total=max(size, 1), files=f"0/{files:,} files")

    def advance(self, files: int, size: int) -> None:
        """Move the bar."""
        if self._rich is None or self._fetching is None:
            return
        with self._lock:
            self._done = (self._done[0] + files, self._done[1] + size)
            now = time.monotonic()
            # Drawing costs more than comparing a small file.
            if now - self._drawn < _DRAW_SECONDS:
                return
            self._drawn = now
        self._rich.update(self._fetching, completed=self._done[1], files=f"{self._done[0]:,}/{self._total:,} files")


def _rich_progress() -> RichProgress:
    # Rich costs a tenth of a second: only those who see it pay.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[files]}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
