"""Plans an audit on the driver: reads the gates files, searches the registries, and leaves out what is done already."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import Gate
from model_gate.domain.version import ModelVersion
from model_gate.errors import InputError, ModelGateError
from model_gate.inputs.gates_file import GatesFile, parse_gates, read_gates
from model_gate.inputs.options import CommonOptions
from model_gate.reporting.rows import row_names
from model_gate.runs.execution import resolved_versions
from model_gate.runs.gate_list import chosen, gate_list
from model_gate.runs.gate_run import expanded, open_servers, secrets_of_entries
from model_gate.runs.row_digest import has_fixed_versions, is_recent_time, row_digest
from model_gate.sources.server_pool import ServerPool
from model_gate.spark.planned_gate import PlannedGate, Servers, plan_gate

# The name of gates that are no file, in rows and errors.
_NAME = "gates"

GatesFiles = str | Path | Sequence[str | Path] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class DoneRow:
    """The newest row of a gate in the table of an earlier audit.

    Attributes:
        digest: The row's digest, "" after an error.
        checked_at: When the gate ended.
        key: What identifies the row in its table, besides the gate's name.
    """

    digest: str
    checked_at: datetime
    key: int


@dataclass(frozen=True)
class Plan:
    """What an audit does.

    Attributes:
        gates: The gates to run, in the order of the gates files.
        kept: The rows of earlier audits that still hold, by the names of their gates.
    """

    gates: tuple[PlannedGate, ...]
    kept: Mapping[str, DoneRow]


def make_plan(
    gates: GatesFiles, common: CommonOptions, only: Sequence[str], jobs: int, done: Mapping[str, DoneRow]
) -> Plan:
    """Return the plan of an audit.

    Args:
        gates: The gates files: the path or paths of files, the text of a file, or its entries as mappings with `name`.
        common: The options of all gates, which win over the files.
        only: The names of the entries or gates to run; empty for all.
        jobs: Number of versions that are resolved at the same time.
        done: The newest rows of earlier audits, by the names of their gates.

    Raises:
        ConfigError: A gates file cannot be read, or is not valid.
        InputError: An option or a declaration cannot be used.
    """
    listed = gate_list(_read(gates, common), only)
    redactor = Redactor((*secrets_of(os.environ), *secrets_of_entries(listed.entries)))
    with open_servers(None, allow_local_artifacts=common.allow_local_artifacts) as pool:
        found, _ = chosen(expanded(listed.entries, pool), listed)
        named = dict(zip(row_names(found, redactor), found, strict=True))
        kept = {name: done[name] for name in _kept(named, done, pool, jobs)}
    servers = Servers(os.environ)
    return Plan(
        tuple(plan_gate(name, gate, servers, redactor) for name, gate in named.items() if name not in kept), kept
    )


def _read(gates: GatesFiles, common: CommonOptions) -> GatesFile:
    """Return the content of gates files. A text with a line break is the text of a file, another one is a path."""
    if isinstance(gates, str | Path):
        if "\n" in str(gates):
            return parse_gates([(_NAME, str(gates))], common, os.environ)
        return read_gates([Path(gates)], common, os.environ)
    entries = [entry for entry in gates if isinstance(entry, Mapping)]
    if entries and len(entries) == len(gates):
        return parse_gates([(_NAME, _text(entries))], common, os.environ)
    if entries or any("\n" in str(path) for path in gates):
        raise InputError(
            "The gates are neither paths of gates files, nor the text of one file, nor entries.",
            'Name files: ["gates.yaml"]. Or pass one text, or a list of entries: [{"name": "wine", "check": {…}}].',
        )
    return read_gates([Path(str(path)) for path in gates], common, os.environ)


def _text(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of a gates file with these entries, each in a line of its own. JSON is valid YAML.

    Raises:
        InputError: An entry has no name.
    """
    lines = []
    for entry in entries:
        name = entry.get("name")
        if not isinstance(name, str):
            raise InputError("An entry of the gates has no name.", 'Add its name: {"name": "wine", "check": {…}}.')
        rest = {key: value for key, value in entry.items() if key != "name"}
        lines.append(f"  {json.dumps(name)}: {json.dumps(rest)}")
    return "\n".join(["gates:", *lines, ""])


def _kept(gates: Mapping[str, Gate], done: Mapping[str, DoneRow], pool: ServerPool, jobs: int) -> list[str]:
    """Return the names of the gates whose newest row still holds. Versions that can move are resolved."""

    def holds(name: str) -> bool:
        gate, row = gates[name], done[name]
        versions: Mapping[str, ModelVersion] = {}
        if gate.request is not None and not has_fixed_versions(gate.request):
            try:
                versions = resolved_versions(gate.request, pool)
            except (ModelGateError, OSError):
                # The gate reports the error.
                return False
        return row.digest == row_digest(gate, versions)

    recent = [
        name
        for name, gate in gates.items()
        if gate.request is not None and name in done and done[name].digest and is_recent_time(done[name].checked_at)
    ]
    with ThreadPoolExecutor(jobs) as threads:
        return [name for name, is_kept in zip(recent, threads.map(holds, recent), strict=True) if is_kept]
