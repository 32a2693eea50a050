"""Audits that append their rows to a table, and go on with what the table has."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.wording import printable, truncate_middle
from model_gate.errors import InputError, StoppedError
from model_gate.spark.columns import ROW_NAMES
from model_gate.spark.frames import (
    LOST,
    AuditOptions,
    done_rows,
    error_rows,
    new_audit_id,
    plan_frame,
    plan_of,
    run_plan,
)
from model_gate.spark.plan import DoneRow, GatesFiles
from model_gate.spark.planned_gate import PlannedGate

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DEFAULT_BATCH = 1_000
_MAX_REASON = 300


def audit_to_table(
    spark: SparkSession,
    gates: GatesFiles,
    table: str,
    *,
    batch: int = DEFAULT_BATCH,
    partitions: int | None = None,
    **options: Unpack[AuditOptions],
) -> DataFrame:
    """Run gates, append their rows to a table, and return the newest row of each gate of this audit.

    A gate is not run if its newest row in the table has the same digest and is younger than 24 hours. Gates with an
    error are run again. The rows are appended in batches, so that an audit that is interrupted goes on from its last
    batch. If the Spark job of a batch fails, its gates get rows with an error.

    Args:
        spark: The Spark session.
        gates: See `audit`.
        table: The name of the table, which is created if it does not exist.
        batch: Number of gates whose rows are appended together.
        partitions: Number of tasks of each batch; by default one for 25 gates.
        options: See `AuditOptions`.

    Raises:
        ConfigError: See `audit`.
        InputError: See `audit`. Or the table has other columns.
    """
    if batch < 1:
        raise InputError(f"batch is {batch}.", "Name at least 1.")
    plan = plan_of(gates, _done_in(spark, table), options)
    audit_id = new_audit_id()
    for start in range(0, len(plan.gates), batch):
        _append(spark, plan.gates[start : start + batch], table, partitions, audit_id, options)
    _append_missing(spark, plan.gates, table, audit_id, LOST)
    rows = spark.table(table).select(*ROW_NAMES)
    return _of_audit(rows, audit_id).unionByName(_kept(rows, plan.kept))


def _done_in(spark: SparkSession, table: str) -> Mapping[str, DoneRow]:
    """Return the newest rows of a table, none if it does not exist.

    Raises:
        InputError: The table does not have the columns of an audit.
    """
    if not spark.catalog.tableExists(table):
        return {}
    rows = spark.table(table)
    missing = [name for name in ROW_NAMES if name not in rows.columns]
    if missing:
        raise InputError(
            f"The table {printable(table)} is not one of an audit: it has no column {missing[0]!r}.",
            "Name another table, which need not exist.",
        )
    return done_rows(rows)


def _append(
    spark: SparkSession,
    gates: Sequence[PlannedGate],
    table: str,
    partitions: int | None,
    audit_id: str,
    options: AuditOptions,
) -> None:
    """Run gates and append their rows. If the job fails, append a row with an error for each gate."""
    plan = plan_frame(spark, gates, partitions)
    try:
        run_plan(plan, audit_id, **options).write.mode("append").saveAsTable(table)
    except Exception as error:  # noqa: BLE001  # Spark has several classes of errors; other batches can succeed
        # If the table cannot be written at all, this raises the error of Spark.
        _append_missing(spark, gates, table, audit_id, _failure(error))


def _append_missing(
    spark: SparkSession, gates: Sequence[PlannedGate], table: str, audit_id: str, error: StoppedError
) -> None:
    """Append a row with an error for each gate of which the table has no row of this audit."""
    written: set[str] = set()
    if spark.catalog.tableExists(table):
        written = {row["name"] for row in _of_audit(spark.table(table), audit_id).select("name").collect()}
    lost = [gate for gate in gates if gate.name not in written]
    if lost:
        error_rows(spark, lost, error, audit_id).write.mode("append").saveAsTable(table)


def _failure(error: Exception) -> StoppedError:
    reason = Redactor(secrets_of(os.environ)).text(" ".join(str(error).split()) or type(error).__name__)
    return StoppedError(
        f"The Spark job of this gate failed: {printable(truncate_middle(reason, _MAX_REASON))}",
        "See the failed job in the Spark UI. If one gate fails the job of all, name a smaller batch.",
    )


def _of_audit(rows: DataFrame, audit_id: str) -> DataFrame:
    return rows.where(rows["audit"] == audit_id)


def _kept(rows: DataFrame, kept: Mapping[str, DoneRow]) -> DataFrame:
    """Return the rows of earlier audits that still hold."""
    from pyspark.sql import functions

    keys: list[tuple[Any, ...]] = [(name, row.key, row.digest) for name, row in kept.items()]
    frame = rows.sparkSession.createDataFrame(keys, "name string, time bigint, digest string")
    timed = rows.withColumn("time", functions.unix_micros("checked_at"))
    return timed.join(frame, ["name", "time", "digest"], "left_semi").select(*ROW_NAMES)
