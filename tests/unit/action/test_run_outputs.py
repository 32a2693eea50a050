"""The outputs of a run: those of the whole, and the gates as JSON for `fromJSON`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from model_gate.access.redaction import Redactor
from model_gate.action.outputs import OUTPUTS, WrittenFiles
from model_gate.action.run_outputs import MAX_CHARACTERS, run_outputs_of
from model_gate.domain.gates import GateRow
from model_gate.errors import InputError
from model_gate.reporting.rows import totals_of
from tests.support.action_outcomes import check, compare, comparison, difference
from tests.support.outcomes import DIGEST, IDENTITY
from tests.support.rows import HOSTILE_TEXTS, again, error_row, gate, row

EQUAL = row(check(comparison()), gate("wine"))
DIFFERENT = row(compare(comparison(), comparison(difference("model.pkl"))), gate("churn"))
REWRITTEN = row(check(comparison(*IDENTITY, equivalent=True)), gate("spam"))
ERROR = error_row(gate("fraud"))
SAME = row(check(comparison(same=True)), gate("same"))


def outputs_of(rows: Sequence[GateRow], max_characters: int = MAX_CHARACTERS) -> dict[str, str]:
    return run_outputs_of(again(rows), totals_of(rows), WrittenFiles("report.json", "summary.md"), max_characters)


def gates_of(rows: Sequence[GateRow], max_characters: int = MAX_CHARACTERS) -> dict[str, Any]:
    gates: dict[str, Any] = json.loads(outputs_of(rows, max_characters)["gates"])
    return gates


@pytest.mark.parametrize(
    "rows, status, equals, equivalent, passed",
    [
        ([], "equal", "", "", "true"),
        ([EQUAL], "equal", "true", "true", "true"),
        ([EQUAL, REWRITTEN], "different", "false", "true", "false"),
        ([EQUAL, replace(REWRITTEN, passed=True)], "different", "false", "true", "true"),
        ([EQUAL, DIFFERENT], "different", "false", "false", "false"),
        ([DIFFERENT, ERROR], "error", "", "", "false"),
    ],
)
def test_outputs_of_the_whole_have_the_names_of_a_single_gate(
    rows: list[GateRow], status: str, equals: str, equivalent: str, passed: str
) -> None:
    outputs = outputs_of(rows)
    assert list(outputs) == list(OUTPUTS)
    assert [outputs[name] for name in ("status", "equals", "equivalent", "passed")] == [
        status,
        equals,
        equivalent,
        passed,
    ]
    assert (outputs["report-file"], outputs["summary-file"]) == ("report.json", "summary.md")


def test_run_that_ended_early_is_not_passed() -> None:
    outputs = run_outputs_of(again([EQUAL]), totals_of([EQUAL], error=InputError("no")), WrittenFiles())
    assert (outputs["status"], outputs["equals"], outputs["passed"]) == ("error", "", "false")


def test_gate_has_its_verdict_its_versions_and_its_digests() -> None:
    gates = gates_of([EQUAL, DIFFERENT, ERROR])
    assert gates["wine"] == {
        "status": "equal",
        "passed": True,
        "equivalent": True,
        "model": "Wine",
        "version": "1",
        "digest-1": "0" * 64,
        "digest-2": "",
        "differences": 0,
        "same-location": False,
    }
    assert gates["churn"]["differences"] == 1
    assert (gates["churn"]["version-1"], gates["churn"]["version-2"]) == ("1", "2")
    assert gates["churn"]["digest-1"] == "0" * 64
    assert gates["fraud"] == {"status": "error", "passed": False, "equivalent": None}
    assert DIGEST not in json.dumps(gates)


def test_gate_that_compared_nothing_is_named() -> None:
    assert gates_of([EQUAL, SAME])["same"]["same-location"] is True
    assert outputs_of([EQUAL, SAME])["same-location"] == "true"
    assert outputs_of([EQUAL, DIFFERENT])["same-location"] == "false"
    assert outputs_of([SAME, ERROR])["same-location"] == outputs_of([])["same-location"] == ""


def test_gates_that_do_not_fit_have_only_their_verdicts() -> None:
    rows = [EQUAL, DIFFERENT, ERROR]
    assert outputs_of(rows, 200)["gates-truncated"] == "true"
    assert gates_of(rows, 200) == {
        "fraud": {"status": "error", "passed": False},
        "churn": {"status": "different", "passed": False},
        "wine": {"status": "equal", "passed": True},
    }
    assert outputs_of(rows)["gates-truncated"] == "false"


def test_failed_gates_are_kept_if_not_even_the_verdicts_fit() -> None:
    rows = [*(replace(EQUAL, name=f"wine-{number}") for number in range(500)), ERROR]
    outputs = outputs_of(rows, 2_000)
    assert outputs["gates-truncated"] == "true"
    assert len(outputs["gates"]) <= 2_000
    assert len(json.loads(outputs["gates"])) > 20
    assert next(iter(json.loads(outputs["gates"]))) == "fraud"


def test_10000_gates_fit_into_an_output_of_github() -> None:
    light = replace(EQUAL, report=ERROR.report)
    outputs = outputs_of([replace(light, name=f"all/model-{number}") for number in range(10_000)])
    assert len(outputs["gates"].encode("utf-16-le")) <= 1024 * 1024


def test_gates_whose_names_are_equal_are_all_there() -> None:
    assert list(gates_of([EQUAL, replace(ERROR, name="wine"), EQUAL])) == ["wine", "wine (2)", "wine (3)"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_hostile_names_are_no_command_and_no_line_of_their_own(text: str) -> None:
    found = row(check(comparison(difference(text)), text), gate(text), Redactor())
    gates = outputs_of([found])["gates"]
    assert gates.isascii()
    assert gates.isprintable()
    assert "##[" not in gates
    assert list(json.loads(gates)) == [found.name]
