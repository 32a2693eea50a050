"""Standard streams that are closed, full or unread change neither the verdict nor the exit code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.reports import read_report

VERDICTS = {"right": (0, "equal"), "other": (1, "different"), "nothing": (2, "error")}
REDIRECTIONS = [
    "<&-",
    ">&-",
    "2>&-",
    "<&- >&-",
    ">&- 2>&-",
    "<&- >&- 2>&-",
    ">/dev/full 2>/dev/full",
    "2>&- >/dev/full",
    "| true",
    "2>&1 | true",
]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name, content in (("left", "1"), ("right", "1"), ("other", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(content)
    return tmp_path


def shell(redirection: str, *arguments: object, cwd: Path, **variables: str) -> int:
    """Run `model-gate` in bash with redirections or a pipe, and return the exit code of `model-gate`."""
    script = f'"$@" {redirection}; exit "${{PIPESTATUS[0]}}"'
    process = subprocess.run(
        ["bash", "-c", script, "bash", str(BIN / "model-gate"), *map(str, arguments)],
        cwd=cwd,
        env=clean_environment() | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
        timeout=120,
    )
    return process.returncode


@pytest.mark.parametrize("right", VERDICTS)
@pytest.mark.parametrize("redirection", REDIRECTIONS)
def test_closed_or_full_streams_do_not_change_verdict_and_exit_code(redirection: str, right: str, models: Path) -> None:
    code = shell(redirection, "diff", "left", right, cwd=models)
    report = read_report(models / "model-gate-report.json", code)
    assert (code, report["status"]) == VERDICTS[right]


@pytest.mark.parametrize("redirection", ["<&-", "<&- >&- 2>&-"])
def test_check_command_gives_its_verdict_with_closed_standard_streams(redirection: str, tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        options = ("--model", "Wine", "--version-or-stage", "1")
        code = shell(redirection, "check", *options, cwd=tmp_path, MLFLOW_TRACKING_URI=server.url)
    report = read_report(tmp_path / "model-gate-report.json", code)
    assert (code, report["status"]) == (0, "equal"), report


def test_closed_pipe_does_not_change_the_exit_code(models: Path) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [BIN / "model-gate", "diff", "left", "other"],
        cwd=models,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
    )
    os.close(writer)
    os.close(reader)
    assert process.wait(60) == 1
    assert read_report(models / "model-gate-report.json", 1)["status"] == "different"


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("check", "--help"), ("diff",)])
def test_help_written_to_a_full_disk_prints_no_traceback(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [BIN / "model-gate", *arguments],
            cwd=tmp_path,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert process.returncode in {0, 2}
    assert "Traceback" not in process.stderr
