"""The report of a run: its fields, its schema, and that it is written gate by gate."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from model_gate.access.redaction import Redactor
from model_gate.domain.gates import GateRow, LeftOut, RunTotals
from model_gate.errors import InputError, InternalError
from model_gate.reporting.output_files import ReportFile
from model_gate.reporting.rows import totals_of
from model_gate.reporting.run_report import run_report
from tests.support.action_outcomes import HOSTILE, check, comparison, difference, explained
from tests.support.paths import SCHEMAS
from tests.support.rows import SYSTEM, error_row, gate, row

SCHEMA = json.loads((SCHEMAS / "run-report.schema.json").read_text("utf-8"))
REPORT_SCHEMA = json.loads((SCHEMAS / "report.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(
    SCHEMA,
    registry=Registry().with_resource(REPORT_SCHEMA["$id"], Resource.from_contents(REPORT_SCHEMA)),
    format_checker=FormatChecker(),
)
ROWS = (
    row(check(comparison()), gate("wine", 3)),
    row(check(comparison(difference("model.pkl"))), gate("churn", 9)),
    error_row(gate("fraud", 12)),
)


def text_of(rows: Sequence[GateRow], totals: RunTotals | None = None, redactor: Redactor | None = None) -> str:
    totals = totals or totals_of(rows)
    return "".join(run_report(rows, totals, {"config_file": "gates.yml"}, redactor or Redactor(), SYSTEM))


def read(text: str) -> dict[str, Any]:
    """Read a report, and assert that it is valid."""
    report: dict[str, Any] = json.loads(text)
    VALIDATOR.validate(report)
    return report


def test_report_has_each_gate_with_its_own_report() -> None:
    report = read(text_of(ROWS))
    assert [(each["name"], each["status"], each["passed"], each["line"]) for each in report["gates"]] == [
        ("wine", "equal", True, 3),
        ("churn", "different", False, 9),
        ("fraud", "error", False, 12),
    ]
    assert [each["report"] for each in report["gates"]] == [each.report for each in ROWS]
    assert report["counts"] == {
        "gates": 3,
        "equal": 1,
        "equivalent": 0,
        "different": 1,
        "error": 1,
        "left_out": 0,
        "unfinished": 0,
        "nothing_compared": 0,
    }
    assert (report["status"], report["passed"], report["command"]) == ("error", False, "run")


def test_report_is_written_as_one_json_text_of_that_layout() -> None:
    text = text_of(ROWS)
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def test_report_without_gates_names_what_was_left_out_and_passes() -> None:
    totals = totals_of([], [LeftOut("wine", "not changed since origin/main")])
    report = read(text_of([], totals))
    assert (report["gates"], report["status"], report["passed"]) == ([], "equal", True)
    assert report["left_out"] == [{"name": "wine", "reason": "not changed since origin/main"}]


def test_error_of_the_run_is_in_the_report_without_secrets() -> None:
    error = InputError("No server takes s3cret-word.", "Name another.")
    report = read(text_of(ROWS[:1], totals_of(ROWS[:1], error=error), Redactor(["s3cret-word"])))
    assert report["error"] == {"type": "InputError", "message": "No server takes ***.", "remedy": "Name another."}
    assert (report["status"], report["passed"]) == ("error", False)


@pytest.mark.parametrize("hostile", [*HOSTILE, '",\n  "gates": [],\n'])
def test_hostile_texts_leave_the_report_valid(hostile: str) -> None:
    rows = [row(check(comparison(explained(hostile, hostile)), hostile), gate(hostile, file=hostile))]
    text = text_of(rows, totals_of(rows, [LeftOut(hostile, hostile)]))
    report = read(text)
    assert report["gates"][0]["name"] == rows[0].name
    assert all(line.isprintable() for line in text.split("\n"))
    assert "##[" not in text


def test_rows_that_are_not_those_of_the_totals_are_an_error() -> None:
    with pytest.raises(InternalError, match="has 2 gates, not 3"):
        text_of(ROWS[:2], totals_of(ROWS))


@pytest.mark.parametrize("wrong", [{"equivalent": None}, {"passed": False}, {"seconds": -1.0}, {"name": ""}])
def test_gate_that_breaks_the_schema_is_not_published(wrong: dict[str, Any]) -> None:
    with pytest.raises(InternalError, match="does not fit its own schema"):
        text_of([replace(ROWS[0], **wrong)], totals_of(ROWS[:1]))


def test_file_of_a_run_that_breaks_the_schema_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old", "utf-8")
    pieces = run_report(ROWS[:2], totals_of(ROWS), {}, Redactor(), SYSTEM)
    with pytest.raises(InternalError):
        ReportFile(path).write_pieces(pieces)
    assert (path.read_text("utf-8"), len(list(tmp_path.iterdir()))) == ("old", 1)


def test_memory_does_not_grow_with_the_number_of_gates(tmp_path: Path) -> None:
    large = row(check(comparison(*(explained(f"{number}.json", "x" * 500) for number in range(8)))))

    def rows() -> Iterator[GateRow]:
        for number in range(60):
            yield replace(large, name=f"gate-{number}")

    totals = replace(totals_of([]), different=60)
    ReportFile(tmp_path / "warm").write_pieces(run_report([large], totals_of([large]), {}, Redactor(), SYSTEM))
    tracemalloc.start()
    try:
        ReportFile(tmp_path / "report.json").write_pieces(run_report(rows(), totals, {}, Redactor(), SYSTEM))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = (tmp_path / "report.json").stat().st_size
    assert peak < size / 5, (peak, size)
    assert len(json.loads((tmp_path / "report.json").read_bytes())["gates"]) == 60


def test_schema_is_valid_and_describes_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for example in SCHEMA["examples"]:
        VALIDATOR.validate(example)

    def require_described(schema: dict[str, Any]) -> None:
        for field in schema.get("properties", {}).values():
            assert field["title"]
            assert field["description"].endswith(".")
            require_described(field)

    require_described(SCHEMA)
    for definition in SCHEMA["$defs"].values():
        require_described(definition)
