"""Builds the report of a run of many gates. `schemas/run-report.schema.json` describes its fields.

The report has the whole report of each gate, so its text is made gate by gate, and takes no more memory than one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, RunTotals
from model_gate.domain.wording import printable
from model_gate.errors import InternalError
from model_gate.formats.json_schema import bundled_schema, first_violation
from model_gate.reporting.output_files import json_text
from model_gate.reporting.report import SCHEMA_FILE as REPORT_SCHEMA_FILE
from model_gate.reporting.report import Json
from model_gate.reporting.system import SystemFacts

SCHEMA_VERSION = "1.0"
SCHEMA_FILE = "run-report.schema.json"
COMMAND = "run"
_ENTRY_FIELDS = ("name", "passed", "equivalent", "heading", "reason", "file", "line", "seconds", "report")
_EMPTY_LIST = '\n  "gates": [],\n'


def run_report(
    rows: Iterable[GateRow],
    totals: RunTotals,
    options: Mapping[str, object],
    redactor: Redactor,
    system: SystemFacts,
) -> Iterator[str]:
    """Yield the text of a run's report in pieces.

    Args:
        rows: The rows in the order of the gates files. Their reports must be valid, as those of `row_of` are.
        totals: The totals of these rows.
        options: The options of the run.
        redactor: Removes secrets from the fields that are not from a row.
        system: The versions and the time.

    Raises:
        InternalError: The report breaks its schema, or the rows are not those of the totals.
    """
    envelope = _envelope(totals, options, redactor, system)
    _require_valid(envelope, bundled_schema(SCHEMA_FILE, REPORT_SCHEMA_FILE))
    before, _, after = json_text(envelope).partition(_EMPTY_LIST)
    yield f'{before}\n  "gates": ['
    count = 0
    for row in rows:
        entry = _entry(row)
        _require_valid(entry | {"report": {}}, _schema_of_entry())
        yield ("," if count else "") + "\n" + textwrap.indent(json_text(entry).rstrip("\n"), "    ")
        count += 1
    if count != totals.gates:
        raise InternalError(f"The report has {count} gates, not {totals.gates}.", "Please report it.")
    yield ("\n  " if count else "") + "],\n" + after


def _envelope(totals: RunTotals, options: Mapping[str, object], redactor: Redactor, system: SystemFacts) -> Json:
    """Return the report with an empty list of gates."""
    error = totals.error
    envelope: Json = {
        "schema_version": SCHEMA_VERSION,
        "command": COMMAND,
        "status": str(totals.status),
        "passed": totals.passed,
        "counts": {
            "gates": totals.gates,
            "equal": totals.equal,
            "equivalent": totals.equivalent,
            "different": totals.different,
            "error": totals.errors,
            "left_out": len(totals.left_out),
            "unfinished": totals.unfinished,
            "nothing_compared": totals.nothing_compared,
        },
        "gates": [],
        "left_out": [{"name": printable(entry.name), "reason": printable(entry.reason)} for entry in totals.left_out],
        **({} if error is None else {"error": {"type": error.type, "message": error.message, "remedy": error.remedy}}),
        "system": asdict(system),
        "options": {name: _option(value) for name, value in options.items()},
    }
    redacted: Json = redactor.data(envelope)
    return redacted


def _option(value: object) -> object:
    return value if value is None or isinstance(value, bool | int) else str(value)


def _entry(row: GateRow) -> Json:
    fields: Json = {name: getattr(row, name) for name in _ENTRY_FIELDS}
    return {"name": fields.pop("name"), "status": str(row.status), **fields}


@cache
def _schema_of_entry() -> dict[str, Any]:
    """Return the schema of a gate in the report, without that of the gate's own report, which was validated before."""
    schema: dict[str, Any] = bundled_schema(SCHEMA_FILE)["$defs"]["gate"]
    return schema | {"properties": schema["properties"] | {"report": {"type": "object"}}}


def _require_valid(data: Json, schema: dict[str, Any]) -> None:
    violation = first_violation(data, schema)
    if violation is not None:
        where = ".".join(violation.path) or "an entry"
        raise InternalError(
            f"The report of the run does not fit its own schema: {where}: {violation.message}.", "Please report it."
        )
