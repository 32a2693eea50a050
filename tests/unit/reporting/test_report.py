"""Reports: every outcome fits the schema, and a file is written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model_gate.access.redaction import Redactor
from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import Require
from model_gate.errors import InternalError, ModelError, StorageError
from model_gate.reporting.report import MAX_DIFFERENCES, build_report, prepare_report, validate_report, write_report
from tests.support.commandline import run
from tests.support.outcomes import (
    DIGEST,
    IDENTITY,
    ONE_OF_EACH,
    THREE,
    check_outcome,
    compare_outcome,
    comparison,
    diff_outcome,
    version,
)
from tests.support.paths import SCHEMAS
from tests.support.reports import Json, exact_path, read_report, require_valid

SCHEMA = json.loads((SCHEMAS / "report.schema.json").read_text("utf-8"))
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


def built(command: CommandName, outcome: Outcome, options: Json | None = None) -> Json:
    report = build_report(command, outcome, options or {}, Redactor(["s3cret-word"]))
    validate_report(report)
    require_valid(report)
    # As a file, it says the same.
    assert json.loads(json.dumps(report)) == report
    return report


@pytest.mark.parametrize("command, outcome", OUTCOMES)
def test_every_outcome_fits_the_schema_and_tells_no_secret(command: CommandName, outcome: Outcome) -> None:
    report = built(command, outcome, {"report_file": Path("r"), "verbose": True, "require": None, "number": 1})
    assert report["status"] == outcome.status
    assert report["options"] == {"report_file": "r", "verbose": True, "require": None, "number": 1}
    assert "s3cret" not in json.dumps(report)


def test_a_check_has_the_shape_that_others_build_on() -> None:
    report = built(CommandName.CHECK, check_outcome())
    found = report["comparison"]
    assert found["equals"] is True
    assert found["run_model"]["download_uri"] == version().source
    assert found["reg_model"]["download_uri"] == version().download_uri
    assert found["run_model"]["local_path"] == {"path": "/scratch/left", "hash": DIGEST, "kept": False}
    assert found["differences"] == []
    resolved = report["model_version"]["resolved"]
    assert (resolved["name"], resolved["version"], resolved["stage"], resolved["aliases"]) == (
        "Wine",
        "7",
        "Production",
        ["best", "champion"],
    )
    assert resolved["run"]["git_commit"] == "c0ffee" * 6
    assert report["model_version"]["host"] == "http://example.com"


def test_a_compare_has_the_shape_that_others_build_on() -> None:
    report = built(CommandName.COMPARE, compare_outcome(comparison(), comparison(THREE)))
    assert report["run_model_comparison"]["tracking_server_1"]["path"] == "/scratch/left"
    assert report["run_model_comparison"]["tracking_server_1"]["hash"] == DIGEST
    assert report["reg_model_comparison"]["tracking_server_2"]["path"] == "/scratch/right"
    assert report["comparison_summary"] == {"run_model": True, "reg_model": False}
    assert (report["status"], report["equals"], report["passed"]) == ("different", False, False)


def test_what_was_not_compared_is_absent() -> None:
    outcome = compare_outcome(comparison(), comparison())
    only_run = replace(outcome, comparisons={"run_model_comparison": comparison()})
    report = built(CommandName.COMPARE, only_run)
    assert report["comparison_summary"] == {"run_model": True}
    assert "reg_model_comparison" not in report


def test_an_error_is_neither_equal_nor_different() -> None:
    report = built(CommandName.DIFF, Outcome(None, error=ModelError("It is empty.", "Fill it.")))
    assert report["error"] == {"type": "ModelError", "message": "It is empty.", "remedy": "Fill it."}
    assert (report["status"], report["equals"], report["equivalent"], report["passed"]) == ("error", None, None, False)


def test_an_identity_difference_passes_only_if_that_is_allowed() -> None:
    strict = built(CommandName.DIFF, diff_outcome(IDENTITY))
    lenient = built(CommandName.DIFF, diff_outcome(IDENTITY, Require.EQUIVALENT))
    for report in (strict, lenient):
        assert (report["status"], report["equals"], report["equivalent"]) == ("different", False, True)
    assert (strict["passed"], lenient["passed"]) == (False, True)


def test_the_list_of_differences_is_cut_but_not_their_number() -> None:
    many = tuple(Difference(f"{n:05}", DifferenceKind.ONLY_LEFT, 1, None) for n in range(MAX_DIFFERENCES + 1))
    found = built(CommandName.DIFF, diff_outcome(many))["comparison"]
    assert found["differences_count"] == MAX_DIFFERENCES + 1
    assert [each["path"] for each in found["differences"]] == [each.path for each in many[:MAX_DIFFERENCES]]


@pytest.mark.parametrize("path", [b"\xff\xfe", b"a\nb", b"\x1b[31m", "\u202e".encode(), b"plain", "é".encode()])
def test_a_path_is_told_exactly_and_on_one_line(path: bytes) -> None:
    difference = Difference(os.fsdecode(path), DifferenceKind.ONLY_LEFT, 1, None)
    (told,) = built(CommandName.DIFF, diff_outcome((difference,)))["comparison"]["differences"]
    assert exact_path(told) == path
    assert told["path"].isprintable()


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
)
def test_a_report_that_contradicts_the_schema_is_not_published(wrong: Json) -> None:
    report = built(CommandName.DIFF, diff_outcome(THREE)) | wrong
    with pytest.raises(InternalError, match="does not fit its own schema"):
        validate_report(report)


def test_the_schema_is_one_and_explains_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    def walk(schema: Any, where: str) -> None:
        for name, field in schema.get("properties", {}).items():
            assert "$ref" in field or "title" in field or "const" in field or "type" in field, f"{where}.{name}"
            walk(field, f"{where}.{name}")

    walk(SCHEMA, "report")
    for name, schema in SCHEMA["$defs"].items():
        assert schema["title"], name
        walk(schema, name)


def test_a_report_is_written_for_others_to_read(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    mask = os.umask(0o022)
    try:
        write_report({"a": "é"}, file)
    finally:
        os.umask(mask)
    assert json.loads(file.read_bytes()) == {"a": "é"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["report.json"]


def test_text_that_is_no_unicode_does_not_break_a_report(tmp_path: Path) -> None:
    write_report({"a": "\udcff"}, tmp_path / "r")
    assert json.loads((tmp_path / "r").read_bytes()) == {"a": "\udcff"}


def test_a_report_that_cannot_be_finished_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_report({}, tmp_path / "r")
    assert "Free some disk space" in caught.value.remedy
    assert os.listdir(tmp_path) == []


def test_missing_directories_are_made(tmp_path: Path) -> None:
    prepare_report(tmp_path / "a" / "b" / "r")
    write_report({}, tmp_path / "a" / "b" / "r")
    assert os.listdir(tmp_path / "a" / "b") == ["r"]


def test_an_old_report_is_removed_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("old")
    prepare_report(tmp_path / "r")
    assert os.listdir(tmp_path) == []


def test_a_report_goes_where_a_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "r").write_text("old")
    (tmp_path / "link").symlink_to("there/r")
    prepare_report(tmp_path / "link")
    assert not (tmp_path / "there" / "r").exists()
    write_report({}, tmp_path / "link")
    assert json.loads((tmp_path / "there" / "r").read_bytes()) == {}
    assert (tmp_path / "link").is_symlink()


def test_a_link_to_itself_is_no_defect(tmp_path: Path) -> None:
    (tmp_path / "r").symlink_to("r")
    prepare_report(tmp_path / "r")
    write_report({}, tmp_path / "r")
    assert json.loads((tmp_path / "r").read_bytes()) == {}


@pytest.mark.parametrize("name, what", [("d", "is a directory"), ("fifo", "not a regular file"), ("f/r", "f/r")])
def test_what_is_no_file_is_refused_and_left_alone(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("1")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match=what) as caught:
        prepare_report(tmp_path / name)
    assert caught.value.remedy or name == "f/r"
    assert sorted(os.listdir(tmp_path)) == ["d", "f", "fifo"]


def test_a_link_to_what_is_no_file_is_refused_too(tmp_path: Path) -> None:
    # As /dev/stdout is; a FIFO stands for the device, which root could replace.
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    with pytest.raises(StorageError, match="not a regular file"):
        prepare_report(tmp_path / "link")
    assert (tmp_path / "fifo").is_fifo()


def test_a_report_does_not_overwrite_what_is_read(tmp_path: Path) -> None:
    config = tmp_path / "compare.yaml"
    config.write_text("x")
    (tmp_path / "link").symlink_to("compare.yaml")
    for name in ("compare.yaml", "link", "../" + tmp_path.name + "/compare.yaml"):
        with pytest.raises(StorageError, match="would change what is to be read"):
            prepare_report(tmp_path / name, (config,))
    assert config.read_text() == "x"


@pytest.mark.parametrize("report", ["left/f", "left/sub/new.json", "right/MLmodel", "right/../left/f"])
def test_a_report_does_not_change_a_model_that_is_compared(report: str, tmp_path: Path) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "MLmodel").write_text("1")
    # Removed as an old report, it would make the two models equal.
    (tmp_path / "left" / "f").write_text("only left")
    done = run("diff", "left", "right", "--report-file", report, cwd=tmp_path)
    assert done.returncode == 2
    assert "would change what is to be read" in done.stderr
    assert (tmp_path / "left" / "f").read_text() == "only left"
    assert sorted(os.listdir(tmp_path / "left")) == ["MLmodel", "f"]


def test_the_command_line_makes_the_directory_of_a_report(tmp_path: Path) -> None:
    done = run("diff", "nothing", "nowhere", "--report-file", "new/sub/r.json", cwd=tmp_path)
    assert read_report(tmp_path / "new" / "sub" / "r.json", done.returncode)["status"] == "error"


def test_an_old_report_never_survives_an_error(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    report.write_text('{"status": "equal"}')
    done = run("check", "--report-file", report, cwd=tmp_path)
    assert read_report(report, done.returncode)["status"] == "error"


def test_a_report_that_cannot_be_written_is_an_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    done = run("diff", tmp_path, tmp_path, "--report-file", "d", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: The report file d is a directory.\n  Name a file.\n"
