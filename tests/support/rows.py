"""Rows of gates for tests of runs: outcomes that no gate had to run for, with their real reports and summaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from model_gate.access.redaction import Redactor
from model_gate.action.summary import summary
from model_gate.domain.gates import Entry, Gate, GateRow
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.errors import ModelGateError, NotFoundError
from model_gate.reporting.report import build_report
from model_gate.reporting.rows import GateResult, row_of
from model_gate.reporting.system import SystemFacts
from tests.support.action_outcomes import HOSTILE

SYSTEM = SystemFacts("1.0.0", "3.17.0", "3.11.2", "2026-01-31T18:00:00+00:00")
DIGEST = "ab" * 32
HOSTILE_TEXTS = (
    *HOSTILE,
    "]]>",
    "<script>alert(1)</script>",
    "</script></style></title>",
    "<!-- --!> &nope;",
    "' onmouseover='alert(1)",
    "\x00\x08\ufffe\uffff\udcff",
    "\u202e\u2066 RTL \u05d0",
    "x" * 10_000,
)


def gate(name: str = "wine", line: int = 2, file: str = "gates.yml", error: ModelGateError | None = None) -> Gate:
    """Return a gate whose request does not matter, since its outcome is known."""
    return Gate(name, Entry(name, file, line, DIGEST), None, error)


def row(outcome: Outcome, named: Gate | None = None, redactor: Redactor | None = None) -> GateRow:
    """Return the row of a gate with this outcome."""
    redactor = redactor or Redactor()
    command = CommandName.CHECK if outcome.request is None else CommandName(outcome.request.command)
    report = build_report(command, outcome, {}, redactor, SYSTEM)
    result = GateResult(outcome, report, summary(outcome, "", redactor), 1.25, DIGEST)
    return row_of(named or gate(), result, redactor)


def error_row(named: Gate, error: ModelGateError | None = None) -> GateRow:
    """Return the row of a gate that could not run."""
    return row(Outcome(None, error=error or NotFoundError("There is no model 'Wine'.", "Check its name.")), named)


def again(rows: Sequence[GateRow]) -> Callable[[], Iterator[GateRow]]:
    """Return what reads the rows once more at each call, as from a file."""
    return lambda: iter(rows)
