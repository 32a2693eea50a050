"""Tells a person who waits what is being done; silent where nobody watches."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


_DRAW_SECONDS = 0.1


class ProgressCounts:
    """What was told so far: counts that any thread may add to.

    Attributes:
        files: Pairs to compare.
        compared: Pairs compared.
        sizes: Bytes to fetch, by model.
        come: Bytes fetched, by model.
    """

    def __init__(self, files: int = 0, sizes: Mapping[str, int] | None = None) -> None:
        self.files = files
        self.compared = 0
        self.sizes = dict(sizes or {})
        self.come = dict.fromkeys(self.sizes, 0)
        self._lock = threading.Lock()

    def receive(self, name: str, size: int) -> None:
        """Count bytes."""
        with self._lock:
            self.come[name] += size

    def compare(self, files: int) -> None:
        """Count pairs."""
        with self._lock:
            self.compared += files


class TerminalProgress:
    """A line for each listing, then a bar for each model's bytes and one for the files, on standard error.

    They are gone when it ends. Use it as a context manager. Silent where standard error is not a terminal.
    """

    def __init__(self) -> None:
        self._rich: RichProgress | None = None
        self._listings: dict[str, TaskID] = {}
        self._fetching: dict[str, TaskID] = {}
        self._comparing: TaskID | None = None
        self._tallies = ProgressCounts()
        self._lock = threading.Lock()
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
            self._draw(self._rich)
            self._rich.stop()

    def listing(self, name: str, files: int) -> None:
        """Show how many files of that model were found."""
        if self._rich is None:
            return
        if name not in self._listings:
            self._listings[name] = self._rich.add_task(f"list {name}", total=None, shown="")
        self._rich.update(self._listings[name], shown=f"{files:,} files")

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Show bars for these."""
        if self._rich is None:
            return
        for task in self._listings.values():
            self._rich.update(task, visible=False)
        self._tallies = ProgressCounts(files, sizes)
        self._fetching = {
            name: self._rich.add_task(f"fetch {name}", total=max(size, 1), shown="") for name, size in sizes.items()
        }
        self._comparing = self._rich.add_task("compare", total=max(files, 1), shown=f"0/{files:,} files")

    def received(self, name: str, size: int) -> None:
        """Move the model's bar."""
        if self._rich is not None:
            self._tallies.receive(name, size)
            self._draw_now_and_then(self._rich)

    def advance(self, files: int) -> None:
        """Move the files' bar."""
        if self._rich is not None:
            self._tallies.compare(files)
            self._draw_now_and_then(self._rich)

    def _draw_now_and_then(self, rich: RichProgress) -> None:
        with self._lock:
            now = time.monotonic()
            # Drawing costs more than comparing a small file.
            if now - self._drawn < _DRAW_SECONDS:
                return
            self._drawn = now
        self._draw(rich)

    def _draw(self, rich: RichProgress) -> None:
        tallies = self._tallies
        for name, task in self._fetching.items():
            rich.update(task, completed=tallies.come[name], shown=_amounts(tallies.come[name], tallies.sizes[name]))
        if self._comparing is not None:
            shown = f"{tallies.compared:,}/{tallies.files:,} files"
            rich.update(self._comparing, completed=tallies.compared, shown=shown)


def progress_text(tallies: ProgressCounts, seconds: float) -> str:
    """Totals, rates and the time that is left, after so many seconds.

    As in: `3 of 10 files compared; run_model/server_1: 5.0 of 10.0 MB at 1.0 MB/s, 5 s left`.
    """
    told = [f"{tallies.compared:,} of {tallies.files:,} files compared"]
    for name, total in tallies.sizes.items():
        come = tallies.come[name]
        rate = come / max(seconds, 0.001)
        left = f", {(total - come) / rate:,.0f} s left" if rate and come < total else ""
        told.append(f"{name}: {_amounts(come, total)} at {rate / 1e6:,.1f} MB/s{left}")
    return "; ".join(told)


def _amounts(come: int, total: int) -> str:
    return f"{come / 1e6:,.1f} of {total / 1e6:,.1f} MB"


def _rich_progress() -> RichProgress:
    # Rich costs a tenth of a second: only those who see it pay.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[shown]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
