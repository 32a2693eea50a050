"""Formats a run of many gates for the terminal: one line per gate, the worst first, on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from model_gate.domain.gates import RESULTS, GateRow, RunTotals
from model_gate.domain.wording import capitalized, printable, truncate, truncate_middle
from model_gate.reporting.run_wording import (
    counts_of_run,
    finding_of,
    left_out_text,
    verdict_of_run,
    worst_first,
)

MAX_LINES = 24
MAX_WIDTH = 120
_MAX_NAME = 40
_MIN_FINDING = 20
_MAX_LEFT_OUT = 1_000
_RESULT_WIDTH = max(map(len, RESULTS))
_GAP = "  "


def run_table(
    rows: Iterable[GateRow],
    totals: RunTotals,
    report_file: Path | None,
    *,
    max_lines: int = MAX_LINES,
    max_width: int = MAX_WIDTH,
) -> str:
    """Return a text with one line per gate, the counts and the report's path.

    Gates that failed come first, then the remedies of errors, then gates that passed, each as far as there is room.

    Args:
        rows: The rows in the order of the gates files.
        totals: The totals of these rows. Their texts may have secrets, so the caller redacts the result.
        report_file: The path of the report; None if it could not be written.
        max_lines: The number of lines of a screen, at least 8.
        max_width: The number of characters of a line. Names of gates and the last lines can be longer.
    """
    tail = list(_tail(totals, report_file))
    ordered = worst_first(rows)
    # A blank line separates the table from the tail.
    table = _table(ordered, max_lines - len(tail) - 1, max_width)
    return "\n".join([*table, *([""] if table else []), *tail])


def _tail(totals: RunTotals, report_file: Path | None) -> Iterator[str]:
    if totals.error is not None:
        yield f"error: {_one_line(totals.error.message)}"
        if totals.error.remedy:
            yield f"  {_one_line(totals.error.remedy)}"
    counts = counts_of_run(totals)
    yield capitalized(verdict_of_run(totals)) + (f" ({counts})" if counts else "")
    if left_out := left_out_text(totals.left_out):
        yield truncate(left_out, _MAX_LEFT_OUT)
    if report_file is not None:
        yield f"Report: {printable(str(report_file))}"


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))


def _table(ordered: list[GateRow], room: int, max_width: int) -> list[str]:
    """Return the lines of the table, at most `room`."""
    shown = ordered[:room] if len(ordered) <= room else ordered[: room - 1]
    hidden = ordered[len(shown) :]
    # A remedy is worth more than a gate that passed.
    remedies = sum(bool(row.remedy) for row in shown)
    while remedies and len(shown) + bool(hidden) + remedies > room and shown[-1].passed:
        shown = shown[:-1]
        hidden = ordered[len(shown) :]
    room_for_remedies = room - len(shown) - bool(hidden)
    width = min(max((len(row.name) for row in shown), default=0), _MAX_NAME)
    lines = []
    for row in shown:
        lines.append(_line(row, width, max_width))
        if row.remedy and room_for_remedies > 0:
            room_for_remedies -= 1
            lines.append(truncate(f"{'':{_RESULT_WIDTH}}{_GAP}{'':{width}}{_GAP}{row.remedy}", max_width))
    return [*lines, *_rest(hidden)]


def _line(row: GateRow, width: int, max_width: int) -> str:
    name = truncate_middle(row.name, width)
    start = f"{row.result:{_RESULT_WIDTH}}{_GAP}{name:{width}}{_GAP}"
    return (start + truncate(finding_of(row), max(max_width - len(start), _MIN_FINDING))).rstrip()


def _rest(hidden: list[GateRow]) -> Iterator[str]:
    """Yield a line that counts the gates without a line."""
    passed = sum(row.passed for row in hidden)
    parts = [f"{len(hidden) - passed:,} that failed"] if len(hidden) > passed else []
    parts += [f"{passed:,} that passed"] if passed else []
    if parts:
        yield f"… and {' and '.join(parts)}"
