"""Runs the command `run` from its inputs to its exit code: handles every error, and publishes the report."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import AgainstServer, Gate, GateRow, LeftOut, RunTotals, Selection
from model_gate.domain.host import Host
from model_gate.domain.result import Outcome
from model_gate.errors import ModelGateError, StorageError, storage_error
from model_gate.gate import Shared
from model_gate.reporting.report_file import ReportFile
from model_gate.reporting.rows import row_name, totals_of
from model_gate.reporting.run_files import ViewFile, ViewKind
from model_gate.reporting.run_report import run_report
from model_gate.reporting.run_reporter import RunReporter, RunResult
from model_gate.reporting.system import system_facts
from model_gate.runner import internal_error, stopped_error, timeout_error
from model_gate.runs.execution import GateRunner, run_gates
from model_gate.runs.rows_file import RowsFile, rows_path
from model_gate.runs.shards import Shard, gates_of_shard
from model_gate.signals import Interrupted, interruptible, time_limit
from model_gate.sources.server_pool import ServerPool
from model_gate.sources.storage import remove_tree
from model_gate.sources.worker_process import WorkerProcess

DEFAULT_JOBS = 4


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
    """The command `run` with its inputs, before they are validated.

    Attributes:
        options: The options as the user gave them, for the report.
        load: Reads the gates files, and returns what to run; raises InputError or ConfigError.
        report_file: Path of the report.
        views: Paths of other files about the result, by their kind.
        shard: The part of the gates to run; None for all.
        jobs: Number of gates that run at the same time.
        resumes: Whether to keep the rows of an interrupted run.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
        timeout: Seconds after which the command ends in an error; None for no limit.
        inputs: Files that the command reads; no output may change them.
        is_verbose: Whether to show the details of an error.
        secrets: Texts that must not be printed or written, besides the secrets of the gates and the environment.
    """

    options: Mapping[str, object]
    load: Callable[[], GateList]
    report_file: Path
    views: Mapping[ViewKind, Path] = field(default_factory=dict)
    shard: Shard | None = None
    jobs: int = DEFAULT_JOBS
    resumes: bool = False
    allow_local_artifacts: bool = False
    timeout: float | None = None
    inputs: tuple[Path, ...] = ()
    is_verbose: bool = False
    secrets: tuple[str, ...] = ()


BlockOf = Callable[[Outcome, Redactor], str]


def run_many(
    command: RunCommand, reporter: RunReporter, block_of: BlockOf, process: WorkerProcess | None = None
) -> int:
    """Run the gates of a command, write the report and present the result.

    Args:
        command: The command.
        reporter: Presents progress and the result.
        block_of: Returns the summary of one gate in Markdown.
        process: A worker process that was started in advance, which is closed at the end; None to start one when it is
            needed.

    Returns:
        The exit code.
    """
    secrets = (*secrets_of(os.environ), *command.secrets)
    reporter.mask_secrets(secrets)
    run = _Run(command, reporter, block_of, Redactor(secrets))
    with ExitStack() as stack:
        if process is not None:
            stack.callback(process.close)
        try:
            run.open(stack)
        except ModelGateError as error:
            run.error = error
            return run.present(None)
        signal = run.execute(process)
        report_file = run.publish()
        code = run.present(report_file)
    return code if signal is None or signal.is_timeout else signal.exit_code


class _Run:
    """One run: what is known of it so far, from its first check to its result."""

    def __init__(self, command: RunCommand, reporter: RunReporter, block_of: BlockOf, redactor: Redactor) -> None:
        self.error: ModelGateError | None = None
        self._command = command
        self._reporter = reporter
        self._block_of = block_of
        self._redactor = redactor
        self._names: list[str] = []
        self._left_out: tuple[LeftOut, ...] = ()
        self._notices: tuple[str, ...] = ()

    def open(self, stack: ExitStack) -> None:
        """Check the paths of all outputs, and open the file of the rows.

        Raises:
            StorageError: An output cannot be written, or would change an input.
        """
        command = self._command
        self._report = ReportFile(command.report_file)
        self._views = [ViewFile(kind, path) for kind, path in command.views.items()]
        path = rows_path(command.report_file)
        _require_distinct([self._report.path, path, *(view.path for view in self._views)])
        self._require_outside(command.inputs)
        self._report.remove_old()
        self._rows = stack.enter_context(RowsFile(path, resumes=command.resumes))

    def execute(self, process: WorkerProcess | None) -> Interrupted | None:
        """Run the gates. Return the signal that stopped them, None if no signal did."""
        command = self._command
        try:
            with interruptible(), time_limit(command.timeout), self._reporter.progress() as progress:
                listed = command.load()
                self._notices, self._left_out = listed.notices, listed.left_out
                self._mask(listed.entries)
                self._require_outside((*listed.inputs, *_local_hosts(listed.entries)))
                with _servers(process, allow_local_artifacts=command.allow_local_artifacts) as servers:
                    gates, others = gates_of_shard(_expanded(listed.entries, servers), command.shard)
                    self._left_out += tuple(others)
                    self._names = [row_name(gate, self._redactor) for gate in gates]
                    progress.begin(len(gates))
                    run_gates(gates, self._runner(servers), command.jobs, progress.end)
        except Interrupted as signal:
            self.error = timeout_error(command.timeout or 0, "") if signal.is_timeout else stopped_error(signal)
            return signal
        except ModelGateError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
            self.error = internal_error(error)
        return None

    def _runner(self, servers: ServerPool) -> GateRunner:
        return GateRunner(
            Shared(servers),
            self._rows,
            os.environ,
            self._redactor,
            self._block_of,
            self._require_outside,
            internal_error,
        )

    def _mask(self, entries: Iterable[Gate | Selection]) -> None:
        secrets = tuple(dict.fromkeys(secret for entry in entries for secret in _secrets_of(entry)))
        self._reporter.mask_secrets(secrets)
        self._redactor = Redactor((*secrets_of(os.environ), *self._command.secrets, *secrets))

    def _require_outside(self, paths: Iterable[Path]) -> None:
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
        """Write the report and the other files. Return the path of the report, None if it could not be written.

        If a file cannot be written, the run ends in an error.
        """
        try:
            self._write()
        except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
            self.error = error if isinstance(error, ModelGateError) else internal_error(error)
            with suppress(ModelGateError):
                self._report.remove_old()
            return None
        return self._report.path

    def _write(self) -> None:
        totals = self._totals()
        for view in self._views:
            view.write(_VIEWS[view.kind](self._rows_in_order, totals))
        pieces = run_report(self._rows_in_order(), totals, self._command.options, self._redactor, system_facts())
        self._report.write_pieces(pieces)
        if self.error is None and not totals.errors:
            self._rows.complete()

    def present(self, report_file: Path | None) -> int:
        """Present the result, and return the exit code."""
        totals = self._totals()
        rows = self._rows_in_order if self._names else _no_rows
        self._reporter.show_run(
            RunResult(totals, rows, report_file, self._redactor, self._command.is_verbose, self._notices)
        )
        return totals.exit_code

    def _rows_in_order(self) -> Iterator[GateRow]:
        return self._rows.rows(self._names)

    def _totals(self) -> RunTotals:
        rows = self._rows_in_order() if self._names else ()
        return totals_of(rows, self._left_out, self.error)


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


def _secrets_of(entry: Gate | Selection) -> tuple[str, ...]:
    return tuple(secret for host in _hosts_of(entry) for secret in host.secrets)


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
