"""Progress is shown by bars on a terminal, and by lines in a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time
from pathlib import Path

import pytest

from model_gate.reporting.progress import AnnouncedProgress, LogProgress, ProgressCounts, progress_text
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


def lines_of(log: LogProgress, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return what a log writes in an interval."""
    with log:
        time.sleep(0.15)
    return capfd.readouterr().err.splitlines()


def test_log_has_the_files_and_bytes_of_a_comparison(capfd: pytest.CaptureFixture[str]) -> None:
    log = LogProgress(seconds=0.1)
    log.listing("left", 10)
    log.begin(10, {"left": 40_000_000, "right": 10_000_000})
    log.received("left", 6_000_000)
    log.received("right", 10_000_000)
    log.advance(3)
    (line,) = lines_of(log, capfd)
    rate, seconds = r"\d[\d,.]* MB/s", r"\d+ s to go"
    expected = rf"3 of 10 files done; left: 6\.0 of 40\.0 MB at {rate}, {seconds}; right: 10\.0 of 10\.0 MB at {rate}\."
    assert re.fullmatch(expected, line), line


def test_rate_in_a_log_is_that_of_the_time_since_the_last_line() -> None:
    counts = ProgressCounts(1, {"left": 10_000_000})
    counts.add_received("left", 6_000_000)
    assert progress_text(counts, {"left": 4_000_000}, 2).endswith("left: 6.0 of 10.0 MB at 1.0 MB/s, 4 s to go")
    assert progress_text(counts, {"left": 6_000_000}, 2) == "0 of 1 file done; left: 6.0 of 10.0 MB at 0.0 MB/s"


def test_log_shows_that_nothing_has_arrived_since_the_last_line(capfd: pytest.CaptureFixture[str]) -> None:
    log = LogProgress(seconds=0.1)
    log.begin(1, {"left": 10_000_000})
    log.received("left", 6_000_000)
    with log:
        time.sleep(0.35)
    first, second, *_ = capfd.readouterr().err.splitlines()
    assert "s to go" in first
    assert second == "0 of 1 file done; left: 6.0 of 10.0 MB at 0.0 MB/s."


def test_log_has_the_files_of_a_listing(capfd: pytest.CaptureFixture[str]) -> None:
    log = LogProgress(seconds=0.1)
    log.listing("left", 1_000)
    log.listing("left", 12_000)
    log.listing("right", 7)
    assert lines_of(log, capfd) == ["left: 12,000 files listed; right: 7 files listed."]


def test_log_says_that_nothing_is_listed_yet(capfd: pytest.CaptureFixture[str]) -> None:
    assert lines_of(LogProgress(seconds=0.1), capfd) == ["No files are listed yet."]


def test_log_that_nobody_reads_does_not_delay_the_end() -> None:
    reading_end, writing_end = os.pipe()
    os.set_blocking(writing_end, False)
    try:
        while True:
            os.write(writing_end, bytes(65536))
    except BlockingIOError:
        os.set_blocking(writing_end, True)
    start = time.monotonic()
    with LogProgress(writing_end, seconds=0.01):
        time.sleep(0.1)
    assert time.monotonic() - start < 5
    os.close(reading_end)
    os.close(writing_end)


def test_announced_progress_begins_with_the_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    with AnnouncedProgress(descriptor=1) as log:
        log.begin(1_234, {"left": 5_000, "right": 6_000})
    assert capfd.readouterr().out == "Comparing 1,234 pairs of files; 11,000 bytes to fetch.\n"


def test_long_gate_writes_its_progress_to_a_log(tmp_path: Path) -> None:
    def serve_slowly(call: Call) -> None:
        time.sleep(18)
        call.send(call.file)

    with server_with_registry_copy() as server:
        server.faults["data/part-0"] = serve_slowly
        result = check(tmp_path, server.url, "Wine", "1")
    assert result.status == "equal"
    assert f" of {len(MODEL)} files done; " in result.stderr
    assert "files done" not in result.stdout
