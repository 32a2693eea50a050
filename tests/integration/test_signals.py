"""A gate that is stopped or loses its worker removes its files and reports an error."""

from __future__ import annotations

import json
import os
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
from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, FaultyServer, never_respond, stall
from tests.support.reports import Json, require_valid

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


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
def _running(directory: Path, operation: str) -> Iterator[RunningGate]:
    """Start a check on a server that does not respond to the requests of `operation`."""
    (directory / "scratch").mkdir()
    with FaultyServer(faults={operation: stall if operation == "/model.pkl" else never_respond}) as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL)
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        report = str(directory / "report.json")
        command = ["check", "--model", "Wine", "--version-or-stage", "1", "--report-file", report]
        process = subprocess.Popen(
            [BIN / "model-gate", *command],
            env=clean_environment() | {"MLFLOW_TRACKING_URI": server.url, "TMPDIR": str(directory / "scratch")},
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
    assert stderr == f"error: The gate was stopped by {number.name} before it could decide.\n  Run it again.\n"
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
