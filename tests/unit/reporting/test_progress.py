"""Progress is shown by bars on a terminal, and by lines in a log."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from pathlib import Path

import pytest

from model_gate.reporting.progress import LogProgress
from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, Call, FaultyServer
from tests.support.gates import check


def server_with_registry_copy() -> FaultyServer:
    server = FaultyServer()
    for model in ("Wine", "copies"):
        server.add(model, MODEL)
    server.downloads["Wine", "1"] = server.sources["copies", "1"]
    return server


def test_terminal_shows_progress_of_listing_and_comparison(tmp_path: Path) -> None:
    reading_end, writing_end = pty.openpty()
    with server_with_registry_copy() as server:
        process = subprocess.run(
            [BIN / "model-gate", "check", "--model", "Wine", "--version-or-stage", "1"],
            cwd=tmp_path,
            env=clean_environment() | {"MLFLOW_TRACKING_URI": server.url, "TERM": "xterm", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=writing_end,
            check=True,
        )
    os.close(writing_end)
    shown = _read_all(reading_end).decode()
    assert "compare" in shown
    assert f"/{len(MODEL)} files" in shown
    assert "EQUAL" in process.stdout.decode()
    assert "\x1b" not in process.stdout.decode()


def _read_all(descriptor: int) -> bytes:
    content = b""
    with open(descriptor, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(65536):
                content += chunk
        except OSError:
            # On Linux, reading fails when the other end of the terminal is closed.
            pass
    return content


def test_short_gate_writes_no_progress_to_a_log(tmp_path: Path) -> None:
    with server_with_registry_copy() as server:
        result = check(tmp_path, server.url, "Wine", "1")
    assert (result.status, result.stderr) == ("equal", "")


class Clock:
    """A clock that a test sets.

    Attributes:
        seconds: The time.
    """

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_log_has_the_progress_of_a_long_transfer_every_15_seconds(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with LogProgress(clock=clock) as progress:
        progress.begin(10, {"left": 40_000_000, "right": 10_000_000})
        for _ in range(5):
            clock.seconds += 5
            progress.received("left", 2_000_000)
        progress.received("right", 10_000_000)
        clock.seconds += 5
        progress.advance(3)
    assert capfd.readouterr().err.splitlines() == [
        "0 of 10 files done; left: 6.0 of 40.0 MB at 0.4 MB/s, 85 s to go; right: 0.0 of 10.0 MB at 0.0 MB/s.",
        "3 of 10 files done; left: 10.0 of 40.0 MB at 0.3 MB/s, 90 s to go; right: 10.0 of 10.0 MB at 0.3 MB/s.",
    ]


def test_log_has_the_progress_of_a_long_listing(capfd: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with LogProgress(clock=clock) as progress:
        progress.listing("left", 1_000)
        clock.seconds += 16
        progress.listing("left", 12_000)
        progress.listing("left", 13_000)
    assert capfd.readouterr().err.splitlines() == ["left: 12,000 files listed so far."]


def test_long_gate_writes_its_progress_to_a_log(tmp_path: Path) -> None:
    def serve_slowly(call: Call) -> None:
        time.sleep(16)
        call.send(call.file)

    with server_with_registry_copy() as server:
        server.faults["data/part-0"] = serve_slowly
        result = check(tmp_path, server.url, "Wine", "1")
    assert result.status == "equal"
    assert f" of {len(MODEL)} files done; " in result.stderr
    assert "files done" not in result.stdout
