"""The columns of the table of an audit, and of its plan."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from model_gate.domain.gates import GateRow

if TYPE_CHECKING:
    from pyarrow import Schema

# In the notation of Spark SQL.
PLAN_COLUMNS = "name string, gate string, seal binary"
ROW_COLUMNS = (
    "name string, status string, passed boolean, equivalent boolean, heading string, reason string, remedy string,"
    " file string, line int, seconds double, digest string, report string, checked_at timestamp, audit string"
)
_ROW_TYPES = dict(column.split() for column in ROW_COLUMNS.split(","))
ROW_NAMES = tuple(_ROW_TYPES)


def row_values(row: GateRow, audit: str) -> dict[str, Any]:
    """Return a row as the values of its columns, by their names. The time of the row is the current one.

    Args:
        row: The row.
        audit: The audit that the row belongs to.
    """
    own = {
        "status": str(row.status),
        "seconds": float(row.seconds),
        "report": json.dumps(row.report),
        "checked_at": datetime.now(UTC),
        "audit": audit,
    }
    return {name: own[name] if name in own else getattr(row, name) for name in ROW_NAMES}


def arrow_schema() -> Schema:
    """Return the columns of the table in the types of Arrow."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "double": pa.float64(),
        "timestamp": pa.timestamp("us", tz="UTC"),
    }
    return pa.schema([(name, types[kind]) for name, kind in _ROW_TYPES.items()])
