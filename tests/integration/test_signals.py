"""A gate that is stopped, or whose processes die, puts everything away and never leaves a verdict."""

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
from tests.support.faulty_server import MODEL, FaultyServer, never, stuck
from tests.support.reports import Json, require_valid

EXITS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def directories_in_memory(pid: int) -> list[Path]:
    return list(SHARED_MEMORY.glob(memory_prefix(pid) + "*"))


@dataclass(frozen=True)
class Running:
    """A gate in the middle of what it does."""

    process: subprocess.Popen[str]
    sides: list[psutil.Process]
    directory: Path

    def end(self) -> tuple[int, str, str, Json]:
        """Wait for its end: exit code, output, errors and report."""
        stdout, stderr = self.process.communicate(timeout=20)
        report: Json = json.loads((self.directory / "report.json").read_text())
        require_valid(report)
        assert list((self.directory / "scratch").iterdir()) == []
        assert directories_in_memory(self.process.pid) == []
        _, alive = psutil.wait_procs(self.sides, timeout=5)
        assert alive == []
        return self.process.returncode, stdout, stderr, report


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def _running(directory: Path, operation: str) -> Iterator[Running]:
    """A check, started, and waiting for an answer to `operation`."""
    (directory / "scratch").mkdir()
    with FaultyServer(faults={operation: stuck if operation == "/model.pkl" else never}) as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL)
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        asked = ["check", "--model", "Wine", "--version-or-stage", "1", "--report-file", str(directory / "report.json")]
        process = subprocess.Popen(
            [BIN / "model-gate", *asked],
            env=clean_environment() | {"MLFLOW_TRACKING_URI": server.url, "TMPDIR": str(directory / "scratch")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            _wait_until(lambda: any(operation in asked.path for asked in server.asked))
            if operation == "/model.pkl":
                _wait_until(lambda: any(any(made.iterdir()) for made in directories_in_memory(process.pid)))
            sides = psutil.Process(process.pid).children(recursive=True)
            assert len(sides) == 1
            yield Running(process, sides, directory)
        finally:
            process.kill()
            process.communicate()
            # Of one that was killed: it could not remove them.
            for made in directories_in_memory(process.pid):
                remove_tree(made)


@pytest.mark.parametrize("number", EXITS, ids=lambda number: number.name)
@pytest.mark.parametrize("operation", ["/model.pkl", "registered-models/get"])
def test_a_stopped_gate_leaves_an_error_and_nothing_else(
    tmp_path: Path, number: signal.Signals, operation: str
) -> None:
    with _running(tmp_path, operation) as gate:
        # As a terminal sends it: to the whole group.
        os.killpg(gate.process.pid, number)
        stopped = time.monotonic()
        exit_code, stdout, stderr, report = gate.end()
        assert time.monotonic() - stopped < 10
    assert (exit_code, stdout) == (EXITS[number], "")
    assert stderr == f"error: The gate was stopped by {number.name} before it could decide.\n  Run it again.\n"
    assert (report["status"], report["error"]["type"], report["passed"]) == ("error", "StoppedError", False)


def test_a_side_that_dies_in_the_middle_is_an_error(tmp_path: Path) -> None:
    with _running(tmp_path, "/model.pkl") as gate:
        gate.sides[0].kill()
        exit_code, stdout, stderr, report = gate.end()
    assert (exit_code, stdout, report["status"]) == (2, "", "error")
    assert "ended unexpectedly (exit code -9)" in stderr
    assert "Traceback" not in stderr


def test_a_side_does_not_outlive_a_gate_that_is_killed(tmp_path: Path) -> None:
    with _running(tmp_path, "/model.pkl") as gate:
        gate.process.kill()
        _, alive = psutil.wait_procs(gate.sides, timeout=10)
        assert alive == []
