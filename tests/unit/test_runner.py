"""From a request to an exit code: whatever goes wrong ends as an error, told in a sentence and in a report."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from model_gate import gate
from model_gate.domain.request import DiffRequest
from model_gate.domain.roles import CommandName
from model_gate.reporting.report import build_report
from model_gate.runner import Command, run_command
from tests.support.commandline import BIN, clean_environment, run
from tests.support.reports import read_report


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"1")
    return tmp_path


def command(models: Path, *, is_verbose: bool = False) -> Command:
    request = DiffRequest(str(models / "left"), str(models / "right"))
    return Command(CommandName.DIFF, {}, lambda: request, models / "report.json", is_verbose=is_verbose)


@pytest.mark.parametrize("is_verbose", [False, True])
def test_a_defect_is_an_error_and_never_a_verdict(
    is_verbose: bool, models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(gate, "run", fail)
    exit_code = run_command(command(models, is_verbose=is_verbose))
    report = read_report(models / "report.json", exit_code)
    assert (exit_code, report["status"], report["error"]["type"]) == (2, "error", "InternalError")
    told = capfd.readouterr().err
    assert "ZeroDivisionError: a defect" in told
    assert ("Traceback" in told) is is_verbose


def test_a_report_that_does_not_fit_its_schema_is_not_published(
    models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def wrong(*arguments: Any) -> dict[str, Any]:
        return build_report(*arguments) | {"equals": "yes"}

    monkeypatch.setattr("model_gate.runner.build_report", wrong)
    assert run_command(command(models)) == 2
    assert not (models / "report.json").exists()
    assert "does not fit its own schema" in capfd.readouterr().err


def test_a_verdict_that_cannot_be_reported_is_none(
    models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def run_and_take_the_directory_away(*arguments: Any) -> object:
        outcome = original(*arguments)
        (models / "report.json").mkdir()
        return outcome

    original = gate.run
    monkeypatch.setattr(gate, "run", run_and_take_the_directory_away)
    assert run_command(command(models)) == 2
    streams = capfd.readouterr()
    assert "Cannot write the report" in streams.err
    assert streams.out == ""


@pytest.mark.parametrize("right, exit_code", [("right", 0), ("other", 1), ("nothing", 2)])
def test_the_exit_code_stands_though_nobody_can_read_the_verdict(right: str, exit_code: int, models: Path) -> None:
    (models / "other").mkdir()
    (models / "other" / "f").write_bytes(b"2")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [BIN / "model-gate", "diff", "left", right],
            cwd=models,
            env=clean_environment(),
            check=False,
            stdout=full,
            stderr=full,
        )
    assert done.returncode == exit_code
    read_report(models / "model-gate-report.json", done.returncode)


def test_a_password_that_is_no_text_is_no_defect(models: Path) -> None:
    done = run("diff", "left", "right", cwd=models, environment={"MLFLOW_TRACKING_PASSWORD": "\udcff\udcfe"})
    assert read_report(models / "model-gate-report.json", done.returncode)["status"] == "equal", done.stderr
