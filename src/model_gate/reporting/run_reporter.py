"""The interface through which a run of many gates is presented, and what it presents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, RunTotals


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


class RunProgress(Protocol):
    """Receives the progress of a run, in one thread."""

    def begin(self, total: int) -> None:
        """Report the number of gates."""

    def end(self, row: GateRow) -> None:
        """Report that a gate has ended."""


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
