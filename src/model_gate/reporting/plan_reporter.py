"""Reporters present the plan of the shards of a run: the interface, and that for the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from model_gate.access.redaction import Redactor
from model_gate.domain.result import Outcome
from model_gate.errors import ModelGateError
from model_gate.reporting.output import print_line
from model_gate.reporting.reporter import CommandResult, TerminalReporter


@dataclass(frozen=True)
class PlanResult:
    """The plan of the shards of a run.

    Attributes:
        matrix: The plan as the matrix of a GitHub workflow.
        plan_file: The path of the plan; None if it was not written.
        notices: What the user should know although it is no error, each in one line.
    """

    matrix: Mapping[str, Any]
    plan_file: Path | None = None
    notices: tuple[str, ...] = ()

    @property
    def matrix_text(self) -> str:
        """The matrix as JSON in one line."""
        return json.dumps(self.matrix, separators=(",", ":"))


class PlanReporter(Protocol):
    """Presents the plan of a run to people and programs."""

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Prevent later output, by this or other programs, from showing these secrets."""

    def show_plan(self, result: PlanResult, redactor: Redactor) -> None:
        """Present the plan.

        Raises:
            ModelGateError: An output that other programs rely on cannot be written.
        """

    def show_error(self, error: ModelGateError, redactor: Redactor) -> None:
        """Present why there is no plan."""


class TerminalPlanReporter:
    """Prints the matrix to standard output, and notices and errors to standard error.

    Args:
        is_verbose: Whether to show the details of an error.
    """

    def __init__(self, *, is_verbose: bool) -> None:
        self._is_verbose = is_verbose

    def mask_secrets(self, secrets: Iterable[str]) -> None:
        """Do nothing: the redactor removes the secrets from all output of this reporter."""

    def show_plan(self, result: PlanResult, redactor: Redactor) -> None:
        """Print the notices and the matrix."""
        for notice in result.notices:
            print_line(redactor.text(f"warning: {notice}"), sys.stderr.fileno())
        print_line(result.matrix_text)

    def show_error(self, error: ModelGateError, redactor: Redactor) -> None:
        """Print the error and its remedy."""
        TerminalReporter().show_result(CommandResult(Outcome(None, error=error), None, redactor, self._is_verbose))
