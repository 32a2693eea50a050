"""Runs the gates of gates files: expands selections, picks the gates of a shard, and runs them side by side."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import AgainstServer, Gate, Selection
from model_gate.domain.host import Host
from model_gate.domain.result import Outcome
from model_gate.domain.roles import DEFAULT_JOBS
from model_gate.domain.version import SelectedVersion
from model_gate.domain.wording import plural, printable
from model_gate.errors import storage_error
from model_gate.gate import Shared
from model_gate.reporting.rows import row_names
from model_gate.reporting.run_progress import RunProgress
from model_gate.runner import internal_error
from model_gate.runs.command import Run
from model_gate.runs.execution import GateRunner, run_gates
from model_gate.runs.gate_list import GateList, chosen
from model_gate.runs.plan import Plan, make_plan
from model_gate.runs.roster import Roster, RosterGate
from model_gate.runs.row_digest import list_digest
from model_gate.runs.shards import Part, whole
from model_gate.selection import expand, registry_host
from model_gate.signals import uninterrupted
from model_gate.sources.server_pool import ServerPool
from model_gate.sources.storage import remove_tree
from model_gate.sources.worker_process import WorkerProcess

# Number of searches that run at the same time.
_SEARCHES = 8
BlockOf = Callable[[Outcome, Redactor], str]
ShardOf = Callable[[Sequence[str]], Part]


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
        run.add_secrets(secrets_of_entries(listed.entries))
        run.require_outside((*listed.inputs, *local_hosts(listed.entries)))
        with open_servers(self.process, allow_local_artifacts=self.allow_local_artifacts) as servers:
            _start_together(listed.entries, servers)
            gates, others = chosen(expanded(listed.entries, servers), listed)
            run.left_out += tuple(others)
            names = row_names(gates, run.redactor)
            part = self.shard_of(names)
            run.begin(_roster(listed, gates, names, part, run.redactor))
            wanted = set(part.names)
            own = [(name, gate) for name, gate in zip(names, gates, strict=True) if name in wanted]
            progress.begin(len(own))
            kept: list[str] = []
            runner = GateRunner(
                Shared(servers),
                run.rows,
                os.environ,
                run.redactor,
                self.block_of,
                run.require_outside,
                internal_error,
                lambda row: kept.append(row.report["system"]["utc_time"]),
            )
            run_gates(own, runner, self.jobs, progress.end)
        if kept:
            count = plural(len(kept), "gate")
            run.notices += (f"Of {count}, the result of an earlier run was kept, the oldest of {min(kept)}.",)


def _roster(listed: GateList, gates: Sequence[Gate], names: Sequence[str], part: Part, redactor: Redactor) -> Roster:
    known = tuple(
        RosterGate(name, printable(redactor.path(gate.entry.file)), gate.entry.line)
        for name, gate in zip(names, gates, strict=True)
    )
    return Roster(
        part.shard,
        known,
        part.names,
        digest=list_digest(listed),
        workflow_run=printable(os.environ.get("GITHUB_RUN_ID", "")),
        plan=part.plan,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def plan_run(
    listed: GateList, shards: int, jobs: int, *, allow_local_artifacts: bool, process: WorkerProcess | None
) -> Plan:
    """Return the plan of the shards of a run. See `make_plan`.

    Raises:
        ModelGateError: `--only` names no gate, or the number of shards is out of range.
    """
    redactor = Redactor((*secrets_of(os.environ), *secrets_of_entries(listed.entries)))
    with open_servers(process, allow_local_artifacts=allow_local_artifacts) as servers:
        _start_together(listed.entries, servers)
        gates, _ = chosen(expanded(listed.entries, servers), listed)
        return make_plan(dict(zip(row_names(gates, redactor), gates, strict=True)), shards, Shared(servers), jobs)


@contextmanager
def open_servers(
    process: WorkerProcess | None, *, allow_local_artifacts: bool, environment: Mapping[str, str] | None = None
) -> Iterator[ServerPool]:
    """Yield the clients of the run's servers, which end with the block.

    Args:
        process: See `GateRun`.
        allow_local_artifacts: See `GateRun`.
        environment: The user's environment variables; None for those of this process.

    Raises:
        StorageError: The scratch directory cannot be made.
    """
    variables = os.environ if environment is None else environment
    with ExitStack() as stack:
        # No signal arrives between a resource and the record of its cleanup.
        with uninterrupted():
            try:
                home = Path(tempfile.mkdtemp(prefix="model-gate-"))
            except OSError as error:
                raise storage_error(error, "make a scratch directory") from error
            stack.callback(remove_tree, home)
            pool = ServerPool(variables, home, process, allow_local_artifacts=allow_local_artifacts)
            servers = stack.enter_context(pool)
        try:
            yield servers
        finally:
            with uninterrupted():
                stack.close()


def _start_together(entries: Iterable[Gate | Selection], servers: ServerPool) -> None:
    """Start the clients of the first two servers, so that both share one import of MLflow."""
    hosts = dict.fromkeys(host for entry in entries for host in _hosts_of(entry))
    with uninterrupted():
        servers.clients(list(islice(hosts, 2)))


def expanded(entries: Sequence[Gate | Selection], servers: ServerPool) -> list[Gate]:
    """Return the gates of all entries, in their order."""

    def search(host: Host, models: str, version_or_stage: str, tags: Mapping[str, str]) -> tuple[SelectedVersion, ...]:
        with uninterrupted():
            (client,) = servers.clients([host])
        return client.search(models, version_or_stage, tags)

    selections = [entry for entry in entries if isinstance(entry, Selection)]
    pool = ThreadPoolExecutor(_SEARCHES)
    try:
        # The searches run side by side, so that a slow server delays no search of another server.
        found = dict(zip(map(id, selections), pool.map(lambda entry: expand(entry, search), selections), strict=True))
    except BaseException:
        servers.close()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [gate for entry in entries for gate in ((entry,) if isinstance(entry, Gate) else found[id(entry)])]


def secrets_of_entries(entries: Iterable[Gate | Selection]) -> tuple[str, ...]:
    """Return the secrets of the servers of all entries."""
    return tuple(dict.fromkeys(secret for entry in entries for host in _hosts_of(entry) for secret in host.secrets))


def local_hosts(entries: Iterable[Gate | Selection]) -> list[Path]:
    """Return the paths of the servers of all entries that are files or directories on this machine."""
    return [path for entry in entries for host in _hosts_of(entry) if (path := host.local_path) is not None]


def _hosts_of(entry: Gate | Selection) -> tuple[Host, ...]:
    if isinstance(entry, Selection):
        host = registry_host(entry.host, entry.models)
        if not isinstance(entry.against, AgainstServer):
            return (host,)
        # The models of both servers are usually in registries of the same kind.
        return host, registry_host(entry.against.host, entry.models)
    return () if entry.request is None else entry.request.hosts
