"""Counts the progress of a comparison, and shows it on a terminal or in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from model_gate.domain.wording import plural
from model_gate.reporting.output import print_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn, TaskID


_DRAW_SECONDS = 0.1
_LOG_SECONDS = 15.0


class ProgressCounts:
    """Thread-safe counts of files and bytes.

    Attributes:
        files: Number of pairs of files to compare.
        compared: Number of pairs compared so far.
        sizes: Bytes to fetch, by model.
        received: Bytes fetched so far, by model.
    """

    def __init__(self, files: int = 0, sizes: Mapping[str, int] | None = None) -> None:
        self.files = files
        self.compared = 0
        self.sizes = dict(sizes or {})
        self.received = dict.fromkeys(self.sizes, 0)
        self._lock = threading.Lock()

    def add_received(self, name: str, size: int) -> None:
        """Add `size` to the fetched bytes of the model `name`."""
        with self._lock:
            self.received[name] += size

    def add_compared(self, files: int) -> None:
        """Add `files` to the number of compared pairs."""
        with self._lock:
            self.compared += files


class TerminalProgress:
    """Progress lines on standard error: one for each listing, then a bar for each model's bytes and one for the files.

    Use it as a context manager, which removes the lines at its end.
    """

    def __init__(self) -> None:
        # Importing rich takes a tenth of a second, so it is imported only if there is a terminal.
        from rich.progress import TextColumn, TimeRemainingColumn

        self._rich = rich_progress(TextColumn("remaining:"), TimeRemainingColumn())
        self._listings: dict[str, TaskID] = {}
        self._fetches: dict[str, TaskID] = {}
        self._comparison: TaskID | None = None
        self._counts = ProgressCounts()
        self._lock = threading.Lock()
        self._last_draw = 0.0

    def __enter__(self) -> TerminalProgress:
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        self._rich.stop()

    def listing(self, name: str, files: int) -> None:
        """Show the number of files listed so far in a model."""
        if name not in self._listings:
            self._listings[name] = self._rich.add_task(f"list {name}", total=None, shown="")
        self._rich.update(self._listings[name], shown=f"{files:,} files")

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Replace the listings by bars for the models' bytes and for the files."""
        for task in self._listings.values():
            self._rich.update(task, visible=False)
        self._counts = ProgressCounts(files, sizes)
        self._fetches = {
            name: self._rich.add_task(f"fetch {name}", total=max(size, 1), shown="") for name, size in sizes.items()
        }
        self._comparison = self._rich.add_task("compare", total=max(files, 1), shown=f"0/{files:,} files")

    def received(self, name: str, size: int) -> None:
        """Add `size` fetched bytes to the bar of the model `name`."""
        self._counts.add_received(name, size)
        self._draw_at_intervals()

    def advance(self, files: int) -> None:
        """Add `files` compared pairs to the bar of the files."""
        self._counts.add_compared(files)
        self._draw_at_intervals()

    def _draw_at_intervals(self) -> None:
        with self._lock:
            now = time.monotonic()
            # Drawing takes longer than comparing a small file.
            if now - self._last_draw < _DRAW_SECONDS:
                return
            self._last_draw = now
        self._draw()

    def _draw(self) -> None:
        counts = self._counts
        for name, task in self._fetches.items():
            received = counts.received[name]
            self._rich.update(task, completed=received, shown=_megabytes(received, counts.sizes[name]))
        if self._comparison is not None:
            shown = f"{counts.compared:,}/{counts.files:,} files"
            self._rich.update(self._comparison, completed=counts.compared, shown=shown)


class LogProgress:
    """Writes the progress to a log at intervals, so that a long gate does not look like a hang.

    Use it as a context manager.

    Args:
        descriptor: The file descriptor of standard output or standard error.
        seconds: The interval in seconds.
    """

    def __init__(self, descriptor: int = 2, seconds: float = _LOG_SECONDS) -> None:
        self._descriptor = descriptor
        self._seconds = seconds
        self._listed: dict[str, int] = {}
        # None until the comparison begins. Then the time and the received bytes at its beginning, or in the last line.
        self._counts: ProgressCounts | None = None
        self._marked = 0.0
        self._received: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._log_at_intervals, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        # The thread cannot end while nobody reads the log.
        self._thread.join(timeout=1)

    def listing(self, name: str, files: int) -> None:
        """Record the number of files listed so far in a model."""
        self._listed[name] = files

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Record the number of files to compare, and the bytes to fetch."""
        self._marked = time.monotonic()
        self._received = dict.fromkeys(sizes, 0)
        self._counts = ProgressCounts(files, sizes)

    def received(self, name: str, size: int) -> None:
        """Count received bytes."""
        if self._counts is not None:
            self._counts.add_received(name, size)

    def advance(self, files: int) -> None:
        """Count compared files."""
        if self._counts is not None:
            self._counts.add_compared(files)

    def _log_at_intervals(self) -> None:
        while not self._ended.wait(self._seconds):
            self._log(self._state())

    def _state(self) -> str:
        if self._counts is not None:
            now, received = time.monotonic(), self._counts.received.copy()
            text = progress_text(self._counts, self._received, now - self._marked)
            self._marked, self._received = now, received
            return f"{text}."
        if not self._listed:
            return "No files are listed yet."
        return "; ".join(f"{name}: {files:,} files listed" for name, files in self._listed.copy().items()) + "."

    def _log(self, text: str) -> None:
        print_line(text, self._descriptor)


class AnnouncedProgress(LogProgress):
    """A log that begins with the numbers of files to compare and of bytes to fetch, also if the gate is short."""

    def begin(self, files: int, sizes: Mapping[str, int]) -> None:
        """Log the numbers of files to compare and bytes to fetch."""
        super().begin(files, sizes)
        self._log(f"Comparing {files:,} pairs of files; {sum(sizes.values()):,} bytes to fetch.")


def gate_progress() -> TerminalProgress | LogProgress:
    """Return bars if standard error is a terminal, otherwise a log that is written to it."""
    return TerminalProgress() if sys.stderr.isatty() else LogProgress()


def progress_text(counts: ProgressCounts, before: Mapping[str, int], seconds: float) -> str:
    """Return the progress, transfer rates and remaining time in one line.

    For example: `3 of 10 files done; left: 5.0 of 10.0 MB at 1.0 MB/s, 5 s to go`.

    Args:
        counts: The files and the bytes so far.
        before: The bytes of each model some time ago.
        seconds: The time since then.
    """
    parts = [f"{counts.compared:,} of {plural(counts.files, 'file')} done"]
    for name, total in counts.sizes.items():
        received = counts.received[name]
        rate = (received - before.get(name, 0)) / max(seconds, 0.001)
        rest = f", {(total - received) / rate:,.0f} s to go" if rate and received < total else ""
        parts.append(f"{name}: {_megabytes(received, total)} at {rate / 1e6:,.1f} MB/s{rest}")
    return "; ".join(parts)


def _megabytes(received: int, total: int) -> str:
    return f"{received / 1e6:,.1f} of {total / 1e6:,.1f} MB"


def rich_progress(*columns: str | ProgressColumn) -> RichProgress:
    """Return progress bars on standard error. `columns` stand after the elapsed time."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[shown]}", markup=False),
        TimeElapsedColumn(),
        *columns,
        console=Console(stderr=True),
        transient=True,
    )
