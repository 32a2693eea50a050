"""Audits as DataFrames: the plan, the rows of its gates, and the gates without a row."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from model_gate.domain.roles import DEFAULT_JOBS
from model_gate.domain.verdict import Require
from model_gate.errors import InputError, StoppedError
from model_gate.inputs.options import CommonOptions
from model_gate.reporting.rows import undecided_row
from model_gate.runs.row_digest import MAX_AGE
from model_gate.spark.columns import PLAN_COLUMNS, ROW_COLUMNS, row_values
from model_gate.spark.partition import PartitionOptions, run_batches
from model_gate.spark.plan import DoneRow, GatesFiles, Plan, make_plan
from model_gate.spark.planned_gate import PlannedGate, read_place

if TYPE_CHECKING:
    from pyarrow import RecordBatch
    from pyspark.sql import DataFrame, SparkSession

# The start of the workers takes the time of about ten small gates.
_GATES_PER_PARTITION = 25
_MAX_PARTITIONS = 1_000
_MAX_JOBS = 64
LOST = StoppedError(
    "The cluster has no row of this gate: the task that ran it was lost.",
    "See the failed tasks in the Spark UI, and run the audit again.",
)


class AuditOptions(TypedDict, total=False):
    """The options of an audit. Those that a gates file has too win over the file.

    Attributes:
        only: The names of the entries or gates to run; all by default.
        require: `identical` or `equivalent`.
        fail_fast: Whether to stop comparing a gate's files after the first difference that fails the requirement.
        fail_on_same_location: Whether two models at one and the same location are an error.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
        declared_hosts_only: Whether a server that no variable declares is an error.
        allow_hosts: Servers that a gates file may name besides the declared ones.
        jobs: Number of gates that a task runs at the same time; 4 by default.
    """

    only: Sequence[str]
    require: str
    fail_fast: bool
    fail_on_same_location: bool
    allow_local_artifacts: bool
    declared_hosts_only: bool
    allow_hosts: str
    jobs: int


def audit(
    spark: SparkSession,
    gates: GatesFiles,
    *,
    done: DataFrame | None = None,
    partitions: int | None = None,
    **options: Unpack[AuditOptions],
) -> DataFrame:
    """Return the rows of gates that the executors of a cluster run: one row for each gate.

    Each action on the DataFrame runs the gates. To keep the rows, write them to a table, or use `audit_to_table`.

    Args:
        spark: The Spark session.
        gates: The gates files: the path or paths of files, the text of a file, or its entries as mappings with `name`.
        done: Rows of earlier audits. A gate whose newest row there still holds is not run, and has no row.
        partitions: Number of tasks; by default one for 25 gates.
        options: See `AuditOptions`.

    Raises:
        ConfigError: A gates file cannot be read, or is not valid.
        InputError: An option or a declaration of a server cannot be used.
    """
    return run_plan(plan_audit(spark, gates, done=done, partitions=partitions, **options), **options)


def plan_audit(
    spark: SparkSession,
    gates: GatesFiles,
    *,
    done: DataFrame | None = None,
    partitions: int | None = None,
    **options: Unpack[AuditOptions],
) -> DataFrame:
    """Return the gates of an audit, one row for each. See `audit` for the arguments and errors.

    The DataFrame has no credentials. It does not change if a registry changes.
    """
    plan = plan_of(gates, None if done is None else done_rows(done), options)
    return plan_frame(spark, plan.gates, partitions)


def run_plan(plan: DataFrame, audit_id: str = "", **options: Unpack[AuditOptions]) -> DataFrame:
    """Return the rows of the gates of `plan_audit`. Each action on the DataFrame runs the gates.

    Args:
        plan: The gates.
        audit_id: The value of the column `audit`; by default a random one.
        options: `jobs` and `allow_local_artifacts` count, since the other options are in the plan.

    Raises:
        InputError: An option cannot be used.
    """
    jobs = _jobs(options)
    settings = PartitionOptions(audit_id or new_audit_id(), jobs, options.get("allow_local_artifacts", False))

    def run(batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
        return run_batches(batches, settings)

    return plan.mapInArrow(run, ROW_COLUMNS)


def missing_rows(plan: DataFrame, result: DataFrame) -> DataFrame:
    """Return a row with an error for each gate of a plan that has no row in a result. Nothing is run.

    Args:
        plan: The gates, of `plan_audit`.
        result: The rows, read from where they were written.
    """
    missing = plan.join(result.select("name"), "name", "left_anti").select("name", "gate").collect()
    gates = [PlannedGate(row["name"], row["gate"]) for row in missing]
    return error_rows(plan.sparkSession, gates, LOST, new_audit_id())


def error_rows(spark: SparkSession, gates: Iterable[PlannedGate], error: StoppedError, audit_id: str) -> DataFrame:
    """Return a row with this error for each of these gates."""
    rows = [tuple(row_values(undecided_row(read_place(gate), error), audit_id).values()) for gate in gates]
    return spark.createDataFrame(rows, ROW_COLUMNS)


def plan_of(gates: GatesFiles, done: Mapping[str, DoneRow] | None, options: AuditOptions) -> Plan:
    """Return the plan of an audit. See `audit`."""
    unknown = sorted(options.keys() - AuditOptions.__annotations__.keys())
    if unknown:
        raise TypeError(f"unknown options of an audit: {', '.join(unknown)}")
    common = CommonOptions(
        require=_require(options.get("require")),
        fail_fast=options.get("fail_fast", False),
        fail_on_same_location=options.get("fail_on_same_location", False),
        allow_local_artifacts=options.get("allow_local_artifacts", False),
        declared_hosts_only=options.get("declared_hosts_only", False),
        allow_hosts=options.get("allow_hosts", ""),
    )
    return make_plan(gates, common, tuple(options.get("only", ())), _jobs(options), done or {})


def plan_frame(spark: SparkSession, gates: Sequence[PlannedGate], partitions: int | None) -> DataFrame:
    """Return planned gates as a DataFrame with as many partitions as tasks are to run.

    Raises:
        InputError: The number of partitions is not valid.
    """
    if partitions is not None and partitions < 1:
        raise InputError(f"partitions is {partitions}.", "Name at least 1.")
    count = partitions or min(_MAX_PARTITIONS, math.ceil(len(gates) / _GATES_PER_PARTITION)) or 1
    rows: list[tuple[Any, ...]] = [(gate.name, gate.data, gate.seal) for gate in gates]
    return spark.createDataFrame(rows, PLAN_COLUMNS).repartition(count)


def done_rows(rows: DataFrame) -> dict[str, DoneRow]:
    """Return the newest row of each gate with a row of the last 24 hours, by the gate's name."""
    from pyspark.sql import functions

    since = datetime.now(UTC) - MAX_AGE - timedelta(hours=1)
    newest = (
        rows.select("name", "digest", functions.unix_micros("checked_at").alias("time"))
        .where(functions.col("time") >= int(since.timestamp() * 1e6))
        .groupBy("name")
        .agg(functions.max(functions.struct("time", "digest")).alias("newest"))
        .select("name", "newest.time", "newest.digest")
    )
    return {
        row["name"]: DoneRow(row["digest"], datetime.fromtimestamp(row["time"] / 1e6, UTC), row["time"])
        for row in newest.collect()
    }


def new_audit_id() -> str:
    """Return an ID for a new audit."""
    return uuid.uuid4().hex


def _jobs(options: AuditOptions) -> int:
    jobs = options.get("jobs", DEFAULT_JOBS)
    if not 1 <= jobs <= _MAX_JOBS:
        raise InputError(f"jobs is {jobs}.", f"Name a number from 1 to {_MAX_JOBS}.")
    return jobs


def _require(text: str | None) -> Require | None:
    if text is not None and text not in list(Require):
        raise InputError(f"require is {text!r}.", f"Write {' or '.join(Require)}.")
    return None if text is None else Require(text)
