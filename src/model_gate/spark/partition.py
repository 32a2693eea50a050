"""Runs the gates of one partition of a plan, on an executor, with the credentials in the executor's environment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import Gate, GateRow
from model_gate.errors import InputError, ModelGateError
from model_gate.gate import Shared
from model_gate.runner import internal_error
from model_gate.runs.execution import GateRunner, ended_rows
from model_gate.runs.gate_run import open_servers, secrets_of_entries
from model_gate.spark.columns import arrow_schema, row_values
from model_gate.spark.planned_gate import PlannedGate, Servers, read_gate, read_place

if TYPE_CHECKING:
    from pyarrow import RecordBatch

_VARIABLES_REMEDY = "Set the variable for the whole cluster, so that all executors have it."


@dataclass(frozen=True)
class PartitionOptions:
    """How a partition is run. The options have no credentials.

    Attributes:
        audit: The audit that the rows belong to.
        jobs: Number of gates that run at the same time.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
    """

    audit: str
    jobs: int
    allow_local_artifacts: bool


def run_batches(batches: Iterable[RecordBatch], options: PartitionOptions) -> Iterator[RecordBatch]:
    """Run the gates in the batches of a partition, and yield a batch with the row of each gate when it has ended."""
    import pyarrow as pa

    schema = arrow_schema()
    planned = [PlannedGate(row["name"], row["gate"], row["seal"]) for batch in batches for row in batch.to_pylist()]
    for row in run_partition(planned, options, os.environ):
        yield pa.RecordBatch.from_pylist([row_values(row, options.audit)], schema=schema)


def run_partition(
    planned: Sequence[PlannedGate], options: PartitionOptions, environment: Mapping[str, str]
) -> Iterator[GateRow]:
    """Run gates, and yield the row of each when it has ended. No error of a gate is raised: it is in the gate's row.

    Args:
        planned: The gates.
        options: How they are run.
        environment: The environment variables of the executor.
    """
    if not planned:
        return
    gates = _gates(planned, environment)
    redactor = Redactor((*secrets_of(environment), *secrets_of_entries(gates.values())))
    allow_local = options.allow_local_artifacts
    with open_servers(None, allow_local_artifacts=allow_local, environment=environment) as servers:
        runner = GateRunner(
            Shared(servers), _NoRows(), environment, redactor, lambda *_: "", lambda _: None, internal_error
        )
        with closing(ended_rows(list(gates.items()), runner, options.jobs)) as rows:
            yield from rows


def _gates(planned: Sequence[PlannedGate], environment: Mapping[str, str]) -> dict[str, Gate]:
    """Return the gates of a partition by the names of their rows. A gate that cannot run has an error."""
    try:
        servers = Servers(environment)
    except InputError as error:
        failure = _on_executor(error)
        return {each.name: replace(read_place(each), error=failure) for each in planned}
    return {each.name: _gate(each, servers) for each in planned}


def _gate(planned: PlannedGate, servers: Servers) -> Gate:
    try:
        return read_gate(planned, servers)
    except ModelGateError as error:
        return replace(read_place(planned), error=_on_executor(error))
    except Exception as error:  # noqa: BLE001  # such as a plan of another version of Model Gate
        return Gate(planned.name, read_place(planned).entry, None, internal_error(error))


def _on_executor(error: ModelGateError) -> ModelGateError:
    return type(error)(f"On an executor of the cluster: {error.message}", f"{error.remedy} {_VARIABLES_REMEDY}".strip())


class _NoRows:
    """Keeps no rows: they are yielded, and the driver has left out gates with a valid row."""

    def earlier_row(self, name: str) -> GateRow | None:  # noqa: ARG002  # a `Rows` has this method
        """Return None."""
        return None

    def add(self, row: GateRow) -> None:
        """Do nothing."""
