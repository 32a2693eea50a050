"""Every failure of a command is an error on the terminal, in the report and in the exit code."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from model_gate import gate
from model_gate.comparison.progress import Progress
from model_gate.domain.request import DiffRequest, Request
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.runner import Command, run_command
from model_gate.signals import Interrupted
from tests.support.commandline import BIN, clean_environment, run
from tests.support.reports import read_report


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a directory with two equal models, `left` and `right`."""
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"1")
    return tmp_path


def diff_command(models: Path, *, is_verbose: bool = False) -> Command:
    request = DiffRequest(str(models / "left"), str(models / "right"))
    return Command(CommandName.DIFF, {}, lambda: request, models / "report.json", is_verbose=is_verbose)


@pytest.mark.parametrize("is_verbose", [False, True])
def test_unexpected_exception_is_an_error_and_never_a_verdict(
    is_verbose: bool, models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("a defect")

    exit_code = run_command(diff_command(models, is_verbose=is_verbose), run_gate=fail)
    report = read_report(models / "report.json", exit_code)
    assert (exit_code, report["status"], report["error"]["type"]) == (2, "error", "InternalError")
    errors = capfd.readouterr().err
    assert "ZeroDivisionError: a defect" in errors
    assert ("Traceback" in errors) is is_verbose


def test_error_of_a_time_limit_says_what_the_gate_was_waiting_for(models: Path) -> None:
    def wait(*_: object) -> NoReturn:
        stop = Interrupted(signal.SIGALRM)
        stop.awaited = "the file model.pkl from https://mlflow.example.com"
        raise stop

    exit_code = run_command(diff_command(models), run_gate=wait)
    error = read_report(models / "report.json", exit_code)["error"]
    assert (exit_code, error["type"]) == (2, "StoppedError")
    assert error["message"].endswith("It was waiting for the file model.pkl from https://mlflow.example.com.")


def test_report_that_violates_its_schema_is_not_written(models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run_gate(request: Request, environment: Mapping[str, str], progress: Progress, *arguments: Any) -> Outcome:
        outcome = gate.run(request, environment, progress, *arguments)
        invalid = {
            name: replace(comparison, equals="yes")  # type: ignore[arg-type]  # the schema wants a boolean
            for name, comparison in outcome.comparisons.items()
        }
        return replace(outcome, comparisons=invalid)

    assert run_command(diff_command(models), run_gate=run_gate) == 2
    assert not (models / "report.json").exists()
    assert "does not fit its own schema" in capfd.readouterr().err


def test_failure_to_write_the_report_is_an_error(models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def run_gate(request: Request, environment: Mapping[str, str], progress: Progress, *arguments: Any) -> Outcome:
        outcome = gate.run(request, environment, progress, *arguments)
        (models / "report.json").mkdir()
        return outcome

    assert run_command(diff_command(models), run_gate=run_gate) == 2
    streams = capfd.readouterr()
    assert "The report file" in streams.err
    assert "is a directory" in streams.err
    assert streams.out == ""


@pytest.mark.parametrize("right, exit_code", [("right", 0), ("other", 1), ("nothing", 2)])
def test_exit_code_is_correct_even_if_output_cannot_be_written(right: str, exit_code: int, models: Path) -> None:
    (models / "other").mkdir()
    (models / "other" / "f").write_bytes(b"2")
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [BIN / "model-gate", "diff", "left", right],
            cwd=models,
            env=clean_environment(),
            check=False,
            stdout=full,
            stderr=full,
        )
    assert process.returncode == exit_code
    read_report(models / "model-gate-report.json", process.returncode)


def test_password_that_is_not_utf8_is_accepted(models: Path) -> None:
    process = run("diff", "left", "right", cwd=models, environment={"MLFLOW_TRACKING_PASSWORD": "\udcff\udcfe"})
    report = read_report(models / "model-gate-report.json", process.returncode)
    assert report["status"] == "equal", process.stderr
