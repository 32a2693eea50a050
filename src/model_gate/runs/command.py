"""Runs the commands about many gates from their inputs to the exit code: handles every error, publishes the report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import AgainstServer, Entry, Gate, GateRow, LeftOut, RunTotals, Selection
from model_gate.domain.host import Host
from model_gate.domain.result import Outcome
from model_gate.domain.wording import first_names
from model_gate.errors import InputError, ModelGateError, StorageError, storage_error
from model_gate.gate import Shared
from model_gate.reporting.report import build_report
from model_gate.reporting.report_file import ReportFile
from model_gate.reporting.rows import GateResult, row_name, row_of, totals_of
from model_gate.reporting.run_files import ViewFile, ViewKind
from model_gate.reporting.run_progress import RunProgress
from model_gate.reporting.run_report import run_report
from model_gate.reporting.run_reporter import RunReporter, RunResult
from model_gate.reporting.system import system_facts
from model_gate.runner import internal_error, stopped_error, timeout_error
from model_gate.runs.execution import GateRunner, run_gates
from model_gate.runs.merging import Place, plan_merge
from model_gate.runs.roster import Roster
from model_gate.runs.rows_file import RowsFile, ShardRows, rows_path
from model_gate.runs.shards import Part, Shard, whole
from model_gate.signals import Interrupted, interruptible, time_limit
from model_gate.sources.server_pool import ServerPool
from model_gate.sources.storage import remove_tree
from model_gate.sources.worker_process import WorkerProcess

DEFAULT_JOBS = 4
BlockOf = Callable[[Outcome, Redactor], str]
ShardOf = Callable[[Sequence[str]], Part]


@dataclass(frozen=True)
class GateList:
    """What a run could run, from its gates files.

    Attributes:
        entries: The gates and the selections in the order of the files.
        left_out: Entries that are left out on purpose, such as those that a pull request does not change.
        inputs: Files and directories that the gates read besides the models.
        notices: What the user should know although it is no error, each in one line.
    """

    entries: tuple[Gate | Selection, ...]
    left_out: tuple[LeftOut, ...] = ()
    inputs: tuple[Path, ...] = ()
    notices: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class GateRun:
    """Runs the gates of gates files.

    Attributes:
        load: Reads the gates files, and returns what to run; raises InputError or ConfigError.
        block_of: Returns the summary of one gate in Markdown.
        shard_of: Returns the part of the gates to run, by the names of all gates.
        jobs: Number of gates that run at the same time.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
        process: A worker process that was started in advance; None to start one when it is needed.
    """

    load: Callable[[], GateList]
    block_of: BlockOf
    shard_of: ShardOf = whole
    jobs: int = DEFAULT_JOBS
    allow_local_artifacts: bool = False
    process: WorkerProcess | None = None

    def execute(self, run: Run, progress: RunProgress) -> None:
        """Run the gates, and add their rows to the run.

        Raises:
            ModelGateError: The gates are not known, or a row cannot be written.
        """
        listed = self.load()
        run.notices, run.left_out = listed.notices, listed.left_out
        run.add_secrets(secret for entry in listed.entries for host in _hosts_of(entry) for secret in host.secrets)
        run.require_outside((*listed.inputs, *_local_hosts(listed.entries)))
        with _servers(self.process, allow_local_artifacts=self.allow_local_artifacts) as servers:
            gates = _expanded(listed.entries, servers)
            names = [row_name(gate, run.redactor) for gate in gates]
            part = self.shard_of(names)
            run.begin(Roster(part.shard, tuple(names), part.names, listed.left_out))
            own = [gate for gate, name in zip(gates, names, strict=True) if name in set(part.names)]
            progress.begin(len(own))
            runner = GateRunner(
                Shared(servers),
                run.rows,
                os.environ,
                run.redactor,
                self.block_of,
                run.require_outside,
                internal_error,
            )
            run_gates(own, runner, self.jobs, progress.end)


@dataclass(frozen=True)
class Merge:
    """Merges the rows of shards.

    Attributes:
        files: The files of the shards' rows.
    """

    files: tuple[Path, ...]

    def execute(self, run: Run, progress: RunProgress) -> None:
        """Add the rows of all shards to the run, and an error for each gate without a row.

        Raises:
            ModelGateError: A file cannot be read, or the files are not those of one run.
        """
        with ExitStack() as stack:
            shards = [stack.enter_context(ShardRows(path)) for path in self.files]
            plan = plan_merge([shard.roster for shard in shards], [shard.names for shard in shards])
            names = tuple(place.name for place in plan.places)
            run.left_out = plan.left_out
            run.begin(Roster(Shard(1, 1), names, names, plan.left_out))
            progress.begin(len(names))
            for place in plan.places:
                row = _missing_row(place) if place.shard is None else shards[place.shard].row(place.name)
                run.rows.add(row)
                progress.end(row)
        if plan.missing:
            raise InputError(
                f"There is no result of the shard {first_names(list(plan.missing))}.",
                "See the job of this shard, run it again, and merge the results again.",
            )


def run_many(command: RunCommand, work: GateRun | Merge, reporter: RunReporter) -> int:
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


def _execute(work: GateRun | Merge, run: Run, timeout: float | None, reporter: RunReporter) -> Interrupted | None:
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
                view.write(_VIEWS[view.kind](self._rows_in_order, totals))
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


@contextmanager
def _servers(process: WorkerProcess | None, *, allow_local_artifacts: bool) -> Iterator[ServerPool]:
    """Yield the clients of the run's servers, which end with the block."""
    try:
        home = Path(tempfile.mkdtemp(prefix="model-gate-"))
    except OSError as error:
        raise storage_error(error, "make a scratch directory") from error
    try:
        with ServerPool(os.environ, home, process, allow_local_artifacts=allow_local_artifacts) as servers:
            yield servers
    finally:
        remove_tree(home)


def _expanded(entries: Sequence[Gate | Selection], servers: ServerPool) -> list[Gate]:
    """Return the gates of all entries, in their order."""
    return [gate for entry in entries for gate in ([entry] if isinstance(entry, Gate) else expand(entry, servers))]


def _local_hosts(entries: Iterable[Gate | Selection]) -> list[Path]:
    return [path for entry in entries for host in _hosts_of(entry) if (path := host.local_path) is not None]


def _hosts_of(entry: Gate | Selection) -> tuple[Host, ...]:
    if isinstance(entry, Selection):
        other = entry.against.host if isinstance(entry.against, AgainstServer) else None
        return (entry.host,) if other is None else (entry.host, other)
    return () if entry.request is None else entry.request.hosts


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


def _missing_row(place: Place) -> GateRow:
    """Return the row of a gate of which no shard has a row."""
    gate = Gate(place.name, Entry(place.name, "", 0, ""), None)
    error = InputError(place.reason, "See the job of the shard, run it again, and merge the results again.")
    outcome = Outcome(None, error=error)
    report = build_report(gate.command, outcome, {"gate": gate.name}, Redactor(), system_facts())
    return row_of(gate, GateResult(outcome, report, "", 0), Redactor())
