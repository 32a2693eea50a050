"""A signal is deferred before a gate, is an error during a gate, and never prevents the report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commandline import clean_environment
from tests.support.reports import require_valid

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}

DEFERRED = """
import os, signal, sys
from model_gate import signals
number = int(sys.argv[1])
signals.install()
os.kill(os.getpid(), number)
os.kill(os.getpid(), signal.SIGTERM)
print("continued")
try:
    with signals.interruptible():
        print("entered")
except signals.Interrupted as interrupted:
    print(interrupted.name, interrupted.exit_code)
"""

UNINTERRUPTED = """
import os, sys
from model_gate import signals
try:
    with signals.interruptible():
        with signals.uninterrupted():
            os.kill(os.getpid(), int(sys.argv[1]))
            print("acquired")
        print("continued")
except signals.Interrupted as interrupted:
    print(interrupted.name, interrupted.exit_code)
"""

# Runs a gate that receives a signal at a given moment.
GATE = """
import os, sys
from pathlib import Path
from typing import Any
from model_gate import gate, signals
from model_gate.domain.request import DiffRequest
from model_gate.domain.roles import CommandName
from model_gate.reporting.reporter import TerminalReporter
from model_gate.runner import Command, run_command

moment, number = sys.argv[1], int(sys.argv[2])

def send(current):
    if current == moment:
        os.kill(os.getpid(), number)

class Reporter(TerminalReporter):
    def show_result(self, result):
        send("before the result")
        super().show_result(result)
        send("after the result")

def run_gate(*arguments):
    send("before the gate")
    outcome = gate.run(*arguments)
    send("after the last comparison")
    return outcome

signals.install()
send("start-up")
command = Command(CommandName.DIFF, {}, lambda: DiffRequest("left", "right"), Path("report.json"))
code = run_command(command, Reporter(), run_gate=run_gate)
print("returned", code)
sys.exit(code)
"""


def run(script: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=cwd,
        env=clean_environment() | {"TMPDIR": str(cwd / "scratch")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
def test_signal_received_before_a_gate_is_deferred_until_the_gate_starts(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = run(DEFERRED, int(number), cwd=tmp_path)
    assert process.stdout == f"continued\n{number.name} {EXIT_CODES[number]}\n", process.stderr


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
def test_signal_received_while_a_resource_is_acquired_is_raised_afterwards(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = run(UNINTERRUPTED, int(number), cwd=tmp_path)
    assert process.stdout == f"acquired\n{number.name} {EXIT_CODES[number]}\n", process.stderr


def test_signal_that_the_parent_process_ignores_is_ignored_by_the_gate(tmp_path: Path) -> None:
    script = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + DEFERRED.replace("signal.SIGTERM", "0")
    process = run(script, int(signal.SIGHUP), cwd=tmp_path)
    assert process.stdout == "continued\nentered\n", process.stderr


def run_gate(
    moment: str, number: signal.Signals, directory: Path
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Run a gate that receives a signal at `moment`. Return its process and its report.

    Check that the report is valid, and that the gate leaves no scratch file.
    """
    _make_models(directory)
    process = run(GATE, moment, int(number), cwd=directory)
    report: dict[str, Any] = json.loads((directory / "report.json").read_text("utf-8"))
    require_valid(report)
    assert list((directory / "scratch").iterdir()) == []
    return process, report


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["start-up", "before the gate", "after the last comparison"])
def test_signal_before_the_report_is_written_is_reported_as_an_error(
    moment: str, number: signal.Signals, tmp_path: Path
) -> None:
    process, report = run_gate(moment, number, tmp_path)
    assert (process.returncode, report["status"], report["error"]["type"]) == (
        EXIT_CODES[number],
        "error",
        "StoppedError",
    )


@pytest.mark.parametrize("number", EXIT_CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("moment", ["before the result", "after the result"])
def test_signal_after_the_verdict_does_not_change_the_verdict(
    moment: str, number: signal.Signals, tmp_path: Path
) -> None:
    process, report = run_gate(moment, number, tmp_path)
    assert (process.returncode, report["status"]) == (0, "equal")
    assert process.stdout.endswith("returned 0\n")


def _make_models(directory: Path) -> None:
    (directory / "scratch").mkdir()
    for name in ("left", "right"):
        (directory / name).mkdir()
        (directory / name / "MLmodel").write_text("flavors: {}\n")


TIME_LIMIT = """
import sys, time
from model_gate import signals
signals.install()
time.sleep(float(sys.argv[1]))
try:
    with signals.interruptible(), signals.time_limit(float(sys.argv[2])):
        time.sleep(float(sys.argv[3]))
        print("ended")
    time.sleep(0.3)
    with signals.interruptible():
        print("not stopped")
except signals.Interrupted as interrupted:
    print(interrupted.name, interrupted.is_timeout)
"""


@pytest.mark.parametrize(
    "before, limit, during, output",
    [
        (0, 0.3, 20, "SIGALRM True"),
        (0.5, 0.3, 20, "SIGALRM True"),
        (0, 0.3, 0, "ended\nnot stopped"),
        (0, 1e300, 0, "ended\nnot stopped"),
    ],
)
def test_time_limit_counts_from_the_start_of_the_program(
    before: float, limit: float, during: float, output: str
) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", TIME_LIMIT, str(before), str(limit), str(during)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    )
    assert completed.stdout.strip() == output
