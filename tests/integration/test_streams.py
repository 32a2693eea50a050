"""Standard streams that are closed, full or unread change neither the verdict nor the exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import version
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


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true"])
def test_compare_command_gives_its_verdict_with_closed_or_full_streams(redirection: str, tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("Wine", MODEL, "2")
        versions = {f"tracking_server_{number}": version(server.url, "Wine", number) for number in ("1", "2")}
        (tmp_path / "compare.yaml").write_text(json.dumps(versions))
        code = shell(redirection, "compare", "--config-file", "compare.yaml", cwd=tmp_path)
    report = read_report(tmp_path / "model-gate-report.json", code)
    assert (code, report["status"]) == (0, "equal"), report
    assert report["run_model_comparison"]["compared"] == len(MODEL)


@pytest.mark.parametrize("redirection", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full", "2>&1 | true"])
def test_step_gives_its_verdict_and_outputs_with_closed_or_full_streams(redirection: str, tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        inputs = {"COMMAND": "check", "HOST": server.url, "MODEL": "Wine", "VERSION-OR-STAGE": "1"}
        variables = {f"INPUT_{name}": value for name, value in inputs.items()}
        files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        code = shell(redirection, "action", cwd=tmp_path, **variables, **files)
    report = read_report(tmp_path / "model-gate-report.json", code)
    assert (code, report["status"]) == (0, "equal"), report
    statuses = re.findall(r"(?m)^status<<.+\n(.*)$", (tmp_path / "GITHUB_OUTPUT").read_text())
    assert statuses == ["error", "equal"]
    assert "equal" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()


@pytest.mark.parametrize("stream", ["unread pipe", "unread FIFO", "closed FIFO"])
@pytest.mark.parametrize("right", ["right", "nothing"])
def test_pipe_or_fifo_that_nobody_reads_does_not_change_verdict_and_exit_code(
    right: str, stream: str, models: Path
) -> None:
    if stream.endswith("pipe"):
        reader, writer = os.pipe()
    else:
        os.mkfifo(models / "fifo")
        reader = os.open(models / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(models / "fifo", os.O_WRONLY)
    if stream.startswith("closed"):
        os.close(reader)
    process = subprocess.run(
        [BIN / "model-gate", "diff", "left", right],
        cwd=models,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        check=False,
        timeout=60,
    )
    os.close(writer)
    if stream.startswith("unread"):
        assert VERDICTS[right][1] in os.read(reader, 65536).decode().lower()
        os.close(reader)
    report = read_report(models / "model-gate-report.json", process.returncode)
    assert (process.returncode, report["status"]) == VERDICTS[right]


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
@pytest.mark.parametrize("is_closed", [False, True])
def test_help_that_cannot_be_written_is_an_error_without_a_traceback(
    arguments: tuple[str, ...], is_closed: bool, tmp_path: Path
) -> None:
    reader, writer = os.pipe() if is_closed else (os.open(os.devnull, os.O_RDONLY), os.open("/dev/full", os.O_WRONLY))
    os.close(reader)
    process = subprocess.run(
        [BIN / "model-gate", *arguments],
        cwd=tmp_path,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
