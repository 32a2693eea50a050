"""How people hear of a command: a protocol, and the terminal's way. The GitHub Action has another one."""

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
from model_gate.reporting.output import print_line
from model_gate.reporting.progress import TerminalProgress
from model_gate.reporting.terminal import error_text, verdict_text


@dataclass(frozen=True)
class CommandResult:
    """How a command ended.

    Attributes:
        outcome: What was found, or why nothing could be.
        report_file: Where the report is; None if it could not be written.
        redactor: Knows every secret of this command: no text may leave the program without it.
        is_verbose: Whether to show what lies behind an error.
    """

    outcome: Outcome
    report_file: Path | None
    redactor: Redactor
    is_verbose: bool = False


class Reporter(Protocol):
    """One way to tell people what a command does and how it ended."""

    def progress(self) -> AbstractContextManager[Progress]:
        """What is told while the gate works."""

    def keep_secret(self, secrets: Iterable[str]) -> None:
        """These texts were met: see to it that nobody shows them."""

    def tell(self, ending: CommandResult) -> None:
        """Tell the end.

        Raises:
            ModelGateError: It cannot be told where somebody relies on it.
        """


class TerminalReporter:
    """The verdict on standard output, an error on standard error."""

    def progress(self) -> AbstractContextManager[Progress]:
        """A bar, where there is a terminal."""
        return TerminalProgress()

    def keep_secret(self, secrets: Iterable[str]) -> None:
        """Nothing: the redactor is all there is."""

    def tell(self, ending: CommandResult) -> None:
        """One screen of text."""
        error = ending.outcome.error
        if error is None:
            print_line(ending.redactor.text(verdict_text(ending.outcome, ending.report_file)))
            return
        detail = f"\n{error.detail}" if ending.is_verbose and error.detail else ""
        print_line(ending.redactor.text(error_text(error) + detail), sys.stderr.fileno())
