"""Words for a run of many gates: its verdict, its counts and the results of its gates, for every kind of output."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter

from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plural, printable, truncate_middle

# Reads the rows of a run from their start at each call, in the order of the gates files.
Rows = Callable[[], Iterator[GateRow]]

NO_GATES = "0 gates concern this change: nothing to decide"
NO_GATES_IN_SHARD = "this shard has no gates"
_MARKS = {"error": "⛔", "different": "❌", "equivalent": "✅", "equal": "✅"}
_RANK = attrgetter("rank")
_MAX_NAME = 60
_MAX_LEFT_OUT = 10


def mark_of(row: GateRow) -> str:
    """Return a sign for the result of a gate."""
    return _MARKS[row.result]


def mark_of_run(totals: RunTotals) -> str:
    """Return a sign for the result of a run, whose worst gate counts."""
    if totals.passed:
        return _MARKS["equal"]
    return _MARKS["error" if totals.status is Status.ERROR else "different"]


def finding_of(row: GateRow) -> str:
    """Return what a gate found in one line, as in `Wine: staging v12 ≠ production v7: the weights differ`.

    After an error, it is the error's message.
    """
    if row.status is Status.ERROR:
        return row.reason
    return f"{row.heading}: {row.reason}" if row.reason else row.heading


def worst_first(rows: Iterable[GateRow], count: int | None = None) -> list[GateRow]:
    """Return the rows sorted by their result, and otherwise in their order, without their reports and blocks.

    With a `count`, only the first ones are returned, and no more are kept in memory.
    """
    light = (replace(row, report={}, block="") for row in rows)
    return sorted(light, key=_RANK) if count is None else heapq.nsmallest(count, light, key=_RANK)


def verdict_of_run(totals: RunTotals) -> str:
    """Return the result of a run in one phrase.

    >>> verdict_of_run(RunTotals(equal=9, different=2, errors=1))
    '2 of 12 gates differ, 1 could not be decided'
    >>> verdict_of_run(RunTotals(equal=9, nothing_compared=3))
    'all 9 gates passed, 3 compared nothing: one location'
    """
    if totals.error is not None:
        return f"the run could not be finished: {_decided(totals)}{_nothing_compared(totals)}"
    if not totals.gates and not totals.unfinished:
        return NO_GATES_IN_SHARD if any(entry.is_in_other_shard for entry in totals.left_out) else NO_GATES
    return f"{_decided(totals)}{_nothing_compared(totals)}"


def _nothing_compared(totals: RunTotals) -> str:
    return f", {nothing_compared_text(totals)}" if totals.nothing_compared else ""


def nothing_compared_text(totals: RunTotals) -> str:
    """Return how many gates have two models at one location, so that no file was read."""
    return f"{totals.nothing_compared:,} compared nothing: one location"


def _decided(totals: RunTotals) -> str:
    if totals.unfinished:
        decided = f"{totals.gates:,} of {plural(totals.gates + totals.unfinished, 'gate')} have a result"
        return f"{decided}, {totals.different:,} {_differ(totals.different)}" if totals.different else decided
    count = plural(totals.gates, "gate")
    if totals.different and totals.errors:
        return f"{_of(totals.different, count)} {_differ(totals.different)}, {totals.errors:,} could not be decided"
    if totals.different:
        return f"{_of(totals.different, count)} {_differ(totals.different)}"
    if totals.errors:
        return f"{_of(totals.errors, count)} could not be decided"
    if not totals.gates:
        return "no gate was decided"
    return f"{count} passed" if totals.gates == 1 else f"all {count} passed"


def _of(part: int, count: str) -> str:
    return f"{part:,} of {count}"


def _differ(count: int) -> str:
    return "differs" if count == 1 else "differ"


def counts_of_run(totals: RunTotals) -> str:
    """Return the number of gates of each result, the worst first, as in `1 error, 2 different, 9 equal`."""
    return ", ".join(f"{count:,} {word}" for word, count in totals.by_result)


def left_out_text(left_out: Iterable[LeftOut]) -> str:
    """Return what a run left out and why in one line, as in `Left out: churn, fraud (not changed)`; "" for nothing."""
    by_reason: dict[str, list[str]] = {}
    for entry in left_out:
        by_reason.setdefault(printable(entry.reason), []).append(truncate_middle(printable(entry.name), _MAX_NAME))
    parts = [f"{_first_names(names)}{f' ({reason})' if reason else ''}" for reason, names in by_reason.items()]
    return f"Left out: {'; '.join(parts)}" if parts else ""


def _first_names(names: list[str]) -> str:
    listed = ", ".join(names[:_MAX_LEFT_OUT])
    return f"{listed} and {len(names) - _MAX_LEFT_OUT:,} more" if len(names) > _MAX_LEFT_OUT else listed


def error_of_run(totals: RunTotals) -> str:
    """Return the error that ended the run in one line, with its remedy; "" if there is none."""
    if totals.error is None:
        return ""
    return printable(" ".join(f"{totals.error.message} {totals.error.remedy}".split()))
