"""A gate that is stopped or loses its worker removes its files and reports an error."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from model_gate.sources.storage import SHARED_MEMORY, memory_prefix, remove_tree
from tests.support import commandline
from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, FaultyServer, never_respond, stall
from tests.support.reports import Json, require_valid

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
SECRET = "dapi-0123456789-of-the-test"
# Python runs this module at its start. It sends a signal to the program that begins to import `model_gate.cli`.
SIGNAL_DURING_IMPORT = """
import os, sys

class Sender:
    def find_spec(self, name, path=None, target=None):
        if name == "model_gate.cli":
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sender())
"""


def directories_in_memory(pid: int) -> list[Path]:
    return list(SHARED_MEMORY.glob(memory_prefix(pid) + "*"))


@dataclass(frozen=True)
class RunningGate:
    """A running gate that waits for a response of its server."""

    process: subprocess.Popen[str]
    workers: list[psutil.Process]
    directory: Path

    def wait(self) -> tuple[int, str, str, Json]:
        """Wait until the gate exits, and return its exit code, stdout, stderr and report."""
        stdout, stderr = self.process.communicate(timeout=20)
        report: Json = json.loads((self.directory / "report.json").read_text())
        require_valid(report)
        assert list((self.directory / "scratch").iterdir()) == []
        assert directories_in_memory(self.process.pid) == []
        _, alive = psutil.wait_procs(self.workers, timeout=5)
        assert alive == []
        return self.process.returncode, stdout, stderr, report


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def _running(
    directory: Path, operation: str, arguments: tuple[str, ...] = (), **variables: str
) -> Iterator[RunningGate]:
    """Start a check on a server that does not respond to the requests of `operation`.

    Args:
        directory: Directory of the report and of the scratch files.
        operation: Part of the path of the requests.
        arguments: Arguments of `model-gate`; by default those of a check.
        variables: Variables to add to the environment.
    """
    (directory / "scratch").mkdir()
    with FaultyServer(faults={operation: stall if operation == "/model.pkl" else never_respond}) as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL)
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        report = str(directory / "report.json")
        command = ["check", "--model", "Wine", "--version-or-stage", "1", "--report-file", report]
        process = subprocess.Popen(
            [BIN / "model-gate", *(arguments or command)],
            cwd=directory,
            env=clean_environment()
            | {"MLFLOW_TRACKING_URI": server.url, "TMPDIR": str(directory / "scratch")}
            | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _wait_until(lambda: any(operation in request.path for request in server.requests))
            if operation == "/model.pkl":
                _wait_until(lambda: any(any(directory.iterdir()) for directory in directories_in_memory(process.pid)))
            workers = psutil.Process(process.pid).children(recursive=True)
            assert len(workers) == 1
            yield RunningGate(process, workers, directory)
        finally:
            process.kill()
            process.communicate()
            # A gate that was killed cannot remove its directories in memory.
            for memory_directory in directories_in_memory(process.pid):
                remove_tree(memory_directory)


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("operation", ["/model.pkl", "registered-models/get"])
def test_stopped_gate_reports_an_error_and_leaves_no_files(
    tmp_path: Path, number: signal.Signals, operation: str
) -> None:
    with _running(tmp_path, operation) as gate:
        # A terminal sends the signal to the whole process group.
        os.killpg(gate.process.pid, number)
        stopped = time.monotonic()
        exit_code, stdout, stderr, report = gate.wait()
        assert time.monotonic() - stopped < 10
    assert (exit_code, stdout) == (EXIT_CODES[number], "")
    expected = f"error: The gate was stopped by {number.name} before it could decide.\n  Run it again.\n  Not decided: "
    assert stderr.startswith(expected)
    assert (report["status"], report["error"]["type"], report["passed"]) == ("error", "StoppedError", False)


def test_killed_worker_is_an_error(tmp_path: Path) -> None:
    with _running(tmp_path, "/model.pkl") as gate:
        gate.workers[0].kill()
        exit_code, stdout, stderr, report = gate.wait()
    assert (exit_code, stdout, report["status"]) == (2, "", "error")
    assert "ended unexpectedly (exit code -9)" in stderr
    assert "Traceback" not in stderr


def test_worker_exits_when_its_gate_is_killed(tmp_path: Path) -> None:
    with _running(tmp_path, "/model.pkl") as gate:
        gate.process.kill()
        _, alive = psutil.wait_procs(gate.workers, timeout=10)
        assert alive == []


def run_with_signal_during_import(
    directory: Path, number: signal.Signals, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `model-gate`, which gets a signal while it imports its modules."""
    for name in ("scratch", "hook"):
        (directory / name).mkdir()
    (directory / "hook" / "sitecustomize.py").write_text(SIGNAL_DURING_IMPORT.format(number=int(number)))
    environment = {"PYTHONPATH": str(directory / "hook"), "TMPDIR": str(directory / "scratch"), **variables}
    completed = commandline.run(*arguments, cwd=directory, environment=environment, timeout=60)
    assert list((directory / "scratch").iterdir()) == []
    assert "Traceback" not in completed.stderr
    return completed


def make_models(directory: Path) -> None:
    for name in ("left", "right"):
        (directory / name).mkdir()
        (directory / name / "MLmodel").write_text("flavors: {}\n")


@pytest.mark.parametrize("number", [*EXIT_CODES, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_while_the_program_imports_its_modules_is_reported_as_an_error(
    number: signal.Signals, tmp_path: Path
) -> None:
    make_models(tmp_path)
    completed = run_with_signal_during_import(tmp_path, number, "diff", "left", "right")
    assert (completed.returncode, completed.stdout) == (128 + number, "")
    report = json.loads((tmp_path / "model-gate-report.json").read_text())
    require_valid(report)
    assert (report["status"], report["error"]["type"], report["passed"]) == ("error", "StoppedError", False)


def outputs_in(file: Path) -> dict[str, str]:
    """Return the outputs of a step. The last value of each output is valid, as for a runner."""
    return {name: value for name, _, value in re.findall(r"(?m)^([\w-]+)<<(.+)\n(.*)\n\2$", file.read_text())}


def test_step_that_is_stopped_while_it_imports_its_modules_has_outputs_of_an_error(tmp_path: Path) -> None:
    inputs = {"INPUT_COMMAND": "check", "INPUT_HOST": "http://127.0.0.1:9", "INPUT_MODEL": "Wine"}
    variables = {**inputs, "INPUT_VERSION-OR-STAGE": "1", "GITHUB_OUTPUT": str(tmp_path / "outputs")}
    completed = run_with_signal_during_import(tmp_path, signal.SIGTERM, "action", **variables)
    assert completed.returncode == EXIT_CODES[signal.SIGTERM], completed
    outputs = outputs_in(tmp_path / "outputs")
    assert (outputs["status"], outputs["passed"], outputs["equals"]) == ("error", "false", "")


def files_with(text: str, directory: Path) -> list[Path]:
    """Return the readable files below a directory that contain a text. Other programs may remove files meanwhile."""
    found = []
    for path in directory.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and text.encode() in path.read_bytes():
                found.append(path)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_stopped_step_has_outputs_of_an_error_and_leaves_no_secret_in_a_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    inputs = {
        "INPUT_COMMAND": "check",
        "INPUT_MODEL": "Wine",
        "INPUT_VERSION-OR-STAGE": "1",
        "INPUT_DATABRICKS-PROFILES": f"[prod]\nhost = https://dbc.example.com\ntoken = {SECRET}\n",
        "GITHUB_OUTPUT": str(tmp_path / "outputs"),
    }
    with _running(tmp_path, "registered-models/get", ("action",), **inputs) as gate:
        gate.process.send_signal(number)
        gate.process.communicate(timeout=20)
        exit_code = gate.process.returncode
    assert exit_code == (-signal.SIGKILL if number == signal.SIGKILL else EXIT_CODES[number])
    outputs = outputs_in(tmp_path / "outputs")
    assert (outputs["status"], outputs["passed"], outputs["equals"]) == ("error", "false", "")
    assert files_with(SECRET, tmp_path) + files_with(SECRET, SHARED_MEMORY) == []
