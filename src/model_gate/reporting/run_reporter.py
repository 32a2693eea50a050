"""Reporters present the progress and the result of a run of many gates: the interface, and that for the terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.reporting.output import print_line
from model_gate.reporting.run_progress import RunProgress, run_progress
from model_gate.reporting.run_table import run_table

_MAX_LOG_LINES, _MAX_LOG_WIDTH = 500, 400
_MIN_LINES, _MIN_WIDTH = 12, 60


@dataclass(frozen=True)
class RunResult:
    """Result of a run of many gates.

    Attributes:
        totals: What the run found in total.
        rows: Returns the rows in the order of the gates files. It can be called again.
        report_file: The path of the report; None if it could not be written.
        redactor: Removes every secret of this run. The rows have none; every other text must pass through it.
        is_verbose: Whether to show the details of an error.
        notices: What the user should know although it is no error, each in one line.
    """

    totals: RunTotals
    rows: Callable[[], Iterator[GateRow]]
    report_file: Path | None
    redactor: Redactor
    is_verbose: bool = False
    notices: tuple[str, ...] = ()


class RunReporter(Protocol):
    """Presents the progress and the result of a run to people."""

    def progress(self) -> AbstractContextManager[RunProgress]:
        """Return a context manager for the run. It yields the object that presents progress."""

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Prevent later output, by this or other programs, from showing these secrets."""

    def show_run(self, result: RunResult) -> None:
        """Present the result.

        Raises:
            ModelGateError: An output that other programs rely on cannot be written.
        """


class TerminalRunReporter:
    """Prints a line for each gate to standard output, and notices to standard error."""

    def progress(self) -> AbstractContextManager[RunProgress]:
        """Return a bar if standard error is a terminal, otherwise a log of the finished gates on standard error."""
        return run_progress()

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Do nothing: the redactor removes the secrets from all output of this reporter."""

    def show_run(self, result: RunResult) -> None:
        """Print the notices and the table of the gates."""
        for notice in result.notices:
            print_line(result.redactor.text(f"warning: {notice}"), sys.stderr.fileno())
        lines, width = _room()
        table = run_table(result.rows(), result.totals, result.report_file, max_lines=lines, max_width=width)
        print_line(result.redactor.text(table))
        error = result.totals.error
        if result.is_verbose and error is not None and error.detail:
            print_line(result.redactor.text(error.detail), sys.stderr.fileno())


def _room() -> tuple[int, int]:
    """Return how many lines and columns the table may have: one screen, or far more if no terminal shows it."""
    if not sys.stdout.isatty():
        return _MAX_LOG_LINES, _MAX_LOG_WIDTH
    size = shutil.get_terminal_size()
    return max(size.lines - 2, _MIN_LINES), max(size.columns, _MIN_WIDTH)
