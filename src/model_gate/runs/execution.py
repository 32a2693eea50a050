"""Runs gates side by side, with the clients of their servers in common, and keeps a row of each as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from model_gate import gate as gates
from model_gate.access.redaction import Redactor
from model_gate.comparison.progress import NoProgress
from model_gate.domain.gates import Gate, GateRow
from model_gate.domain.request import CheckRequest, CompareRequest
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Status
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, ModelGateError, StoppedError
from model_gate.reporting.report import build_report
from model_gate.reporting.rows import GateResult, row_of
from model_gate.reporting.system import system_facts
from model_gate.runs.row_digest import has_fixed_versions, is_recent, row_digest
from model_gate.sources.server_pool import ServerPool

# After a signal, gates that still compare get this long to remove their files.
_STOP_SECONDS = 5.0


OnRow = Callable[[GateRow], None]


class Rows(Protocol):
    """Where the rows of a run are kept, such as a `RowsFile`."""

    def earlier_row(self, name: str) -> GateRow | None:
        """Return the row that an earlier run has left of a gate; None if there is none."""

    def add(self, row: GateRow) -> None:
        """Add a row, which replaces an earlier row of the same gate."""


@dataclass(frozen=True)
class GateRunner:
    """Runs single gates of a run.

    Attributes:
        shared: The clients of all servers, and what else the gates share.
        rows: The rows. With rows of an earlier run in it, those that still hold are kept.
        environment: The user's environment variables.
        redactor: Removes the secrets of all gates from texts.
        block_of: Returns the summary of one gate in Markdown.
        before_reading: Called with the local paths of a gate's models before a file is read. It may raise StorageError.
        to_error: Returns the error for an exception that is none of Model Gate's own.
        on_kept: Called with each row of an earlier run that is kept, from any thread.
    """

    shared: gates.Shared
    rows: Rows
    environment: Mapping[str, str]
    redactor: Redactor
    block_of: Callable[[Outcome, Redactor], str]
    before_reading: Callable[[Iterable[Path]], None]
    to_error: Callable[[Exception], ModelGateError]
    on_kept: OnRow = lambda _: None

    def run(self, gate: Gate, name: str) -> GateRow:
        """Return the row of a gate, and add it to the rows of the run. An earlier run can have left the same row.

        Args:
            gate: The gate.
            name: The name of its row.

        Raises:
            ModelGateError: The row cannot be added.
        """
        try:
            kept = self._kept_row(gate, name)
            if kept is not None:
                self.on_kept(kept)
            row = kept or self._new_row(gate, name)
        except Exception as error:  # noqa: BLE001  # a bug in one gate must not hide the verdicts of others
            row = self._row(gate, name, Outcome(gate.request, error=self.to_error(error)), 0)
        if self.shared.is_stopped and row.status is Status.ERROR:
            # The end of its worker is not the fault of the gate, which has no result.
            raise StoppedError("The run was stopped before the end of this gate.", "Run it again.")
        self.rows.add(row)
        return row

    def _new_row(self, gate: Gate, name: str) -> GateRow:
        started = time.monotonic()
        if gate.request is None:
            outcome = Outcome(None, error=gate.error)
        else:
            outcome = self._outcome(gate.request)
            if isinstance(outcome.error, InternalError) and self.shared.servers.has_ended(gate.request.hosts):
                # Another gate may have ended the worker, for example by using up its memory.
                outcome = self._outcome(gate.request)
        return self._row(gate, name, outcome, time.monotonic() - started)

    def _outcome(self, request: CheckRequest | CompareRequest) -> Outcome:
        return gates.run(request, self.environment, NoProgress(), None, self.before_reading, self.shared)

    def _row(self, gate: Gate, name: str, outcome: Outcome, seconds: float) -> GateRow:
        redactor = self.redactor.including(outcome.secrets)
        report = build_report(gate.command, outcome, {"gate": name}, redactor, system_facts())
        digest = row_digest(gate, outcome.versions) if outcome.error is None else ""
        block = self.block_of(outcome, redactor)
        return row_of(gate, GateResult(outcome, report, block, seconds, digest), redactor, name)

    def _kept_row(self, gate: Gate, name: str) -> GateRow | None:
        """Return the row of an earlier run if all that it depends on is still the same, with the place of the entry."""
        row = None if gate.request is None else self.rows.earlier_row(name)
        if gate.request is None or row is None or not row.digest or not is_recent(row):
            return None
        versions: Mapping[str, ModelVersion] = {}
        if not has_fixed_versions(gate.request):
            try:
                versions = resolved_versions(gate.request, self.shared.servers)
            except (ModelGateError, OSError):
                # The gate reports the error.
                return None
        if row.digest != row_digest(gate, versions):
            return None
        return replace(row, file=printable(self.redactor.path(gate.entry.file)), line=gate.entry.line)


def resolved_versions(request: CheckRequest | CompareRequest, servers: ServerPool) -> Mapping[str, ModelVersion]:
    """Return the versions of a request by role, resolved anew.

    Raises:
        ModelGateError: A version cannot be resolved.
        OSError: A worker cannot be started.
    """
    clients = servers.clients([version.host for version in request.versions.values()])
    return {
        role: client.resolve(version.model, version.version_or_stage)
        for (role, version), client in zip(request.versions.items(), clients, strict=True)
    }


def run_gates(named: Sequence[tuple[str, Gate]], runner: GateRunner, jobs: int, on_row: OnRow) -> None:
    """Run gates, at most `jobs` at a time, and call `on_row` in the caller's thread when each has ended.

    Args:
        named: The gates, each with the name of its row.
        runner: Runs one gate.
        jobs: Number of gates that run at the same time.
        on_row: Receives each row.

    Raises:
        ModelGateError: A row cannot be added. Gates that have not ended are left out.
    """
    with closing(ended_rows(named, runner, jobs)) as rows:
        for row in rows:
            on_row(row)


def ended_rows(named: Sequence[tuple[str, Gate]], runner: GateRunner, jobs: int) -> Generator[GateRow]:
    """Run gates, at most `jobs` at a time, and yield the row of each when it has ended. See `run_gates`.

    If the iteration ends early, the gates that run are stopped.
    """
    # The rows are not kept in futures, because the reports of all gates together take much memory.
    ended: SimpleQueue[GateRow | BaseException] = SimpleQueue()

    def run(name: str, gate: Gate) -> None:
        try:
            ended.put(runner.run(gate, name))
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            ended.put(error)

    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(run, name, gate) for name, gate in named]
    try:
        for _ in futures:
            row = ended.get()
            if isinstance(row, BaseException):
                raise row
            yield row
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # Without their workers and their files, the other gates end soon.
        runner.shared.stop()
        wait([future for future in futures if not future.cancelled()], timeout=_STOP_SECONDS)
        raise
    pool.shutdown()
