"""Makes the row of a finished gate, and writes and reads rows as lines of JSON.

A row is all that is kept of a gate: an interrupted run and the shards of a run are put together from rows. A row is
therefore read as strictly as any input.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from model_gate.access.redaction import Redactor
from model_gate.domain.difference import Difference
from model_gate.domain.gates import RESULTS, Gate, GateRow, LeftOut, RunTotals
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Require, Status, passes
from model_gate.domain.wording import printable, truncate_middle
from model_gate.errors import InternalError, ModelGateError, StorageError
from model_gate.reporting.judgement import judgement
from model_gate.reporting.naming import heading
from model_gate.reporting.phrases import in_order
from model_gate.reporting.predictions import predictions
from model_gate.reporting.report import Json, build_report, validate_report
from model_gate.reporting.shortening import short_path
from model_gate.reporting.system import system_facts

_MAX_TEXT = 2_000
_MAX_PATH = 80
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?")
_VERDICTS = (Status.EQUAL, Status.DIFFERENT, Status.ERROR)
_FIELDS = frozenset(field.name for field in fields(GateRow))
# Fields of a row that repeat fields of its report.
_REPEATED = ("status", "passed", "equivalent")


@dataclass(frozen=True)
class GateResult:
    """What a gate of a run left behind.

    Attributes:
        outcome: The verdict or the error.
        report: The gate's own report, without secrets.
        block: The gate's own summary in Markdown, without secrets.
        seconds: How long the gate took.
        digest: SHA-256 in hex of all that the result depends on; "" if that is not known.
    """

    outcome: Outcome
    report: Json
    block: str
    seconds: float
    digest: str = ""


def row_of(gate: Gate, result: GateResult, redactor: Redactor, name: str = "") -> GateRow:
    """Return the row of a finished gate. `name` is its name among all gates of the run, "" for a gate on its own.

    Raises:
        InternalError: The report breaks its schema, so it must not be published.
    """
    validate_report(result.report)
    outcome, error = result.outcome, result.outcome.error

    def shown(text: str) -> str:
        return printable(truncate_middle(redactor.text(text), _MAX_TEXT))

    return GateRow(
        name=name or row_names([gate], redactor)[0],
        status=outcome.status,
        passed=outcome.passed,
        equivalent=outcome.equivalent,
        heading=shown(heading(outcome) or gate.name),
        reason=shown(" ".join((error.message if error is not None else _reason(outcome)).split())),
        remedy="" if error is None else shown(" ".join(error.remedy.split())),
        file=printable(redactor.path(gate.entry.file)),
        line=gate.entry.line,
        seconds=round(result.seconds, 3),
        digest=result.digest,
        report=result.report,
        block="\n".join(map(printable, result.block.split("\n"))),
    )


def undecided_row(gate: Gate, error: ModelGateError) -> GateRow:
    """Return the row of a gate that did not run. The gate and the error must have no secret."""
    outcome = Outcome(None, error=error)
    report = build_report(gate.command, outcome, {"gate": gate.name}, Redactor(), system_facts())
    return row_of(gate, GateResult(outcome, report, "", 0), Redactor(), gate.name)


def row_names(gates: Iterable[Gate], redactor: Redactor) -> list[str]:
    """Return the names of the rows of gates, all different. They are not cut, since they are the keys of the rows.

    If a secret was cut out of two names, or characters that are not printable, the second has a number.
    """
    used: dict[str, None] = {}
    for gate in gates:
        first = name = printable(redactor.text(gate.name))
        number = 1
        while name in used:
            number += 1
            name = f"{first} ({number})"
        used[name] = None
    return list(used)


def _reason(outcome: Outcome) -> str:
    """Return what differs and where, and whether it matters, as in `the weights differ (model.pkl); …: can differ`."""
    words, effect = judgement(outcome), predictions(outcome)
    if not words:
        # The files that do not affect the verdict decide about the predictions.
        return f"predictions: {effect}" if effect else ""
    if outcome.status is Status.EQUAL:
        return words
    differences = [
        difference for _, comparison in outcome.distinct_comparisons for difference in comparison.differences
    ]
    words = f"{words}{_where(in_order(differences), words)}"
    return f"{words}; predictions: {effect.partition(':')[0]}" if effect else words


def _where(ordered: list[Difference], words: str) -> str:
    """Return the path of the most important difference in parentheses, unless `words` has it."""
    paths = list(dict.fromkeys(printable(difference.path) for difference in ordered))
    if not paths or (shown := short_path(paths[0], _MAX_PATH)) in words:
        return ""
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return f" ({shown}{more})"


def totals_of(
    rows: Iterable[GateRow],
    left_out: Iterable[LeftOut] = (),
    error: ModelGateError | None = None,
    listed: int | None = None,
) -> RunTotals:
    """Return the numbers of gates of a run by their results.

    Args:
        rows: The rows of the run.
        left_out: What the run left out on purpose, in the order of the files.
        error: The error that ended the whole run; None if every gate has a row.
        listed: Number of gates of the run; None for the number of rows.
    """
    counts = dict.fromkeys(RESULTS, 0)
    nothing = 0
    for row in rows:
        counts[row.result] += 1
        nothing += row.compares_nothing
    unfinished = 0 if listed is None else listed - sum(counts.values())
    return RunTotals(
        counts["equal"],
        counts["equivalent"],
        counts["different"],
        counts["error"],
        tuple(left_out),
        error,
        unfinished,
        nothing,
    )


def row_json(row: GateRow) -> Json:
    """Return a row as JSON data, which `row_line` writes as a line and `read_row` reads."""
    return {field.name: getattr(row, field.name) for field in fields(GateRow)} | {"status": str(row.status)}


def row_line(row: GateRow) -> bytes:
    """Return a row as a line of JSON in ASCII, with its line break."""
    text = json.dumps(row_json(row), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def read_row(line: bytes, where: str = "the run's rows", *, is_own: bool = False) -> GateRow:
    """Return the row in a line of JSON.

    Args:
        line: The line with its line break. A line without one was not written completely.
        where: The file and the number of the line, for errors.
        is_own: Whether this process wrote the line, or has read it before. Its report is then not validated again,
            which takes most of the time.

    Raises:
        StorageError: The line is not a complete row, or its fields contradict each other.
    """
    try:
        return _row(_decoded(line), is_own=is_own)
    except _MalformedRowError as error:
        raise StorageError(
            f"A row in {where} cannot be used: {error}.", "Remove the file, and run these gates again."
        ) from error


class _MalformedRowError(Exception):
    """A row does not have the expected form. The text says what is wrong."""


def _decoded(line: bytes) -> Json:
    if not line.endswith(b"\n"):
        raise _MalformedRowError("it was not written to its end")
    try:
        data = json.loads(line, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _MalformedRowError("it is not JSON") from error
    if not isinstance(data, dict) or data.keys() != _FIELDS:
        raise _MalformedRowError("it does not have exactly the fields of a row")
    return data


def _unique_keys(pairs: list[tuple[str, Any]]) -> Json:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise _MalformedRowError("it has a key twice")
    return data


def _no_constant(name: str) -> float:
    raise _MalformedRowError(f"it has the number {name}")


def _row(data: Json, *, is_own: bool) -> GateRow:
    wrong = next((name for name, is_valid in _CHECKS.items() if not is_valid(data[name])), None)
    if wrong is not None:
        raise _MalformedRowError(f"its field {wrong!r} is not valid")
    row = GateRow(**(data | {"status": Status(data["status"]), "seconds": float(data["seconds"])}))
    if not is_own:
        _require_valid_report(row.report)
    if contradiction := _contradiction(row):
        raise _MalformedRowError(contradiction)
    return row


def _require_valid_report(report: Mapping[str, Any]) -> None:
    try:
        validate_report(dict(report))
    except (InternalError, RecursionError) as error:
        raise _MalformedRowError("its report breaks the schema of reports") from error


def _contradiction(row: GateRow) -> str:
    """Return which fields of a row contradict each other; "" if none do."""
    report = row.report
    for name in _REPEATED:
        if getattr(row, name) != report[name]:
            return f"its field {name!r} is not that of its report"
    equals = {Status.EQUAL: True, Status.DIFFERENT: False}.get(row.status)
    if report["equals"] is not equals:
        return "its report contradicts itself about 'equals'"
    if equals is None or row.equivalent is None:
        is_error = equals is None and row.equivalent is None and not row.passed and "error" in report
        return "" if is_error else "its verdict contradicts itself"
    is_met = passes(equals=equals, equivalent=row.equivalent, require=Require(report["require"]))
    is_consistent = row.passed is is_met and (row.equivalent or not equals) and "error" not in report
    return "" if is_consistent else "its verdict contradicts itself"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and printable(value) == value


def _is_name(value: object) -> bool:
    return _is_text(value) and value != ""


def _is_block(value: object) -> bool:
    return isinstance(value, str) and all(printable(line) == line for line in value.split("\n"))


def _is_line(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**9


def _is_duration(value: object) -> bool:
    return (type(value) is int or type(value) is float) and 0 <= value < 1e12 and math.isfinite(value)


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "name": _is_name,
    "status": lambda value: isinstance(value, str) and value in _VERDICTS,
    "passed": lambda value: isinstance(value, bool),
    "equivalent": lambda value: value is None or isinstance(value, bool),
    "heading": _is_name,
    "reason": _is_text,
    "remedy": _is_text,
    "file": _is_text,
    "line": _is_line,
    "seconds": _is_duration,
    "digest": lambda value: isinstance(value, str) and _DIGEST.fullmatch(value) is not None,
    "report": lambda value: isinstance(value, dict),
    "block": _is_block,
}
