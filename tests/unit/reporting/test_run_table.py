"""The terminal's table of a run: the worst gates first, on one screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.domain.gates import GateRow, LeftOut
from model_gate.errors import InputError
from model_gate.reporting.rows import totals_of
from model_gate.reporting.run_table import run_table
from tests.support.action_outcomes import check, compare, comparison, difference
from tests.support.outcomes import IDENTITY
from tests.support.rows import HOSTILE_TEXTS, error_row, gate, row

REWRITTEN = comparison(*IDENTITY, equivalent=True)
EQUAL = row(check(comparison()), gate("wine"))
DIFFERENT = row(check(comparison(difference("model.pkl"))), gate("churn"))
EQUIVALENT = replace(row(compare(REWRITTEN, REWRITTEN)), name="spam", passed=True)
ERROR = error_row(gate("fraud"))
REPORT = Path("model-gate-report.json")


def table(rows: list[GateRow], **options: int) -> list[str]:
    return run_table(rows, totals_of(rows), REPORT, **options).split("\n")


def named(row: GateRow, count: int) -> list[GateRow]:
    return [replace(row, name=f"{row.name}-{number}") for number in range(count)]


def test_gates_are_sorted_from_the_worst_to_the_best() -> None:
    lines = table([EQUAL, EQUIVALENT, DIFFERENT, ERROR])
    assert [line.split()[:2] for line in lines if line.split()[1:2] and line[:2] not in {"  ", "Re", "2 ", "1 "}] == [
        ["error", "fraud"],
        ["different", "churn"],
        ["equivalent", "spam"],
        ["equal", "wine"],
    ]
    assert lines[1].strip() == "Check its name."
    assert lines[-3:] == [
        "",
        "1 of 4 gates differs, 1 could not be decided (1 error, 1 different, 1 equivalent, 1 equal)",
        "Report: model-gate-report.json",
    ]


def test_line_says_what_was_compared_and_what_differs() -> None:
    assert table([DIFFERENT])[0] == (
        "different   churn  Wine: mlflow.example.com v1, run model ≠ registry model: the weights differ (model.pkl);"
        " predictions…"
    )


@pytest.mark.parametrize("max_lines", [8, 24, 60])
@pytest.mark.parametrize("counts", [(0, 500), (500, 0), (100, 100), (5, 14), (6, 8), (1, 0), (0, 1)])
def test_run_of_any_size_fits_on_one_screen(counts: tuple[int, int], max_lines: int) -> None:
    failed, passed = counts
    rows = [*named(EQUAL, passed), *named(ERROR, failed)]
    lines = table(rows, max_lines=max_lines)
    assert len(lines) <= max_lines
    shown = [line.split()[1] for line in lines if line.startswith(("error ", "equal "))]
    assert shown == [row.name for row in [*rows[passed:], *rows[:passed]]][: len(shown)]
    hidden = [int(word) for line in lines if line.startswith("…") for word in line.split() if word.isdigit()]
    assert len(shown) + sum(hidden) == failed + passed


def test_gates_without_a_line_are_counted() -> None:
    assert table([*named(EQUAL, 300), *named(ERROR, 100)])[20] == "… and 80 that failed and 300 that passed"
    assert table([*named(EQUAL, 500), DIFFERENT])[20] == "… and 481 that passed"


def test_remedies_come_before_gates_that_passed() -> None:
    lines = table([*named(EQUAL, 100), *named(ERROR, 8)])
    assert sum(line.endswith("Check its name.") for line in lines) == 8


def test_names_are_cut_in_the_middle_and_lines_at_the_end() -> None:
    rows = [replace(DIFFERENT, name="start-" + "x" * 10_000 + "-end"), replace(EQUAL, heading="y" * 10_000)]
    lines = table(rows)
    assert all(len(line) <= 120 for line in lines)
    assert lines[0].split()[1].startswith("start-")
    assert lines[0].split()[1].endswith("-end")


def test_run_without_gates_has_nothing_to_decide() -> None:
    totals = totals_of([], [LeftOut(f"gate-{number}", "not changed since origin/main") for number in range(12)])
    assert run_table([], totals, REPORT).split("\n") == [
        "0 gates concern this change: nothing to decide",
        f"Left out: {', '.join(f'gate-{number}' for number in range(10))} and 2 more (not changed since origin/main)",
        "Report: model-gate-report.json",
    ]


def test_error_that_ended_the_run_is_named_with_its_remedy() -> None:
    totals = totals_of([EQUAL], error=InputError("The disk\nis full.", "Free some space."))
    lines = run_table([EQUAL], totals, None).split("\n")
    assert lines[-3:] == [
        "error: The disk is full.",
        "  Free some space.",
        "The run could not be finished: 1 gate passed (1 equal)",
    ]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_text_starts_no_line(text: str) -> None:
    rows = [row(check(comparison(difference(text)), text), gate(text)), error_row(gate(text), InputError(text, text))]
    totals = totals_of(rows, [LeftOut(text, text)], InputError(text, text))
    lines = run_table(rows, totals, REPORT).split("\n")
    assert len(lines) == 9
    assert all(line.isprintable() for line in lines)
