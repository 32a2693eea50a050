"""The progress of a run: a line for each gate in a log, and a bar on a terminal."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from model_gate.reporting.run_progress import RunLog, progress_line, run_progress
from tests.support.action_outcomes import check, comparison, difference
from tests.support.rows import gate, row

DIFFERENT = row(check(comparison(difference("model.pkl"))), gate("churn"))


def test_line_of_a_gate_has_its_number_its_result_and_its_time() -> None:
    line = progress_line(DIFFERENT, 3, 500)
    assert line.startswith("[  3/500] different: churn: Wine: mlflow.example.com v1, run model ≠ registry model: the w")
    assert line.endswith(", 1.2 s")


def test_log_has_one_line_for_each_gate_of_several_threads(capfd: pytest.CaptureFixture[str]) -> None:
    log = RunLog()
    log.begin(8)
    threads = [threading.Thread(target=log.end, args=(DIFFERENT,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capfd.readouterr().out.splitlines()
    assert [line[:5] for line in lines] == [f"[{number}/8]" for number in range(1, 9)]


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


def run_two_of_three_gates() -> None:
    with run_progress() as progress:
        progress.begin(3)
        for _ in range(2):
            progress.end(DIFFERENT)


def test_terminal_shows_a_bar_and_the_gates_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", terminal)
    run_two_of_three_gates()
    shown = terminal.getvalue()
    assert shown.count("different: churn") == 2
    assert "2/3 gates, 2 failed" in shown


def test_standard_error_that_is_no_terminal_gets_lines(capfd: pytest.CaptureFixture[str]) -> None:
    run_two_of_three_gates()
    shown = capfd.readouterr()
    assert [line[:17] for line in shown.err.splitlines()] == ["[1/3] different: ", "[2/3] different: "]
    assert "\x1b" not in shown.err
    assert shown.out == ""
