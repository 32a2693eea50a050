"""Reporters present progress and the result of a command: the interface, and its implementation for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model_gate.access.redaction import Redactor
from model_gate.comparison.progress import Progress
from model_gate.domain.result import Outcome
from model_gate.domain.wording import printable
from model_gate.reporting.naming import open_question
from model_gate.reporting.output import print_line
from model_gate.reporting.progress import gate_progress
from model_gate.reporting.terminal import error_text, verdict_text


@dataclass(frozen=True)
class CommandResult:
    """Result of a command.

    Attributes:
        outcome: The verdict or the error.
        report_file: The path of the report; None if it could not be written.
        redactor: Removes every secret of this command. Every text must pass through it before it is printed or written.
        is_verbose: Whether to show the details of an error.
        statement_file: The path of the promotion statement; None if there is none.
        subject_digest: The root of the second model, as in `sha256:…`; "" without a statement.
        seal_file: The path of the seal that this command wrote; None if it wrote none.
    """

    outcome: Outcome
    report_file: Path | None
    redactor: Redactor
    is_verbose: bool = False
    statement_file: Path | None = None
    subject_digest: str = ""
    seal_file: Path | None = None


class Reporter(Protocol):
    """Presents the progress and the result of a command to people."""

    def progress(self) -> AbstractContextManager[Progress]:
        """Return a context manager for the run of a gate. It yields the object that receives and presents progress."""

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Prevent later output, by this or other programs, from showing these secrets."""

    def show_result(self, result: CommandResult) -> None:
        """Present the result.

        Raises:
            ModelGateError: An output that other programs rely on cannot be written.
        """


class TerminalReporter:
    """Prints the verdict to standard output and an error to standard error."""

    def progress(self) -> AbstractContextManager[Progress]:
        """Return bars on a terminal, or lines in a log. Both are written to standard error."""
        return gate_progress()

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Do nothing: the redactor removes the secrets from all output of this reporter."""

    def show_result(self, result: CommandResult) -> None:
        """Print the notices, and the verdict on one screen or the error with its remedy and what it left undecided."""
        error = result.outcome.error
        request = result.outcome.request
        for notice in () if request is None else request.notices:
            print_line(result.redactor.text(f"warning: {notice}"), sys.stderr.fileno())
        if error is None:
            print_line(result.redactor.text(verdict_text(result.outcome, result.report_file)))
            if result.statement_file is not None:
                print_line(result.redactor.text(f"Promotion statement: {printable(str(result.statement_file))}"))
            return
        subject = printable(open_question(result.outcome))
        undecided = f"\n  Not decided: {subject}." if subject else ""
        detail = f"\n{error.detail}" if result.is_verbose and error.detail else ""
        print_line(result.redactor.text(error_text(error) + undecided + detail), sys.stderr.fileno())
