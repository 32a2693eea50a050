"""Runs gates side by side, with the clients of their servers in common, and keeps a row of each as it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from model_gate import gate as gates
from model_gate.access.redaction import Redactor
from model_gate.comparison.progress import NoProgress
from model_gate.domain.gates import Gate, GateRow
from model_gate.domain.request import CheckRequest, CompareRequest
from model_gate.domain.result import Outcome
from model_gate.domain.version import ModelVersion
from model_gate.errors import ModelGateError
from model_gate.reporting.report import Json, build_report
from model_gate.reporting.rows import GateResult, row_name, row_of
from model_gate.reporting.system import system_facts
from model_gate.runs.row_digest import has_fixed_versions, is_recent, row_digest
from model_gate.runs.rows_file import RowsFile

# After a signal, gates that still compare get this long to remove their files.
_STOP_SECONDS = 5.0


OnRow = Callable[[GateRow], None]


@dataclass(frozen=True)
class GateRunner:
    """Runs single gates of a run.

    Attributes:
        shared: The clients of all servers, and what else the gates share.
        rows: The file of the rows. With rows of an earlier run in it, those that still hold are kept.
        environment: The user's environment variables.
        redactor: Removes the secrets of all gates from texts.
        block_of: Returns the summary of one gate in Markdown.
        before_reading: Called with the local paths of a gate's models before a file is read. It may raise StorageError.
        to_error: Returns the error for an exception that is none of Model Gate's own.
    """

    shared: gates.Shared
    rows: RowsFile
    environment: Mapping[str, str]
    redactor: Redactor
    block_of: Callable[[Outcome, Redactor], str]
    before_reading: Callable[[Iterable[Path]], None]
    to_error: Callable[[Exception], ModelGateError]

    def run(self, gate: Gate) -> GateRow:
        """Return the row of a gate, and add it to the rows unless an earlier run has left the same row."""
        if (kept := self._kept_row(gate)) is not None:
            return kept
        started = time.monotonic()
        outcome = self._outcome(gate)
        report = self._report(gate, outcome)
        digest = row_digest(gate, outcome.versions) if outcome.error is None else ""
        result = GateResult(outcome, report, self.block_of(outcome, self.redactor), time.monotonic() - started, digest)
        row = row_of(gate, result, self.redactor)
        self.rows.add(row)
        return row

    def _outcome(self, gate: Gate) -> Outcome:
        if gate.request is None:
            return Outcome(None, error=gate.error)
        try:
            return gates.run(gate.request, self.environment, NoProgress(), None, self.before_reading, self.shared)
        except Exception as error:  # noqa: BLE001  # a bug in one gate must not hide the verdicts of others
            return Outcome(gate.request, error=self.to_error(error))

    def _report(self, gate: Gate, outcome: Outcome) -> Json:
        return build_report(gate.command, outcome, {"gate": gate.name}, self.redactor, system_facts())

    def _kept_row(self, gate: Gate) -> GateRow | None:
        """Return the row of an earlier run if all that it depends on is still the same."""
        name = row_name(gate, self.redactor)
        if gate.request is None or name not in self.rows:
            return None
        row = self.rows.row(name)
        if not row.digest or not is_recent(row):
            return None
        versions: Mapping[str, ModelVersion] = {}
        if not has_fixed_versions(gate.request):
            try:
                versions = self._resolved(gate.request)
            except ModelGateError:
                # The gate reports the error.
                return None
        return row if row.digest == row_digest(gate, versions) else None

    def _resolved(self, request: CheckRequest | CompareRequest) -> Mapping[str, ModelVersion]:
        clients = self.shared.servers.clients([version.host for version in request.versions.values()])
        return {
            role: client.resolve(version.model, version.version_or_stage)
            for (role, version), client in zip(request.versions.items(), clients, strict=True)
        }


def run_gates(gates_to_run: Sequence[Gate], runner: GateRunner, jobs: int, on_row: OnRow) -> None:
    """Run gates, at most `jobs` at a time, and call `on_row` in the caller's thread when each has ended.

    Raises:
        ModelGateError: A row cannot be made or written. Gates that have not ended are left out.
    """
    # The rows are not kept in futures, because the reports of all gates together take much memory.
    ended: SimpleQueue[GateRow | BaseException] = SimpleQueue()

    def run(gate: Gate) -> None:
        try:
            ended.put(runner.run(gate))
        except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
            ended.put(error)

    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(run, gate) for gate in gates_to_run]
    try:
        for _ in futures:
            row = ended.get()
            if isinstance(row, BaseException):
                raise row
            on_row(row)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # Without their workers, the other gates end soon.
        runner.shared.servers.close()
        wait(futures, timeout=_STOP_SECONDS)
        raise
    pool.shutdown()
