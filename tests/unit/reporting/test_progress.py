"""Progress is shown only on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, FaultyServer
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


def test_no_progress_is_written_if_the_output_is_no_terminal(tmp_path: Path) -> None:
    with server_with_registry_copy() as server:
        result = check(tmp_path, server.url, "Wine", "1")
    assert (result.status, result.stderr) == ("equal", "")
