"""The report of every outcome is valid and has no secrets."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model_gate.access.redaction import Redactor
from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import Require
from model_gate.errors import InternalError, ModelError
from model_gate.reporting.phrases import MAX_REPORTED
from model_gate.reporting.report import build_report, validate_report
from model_gate.reporting.system import SystemFacts
from tests.support.outcomes import (
    DIGEST,
    IDENTITY,
    ONE_OF_EACH,
    THREE,
    check_outcome,
    compare_outcome,
    comparison,
    diff_outcome,
    model_version,
)
from tests.support.paths import SCHEMAS
from tests.support.reports import Json, exact_path, require_valid

SCHEMA = json.loads((SCHEMAS / "report.schema.json").read_text("utf-8"))
SYSTEM = SystemFacts("0.1", None, "3.11.2", "2025-01-31T12:00:00+00:00")
OUTCOMES = [
    (CommandName.DIFF, diff_outcome()),
    (CommandName.DIFF, diff_outcome(ONE_OF_EACH)),
    (CommandName.DIFF, diff_outcome(IDENTITY, Require.EQUIVALENT)),
    (CommandName.CHECK, check_outcome()),
    (CommandName.CHECK, check_outcome(THREE, native_model="model.pkl")),
    (CommandName.COMPARE, compare_outcome(comparison(), comparison(THREE))),
    (CommandName.CHECK, Outcome(check_outcome().request, error=ModelError("It is empty.", "Fill it."))),
    (CommandName.COMPARE, Outcome(None, error=ModelError("It is empty."))),
]


def valid_report(command: CommandName, outcome: Outcome, options: Json | None = None) -> Json:
    report = build_report(command, outcome, options or {}, Redactor(["s3cret-word"]), SYSTEM)
    validate_report(report)
    require_valid(report)
    assert json.loads(json.dumps(report)) == report
    return report


@pytest.mark.parametrize("command, outcome", OUTCOMES)
def test_every_outcome_has_a_valid_report_without_secrets(command: CommandName, outcome: Outcome) -> None:
    report = valid_report(command, outcome, {"report_file": Path("r"), "verbose": True, "require": None, "number": 1})
    assert report["status"] == outcome.status
    assert report["options"] == {"report_file": "r", "verbose": True, "require": None, "number": 1}
    assert report["system"] == asdict(SYSTEM)
    assert "s3cret" not in json.dumps(report)


def test_report_has_the_second_native_model_only_if_its_name_differs() -> None:
    run_models = replace(comparison(native_model="model.pkl"), right_native_model="conda.yaml")
    same = replace(run_models, right_native_model="model.pkl")
    report = valid_report(CommandName.COMPARE, compare_outcome(run_models, same))
    first, second = report["run_model_comparison"], report["reg_model_comparison"]
    assert (first["native_model"], first["right_native_model"]) == ("model.pkl", "conda.yaml")
    assert (second["native_model"], second.get("right_native_model")) == ("model.pkl", None)


def test_check_report_has_the_documented_fields() -> None:
    report = valid_report(CommandName.CHECK, check_outcome())
    section = report["comparison"]
    assert section["equals"] is True
    assert section["run_model"]["download_uri"] == model_version().source
    assert section["reg_model"]["download_uri"] == model_version().download_uri
    assert section["run_model"]["local_path"] == {"path": "/scratch/left", "hash": DIGEST, "kept": False}
    assert section["differences"] == []
    resolved = report["model_version"]["resolved"]
    assert (resolved["name"], resolved["version"], resolved["stage"], resolved["aliases"]) == (
        "Wine",
        "7",
        "Production",
        ["best", "champion"],
    )
    assert resolved["run"]["git_commit"] == "c0ffee00" * 5
    assert report["model_version"]["host"] == "http://example.com"


def test_compare_report_has_the_documented_fields() -> None:
    report = valid_report(CommandName.COMPARE, compare_outcome(comparison(), comparison(THREE)))
    assert report["run_model_comparison"]["tracking_server_1"]["path"] == "/scratch/left"
    assert report["run_model_comparison"]["tracking_server_1"]["hash"] == DIGEST
    assert report["reg_model_comparison"]["tracking_server_2"]["path"] == "/scratch/right"
    assert report["comparison_summary"] == {"run_model": True, "reg_model": False}
    assert (report["status"], report["equals"], report["passed"]) == ("different", False, False)


def test_compare_report_without_registry_models_has_no_section_for_them() -> None:
    outcome = compare_outcome(comparison(), comparison())
    only_run = replace(outcome, comparisons={"run_model_comparison": comparison()})
    report = valid_report(CommandName.COMPARE, only_run)
    assert report["comparison_summary"] == {"run_model": True}
    assert "reg_model_comparison" not in report


def test_report_of_an_error_has_null_for_equals_and_equivalent() -> None:
    report = valid_report(CommandName.DIFF, Outcome(None, error=ModelError("It is empty.", "Fill it.")))
    assert report["error"] == {"type": "ModelError", "message": "It is empty.", "remedy": "Fill it."}
    assert (report["status"], report["equals"], report["equivalent"], report["passed"]) == ("error", None, None, False)


def test_equivalent_models_pass_only_with_the_requirement_equivalent() -> None:
    strict = valid_report(CommandName.DIFF, diff_outcome(IDENTITY))
    lenient = valid_report(CommandName.DIFF, diff_outcome(IDENTITY, Require.EQUIVALENT))
    for report in (strict, lenient):
        assert (report["status"], report["equals"], report["equivalent"]) == ("different", False, True)
    assert (strict["passed"], lenient["passed"]) == (False, True)


def test_report_truncates_a_long_list_of_differences_but_has_the_full_count() -> None:
    many = tuple(Difference(f"{n:05}", DifferenceKind.ONLY_LEFT, 1, None) for n in range(MAX_REPORTED + 1))
    section = valid_report(CommandName.DIFF, diff_outcome(many))["comparison"]
    assert section["differences_count"] == MAX_REPORTED + 1
    assert [entry["path"] for entry in section["differences"]] == [entry.path for entry in many[:MAX_REPORTED]]


@pytest.mark.parametrize("path", [b"\xff\xfe", b"a\nb", b"\x1b[31m", "\u202e".encode(), b"plain", "é".encode()])
def test_report_has_each_path_as_printable_text_and_as_exact_bytes(path: bytes) -> None:
    difference = Difference(os.fsdecode(path), DifferenceKind.ONLY_LEFT, 1, None)
    (entry,) = valid_report(CommandName.DIFF, diff_outcome((difference,)))["comparison"]["differences"]
    assert exact_path(entry) == path
    assert entry["path"].isprintable()


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "equal"},
        {"equals": True},
        {"more": 1},
        {"error": {"type": "X", "message": "", "remedy": ""}},
        {"schema_version": "0"},
        {"system": {}},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_report_that_contradicts_its_schema_is_invalid(wrong: Json) -> None:
    report = valid_report(CommandName.DIFF, diff_outcome(THREE)) | wrong
    with pytest.raises(InternalError, match="does not fit its own schema"):
        validate_report(report)


def test_report_schema_is_valid_and_describes_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    def check_fields(schema: Any, where: str) -> None:
        for name, field in schema.get("properties", {}).items():
            assert "$ref" in field or "title" in field or "const" in field or "type" in field, f"{where}.{name}"
            check_fields(field, f"{where}.{name}")

    check_fields(SCHEMA, "report")
    for name, schema in SCHEMA["$defs"].items():
        assert schema["title"], name
        check_fields(schema, name)
