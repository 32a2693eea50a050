"""Runs a command about many gates from its inputs to its exit code: handles every error, and publishes the report."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import OTHER_SHARD, GateRow, LeftOut, RunTotals
from model_gate.domain.wording import first_names, printable
from model_gate.errors import InternalError, ModelGateError, StoppedError, StorageError
from model_gate.reporting.output_files import OutputFile, ReportFile
from model_gate.reporting.rows import totals_of
from model_gate.reporting.run_files import RowsPath, ViewFile, ViewKind
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


_RESUME = "To keep the results of the gates that have ended, run model-gate run with --resume."


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
        report_file = run.publish()
        code = run.present(report_file)
    return code if signal is None or signal.is_timeout else signal.exit_code


def _execute(work: Work, run: Run, timeout: float | None, reporter: RunReporter) -> Interrupted | None:
    """Do the work of a run. Return the signal that stopped it, None if no signal did."""
    try:
        with interruptible(), time_limit(timeout), reporter.progress() as progress:
            work.execute(run, progress)
    except Interrupted as signal:
        error = timeout_error(timeout or 0, "") if signal.is_timeout else stopped_error(signal)
        run.error = StoppedError(error.message.replace("The gate", "The run", 1), f"{error.remedy} {_RESUME}")
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
    """

    def __init__(self, command: RunCommand, reporter: RunReporter, redactor: Redactor) -> None:
        self.error: ModelGateError | None = None
        self.notices: tuple[str, ...] = ()
        self.left_out: tuple[LeftOut, ...] = ()
        self.redactor = redactor
        self._command = command
        self._reporter = reporter
        self._names: tuple[str, ...] = ()
        self._rows: RowsFile | None = None

    @property
    def rows(self) -> RowsFile:
        """The file of the rows, after `begin`."""
        if self._rows is None:
            raise AssertionError("the run has not begun")
        return self._rows

    def open(self) -> None:
        """Check the paths of all outputs, and remove those of an earlier run.

        Raises:
            StorageError: An output cannot be written, or would change an input.
        """
        command = self._command
        self._report = ReportFile(command.report_file)
        self._rows_file = RowsPath(rows_path(command.report_file))
        self._views = [ViewFile(kind, path) for kind, path in command.views.items()]
        files = self._files
        _require_distinct(file.path for file in files)
        self.require_outside(command.inputs)
        self._report.remove_old()
        for view in self._views:
            view.remove_old()

    @property
    def _files(self) -> list[OutputFile]:
        return [self._report, self._rows_file, *self._views]

    def close(self) -> None:
        """Close the file of the rows."""
        if self._rows is not None:
            self._rows.close()

    def begin(self, roster: Roster) -> None:
        """Receive the gates of the run, before the first row is added. All inputs but the models are known now.

        Raises:
            StorageError: The rows cannot be written.
        """
        own = set(roster.own)
        reason = f"{OTHER_SHARD} {roster.shard}"
        self.left_out += tuple(LeftOut(name, reason) for name in roster.names if name not in own)
        self.left_out = tuple(
            LeftOut(printable(self.redactor.text(entry.name)), printable(self.redactor.text(entry.reason)))
            for entry in self.left_out
        )
        self._rows = RowsFile(self._rows_file.path, resumes=self._command.resumes)
        self._rows.begin(replace(roster, left_out=self.left_out))
        self._names = roster.own

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
        for file in self._files:
            file.require_outside(paths)

    def publish(self) -> Path | None:
        """Write the report and the views. Return the path of the report, None if it could not be written.

        If a file cannot be written, the run ends in an error, and no view says otherwise.
        """
        try:
            self._require_complete()
            totals = self._totals()
            with ExitStack() as stack:
                puts = [
                    stack.enter_context(
                        view.staged(view_pieces(view, self._rows_in_order, totals, self._report.path, self.redactor))
                    )
                    for view in self._views
                ]
                pieces = run_report(self._rows_in_order(), totals, self._command.options, self.redactor, system_facts())
                self._report.write_pieces(pieces)
                for put in puts:
                    put()
            if self._rows is not None and self.error is None and not totals.errors:
                self._rows.complete()
        except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
            self.error = internal_error(error) if not isinstance(error, ModelGateError) else error
            with suppress(ModelGateError):
                self._report.remove_old()
            return None
        return self._report.path

    def _require_complete(self) -> None:
        """Verify that a run without an error has a row of each gate.

        Raises:
            InternalError: A gate has no row.
        """
        lost = [] if self._rows is None else sorted(set(self._names) - set(self._rows.names))
        if self.error is None and lost:
            raise InternalError(f"These gates have no result: {first_names(lost)}.", "Please report it.")

    def present(self, report_file: Path | None) -> int:
        """Present the result, and return the exit code."""
        try:
            totals, rows = self._totals(), self._rows_in_order
        except ModelGateError as error:
            # The rows cannot be read.
            totals, rows = totals_of((), self.left_out, self.error or error, len(self._names)), _no_rows
        result = RunResult(totals, rows, report_file, self.redactor, self._command.is_verbose, self.notices)
        self._reporter.show_run(result)
        return totals.exit_code

    def _rows_in_order(self) -> Iterator[GateRow]:
        return _no_rows() if self._rows is None else self._rows.rows(self._names)

    def _totals(self) -> RunTotals:
        return totals_of(self._rows_in_order(), self.left_out, self.error, len(self._names))


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
