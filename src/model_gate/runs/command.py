"""Runs a command about many gates from its inputs to its exit code: handles every error, and publishes the report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.errors import ModelGateError, StorageError
from model_gate.reporting.output_files import ReportFile
from model_gate.reporting.rows import totals_of
from model_gate.reporting.run_files import ViewFile, ViewKind
from model_gate.reporting.run_progress import RunProgress
from model_gate.reporting.run_report import run_report
from model_gate.reporting.run_reporter import RunReporter, RunResult
from model_gate.reporting.run_views import view_pieces
from model_gate.reporting.system import system_facts
from model_gate.runner import internal_error, stopped_error, timeout_error
from model_gate.runs.roster import Roster
from model_gate.runs.rows_file import RowsFile, rows_path
from model_gate.signals import Interrupted, interruptible, time_limit


@dataclass(frozen=True)
class RunCommand:
    """A command about many gates with its inputs, before they are validated.

    Attributes:
        options: The options as the user gave them, for the report.
        report_file: Path of the report.
        views: Paths of other files about the result, by their kind.
        resumes: Whether to keep the rows of an interrupted run.
        timeout: Seconds after which the command ends in an error; None for no limit.
        inputs: Files that the command reads; no output may change them.
        is_verbose: Whether to show the details of an error.
        secrets: Texts that must not be printed or written, besides the secrets of the gates and the environment.
    """

    options: Mapping[str, object]
    report_file: Path
    views: Mapping[ViewKind, Path] = field(default_factory=dict)
    resumes: bool = False
    timeout: float | None = None
    inputs: tuple[Path, ...] = ()
    is_verbose: bool = False
    secrets: tuple[str, ...] = ()


class Work(Protocol):
    """What a command about many gates does to get its rows."""

    def execute(self, run: Run, progress: RunProgress) -> None:
        """Add the rows of all gates to the run.

        Raises:
            ModelGateError: The gates are not known, or a row cannot be added.
        """


def run_many(command: RunCommand, work: Work, reporter: RunReporter) -> int:
    """Run a command about many gates, write the report and present the result. Return the exit code."""
    secrets = (*secrets_of(os.environ), *command.secrets)
    reporter.mask_secrets(secrets)
    run = Run(command, reporter, Redactor(secrets))
    try:
        run.open()
    except ModelGateError as error:
        run.error = error
        return run.present(None)
    with closing(run):
        signal = _execute(work, run, command.timeout, reporter)
        code = run.present(run.publish())
    return code if signal is None or signal.is_timeout else signal.exit_code


def _execute(work: Work, run: Run, timeout: float | None, reporter: RunReporter) -> Interrupted | None:
    """Do the work of a run. Return the signal that stopped it, None if no signal did."""
    try:
        with interruptible(), time_limit(timeout), reporter.progress() as progress:
            work.execute(run, progress)
    except Interrupted as signal:
        run.error = timeout_error(timeout or 0, "") if signal.is_timeout else stopped_error(signal)
        return signal
    except ModelGateError as error:
        run.error = error
    except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
        run.error = internal_error(error)
    return None


class Run:
    """One run: its outputs, and what is known of its result so far.

    Attributes:
        error: The error that ended the whole run; None if there is none.
        notices: What the user should know although it is no error.
        left_out: What the run leaves out on purpose.
        redactor: Removes the secrets that are known so far.
        rows: The file of the rows, after `open`.
    """

    rows: RowsFile

    def __init__(self, command: RunCommand, reporter: RunReporter, redactor: Redactor) -> None:
        self.error: ModelGateError | None = None
        self.notices: tuple[str, ...] = ()
        self.left_out: tuple[LeftOut, ...] = ()
        self.redactor = redactor
        self._command = command
        self._reporter = reporter
        self._names: tuple[str, ...] = ()

    def open(self) -> None:
        """Check the paths of all outputs, and open the file of the rows.

        Raises:
            StorageError: An output cannot be written, or would change an input.
        """
        command = self._command
        self._report = ReportFile(command.report_file)
        self._views = [ViewFile(kind, path) for kind, path in command.views.items()]
        path = rows_path(command.report_file)
        _require_distinct([self._report.path, path, *(view.path for view in self._views)])
        self.require_outside(command.inputs)
        self._report.remove_old()
        self.rows = RowsFile(path, resumes=command.resumes)

    def close(self) -> None:
        """Close the file of the rows."""
        self.rows.close()

    def begin(self, roster: Roster) -> None:
        """Receive the gates of the run, before the first row is added."""
        self._names = roster.own
        others = set(roster.gates) - set(roster.own)
        reason = f"not in shard {roster.shard}"
        self.left_out += tuple(LeftOut(name, reason) for name in roster.gates if name in others)
        self.rows.begin(roster)

    def add_secrets(self, secrets: Iterable[str]) -> None:
        """Remove these secrets too from all texts from now on."""
        found = tuple(dict.fromkeys(secrets))
        self._reporter.mask_secrets(found)
        self.redactor = Redactor((*secrets_of(os.environ), *self._command.secrets, *found))

    def require_outside(self, paths: Iterable[Path]) -> None:
        """Verify that no output would change one of these inputs.

        Raises:
            StorageError: An output would.
        """
        paths = list(paths)
        for file in (self._report, *self._views):
            file.require_outside(paths)
        for path in paths:
            if rows_path(self._report.target).is_relative_to(os.path.realpath(path)):
                raise StorageError(f"The rows of the run would change an input, {path}.", "Name another --report-file.")

    def publish(self) -> Path | None:
        """Write the report and the views. Return the path of the report, None if it could not be written.

        If a file cannot be written, the run ends in an error.
        """
        try:
            totals = self._totals()
            for view in self._views:
                view.write(view_pieces(view, self._rows_in_order, totals, self._report.path, self.redactor))
            pieces = run_report(self._rows_in_order(), totals, self._command.options, self.redactor, system_facts())
            self._report.write_pieces(pieces)
            if self.error is None and not totals.errors:
                self.rows.complete()
        except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
            self.error = error if isinstance(error, ModelGateError) else internal_error(error)
            with suppress(ModelGateError):
                self._report.remove_old()
            return None
        return self._report.path

    def present(self, report_file: Path | None) -> int:
        """Present the result, and return the exit code."""
        totals = self._totals()
        rows = self._rows_in_order if self._names else _no_rows
        self._reporter.show_run(
            RunResult(totals, rows, report_file, self.redactor, self._command.is_verbose, self.notices)
        )
        return totals.exit_code

    def _rows_in_order(self) -> Iterator[GateRow]:
        return self.rows.rows(self._names)

    def _totals(self) -> RunTotals:
        rows = self._rows_in_order() if self._names else ()
        return totals_of(rows, self.left_out, self.error)


def _no_rows() -> Iterator[GateRow]:
    yield from ()


def _require_distinct(paths: Iterable[Path]) -> None:
    """Verify that no two outputs have one path.

    Raises:
        StorageError: Two outputs have one path.
    """
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in seen:
            raise StorageError(f"Two outputs of the run have the path {path}.", "Name different files.")
        seen.add(real)
