"""The step's summary of a run: its table, its hidden summaries of gates, and its size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from model_gate.access.redaction import Redactor
from model_gate.action.run_summary import demoted, run_summary
from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.errors import InputError
from model_gate.reporting.rows import totals_of
from tests.support.action_outcomes import check, comparison, difference, explained
from tests.support.rows import HOSTILE_TEXTS, again, error_row, gate, row
from tests.support.summary_page import to_html

EQUAL = row(check(comparison()), gate("wine"))
DIFFERENT = row(check(comparison(difference("model.pkl"))), gate("churn"))
ERROR = error_row(gate("fraud"))
SAME = row(check(comparison(same=True)), gate("same"))


def summary_of(rows: Sequence[GateRow], totals: RunTotals | None = None, max_bytes: int = 200_000) -> str:
    return run_summary(again(rows), totals or totals_of(rows), "model-gate-report.json", Redactor(), max_bytes)


def named(row: GateRow, count: int) -> list[GateRow]:
    return [replace(row, name=f"{row.name}{number}") for number in range(count)]


def lines_of_table(summary: str) -> list[str]:
    return [line for line in summary.split("\n\n<details>", maxsplit=1)[0].split("\n") if line.startswith("| ")][2:]


def titles(summary: str) -> list[str]:
    return re.findall(r"^<details><summary>([⛔❌✅].*)</summary>$", summary, re.MULTILINE)


def test_headline_says_how_many_gates_differ_and_how_many_were_not_decided() -> None:
    summary = summary_of([*named(EQUAL, 9), *named(DIFFERENT, 2), ERROR])
    assert summary.startswith(
        "## ⛔ 2 of 12 gates differ, 1 could not be decided\n\n1 error, 2 different, 9 equal.\n\n"
    )


def test_summary_says_that_a_difference_does_not_fail_the_step() -> None:
    def says_so(*rows: GateRow, fails: bool = False) -> bool:
        totals = totals_of(rows)
        text = run_summary(again(rows), totals, "", Redactor(), fails_on_difference=fails)
        return "The step passes, because <code>fail-on-difference</code> is false." in text

    assert says_so(EQUAL, DIFFERENT)
    assert not says_so(EQUAL, DIFFERENT, fails=True)
    assert not says_so(DIFFERENT, ERROR)
    assert not says_so(EQUAL)


@pytest.mark.parametrize(
    "rows, headline",
    [
        ([EQUAL], "## ✅ 1 gate passed"),
        ([EQUAL, EQUAL], "## ✅ All 2 gates passed"),
        ([ERROR, EQUAL], "## ⛔ 1 of 2 gates could not be decided"),
        ([DIFFERENT], "## ❌ 1 of 1 gate differs"),
        ([DIFFERENT, ERROR], "## ⛔ 1 of 2 gates differs, 1 could not be decided"),
        ([], "## ✅ 0 gates concern this change: nothing to decide"),
        ([EQUAL, SAME], "## ✅ All 2 gates passed, 1 compared nothing: one location"),
        ([DIFFERENT, SAME], "## ❌ 1 of 2 gates differs, 1 compared nothing: one location"),
    ],
)
def test_headline_of_a_run_has_the_sign_of_its_verdict(rows: list[GateRow], headline: str) -> None:
    assert summary_of(rows).split("\n")[0].replace("&#58;", ":") == headline


def test_headline_of_a_shard_without_gates_says_so() -> None:
    left_out = [LeftOut("beer", "not changed since main"), LeftOut("wine", "not in shard 2/3")]
    assert summary_of([], totals_of([], left_out)).startswith("## ✅ This shard has no gates\n")


def test_table_has_a_line_per_gate_with_the_worst_first() -> None:
    lines = lines_of_table(summary_of([EQUAL, DIFFERENT, ERROR]))
    assert [line.split(" | ")[0] for line in lines] == [
        "| ⛔ <code>fraud</code>",
        "| ❌ <code>churn</code>",
        "| ✅ <code>wine</code>",
    ]
    assert lines[0].endswith("**error**<br>There is no model 'Wine'. Check its name. |")
    assert "≠ registry model<br>the weights differ" in lines[1]


def test_summaries_of_gates_are_hidden_with_the_worst_first() -> None:
    summary = summary_of([EQUAL, DIFFERENT, ERROR])
    assert titles(summary) == ["⛔ fraud", "❌ churn", "✅ wine"]
    assert "\n### ❌ Wine" in summary
    assert re.findall("^## ", summary, re.MULTILINE) == ["## "]


def test_left_out_gates_are_named_in_one_line() -> None:
    left_out = [LeftOut("a", "not changed"), LeftOut("b", "not changed"), LeftOut("c", "not named by --only")]
    summary = summary_of([], totals_of([], left_out))
    assert "\nLeft out&#58; a, b (not changed)&#59; c (not named by --only)\n" in summary
    assert summary.endswith("\nFull report: <code>model-<wbr>gate-<wbr>report.<wbr>json</code>\n")


def test_error_that_ended_the_run_is_quoted() -> None:
    error = InputError("Shard 2 of 3 is missing.", "Run it again.")
    summary = summary_of([EQUAL], totals_of([EQUAL], error=error))
    assert summary.startswith("## ⛔ The run could not be finished")
    assert "\n> Shard 2 of 3 is missing.\n\nRun it again.\n" in summary


@pytest.mark.parametrize("max_bytes", [20_000, 60_000, 200_000])
def test_summary_of_many_gates_keeps_its_size_and_drops_passing_gates_first(max_bytes: int) -> None:
    rows = [*named(EQUAL, 300), *named(DIFFERENT, 3)]
    summary = summary_of(rows, max_bytes=max_bytes)
    assert max_bytes * 0.8 < len(summary.encode()) <= max_bytes
    lines, blocks = lines_of_table(summary), titles(summary)
    assert blocks[:3] == ["❌ churn0", "❌ churn1", "❌ churn2"]
    assert f"The details of {303 - len(blocks)} more gates are in the report." in summary
    hidden = re.findall(r"^… and (\d+) that passed, in the report\.$", summary, re.MULTILINE)
    assert len(lines) + sum(map(int, hidden)) == 303


def test_block_that_does_not_fit_leaves_room_for_others() -> None:
    large = replace(DIFFERENT, block="x" * 30_000, name="large")
    summary = summary_of([large, DIFFERENT, EQUAL], max_bytes=30_000)
    assert titles(summary) == ["❌ churn", "✅ wine"]
    assert "The details of 1 more gate are in the report." in summary


def test_headings_in_code_keep_their_level() -> None:
    assert demoted("## a\n````diff\n## b\n```\n## c\n````\n### d\n#e\n") == (
        "### a\n````diff\n## b\n```\n## c\n````\n#### d\n#e"
    )


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_texts_make_no_element_and_no_line_of_their_own(text: str) -> None:
    def html(text: str) -> str:
        rows = [
            row(check(comparison(explained(text, text)), text), gate(text, file=text)),
            error_row(gate(text), InputError(text, text)),
        ]
        totals = totals_of(rows, [LeftOut(text, text)], InputError(text, text))
        summary = summary_of(rows, totals)
        assert all(line.isprintable() for line in summary.split("\n"))
        assert len(lines_of_table(summary)) == 2
        return to_html(summary)

    def elements(text: str) -> set[str]:
        return set(re.findall(r"<([a-z0-9]+)[ >/]", html(text)))

    assert elements(text) - {"wbr"} == elements("plain") - {"wbr"}
