"""Progress is for a person at a terminal, and for nobody else."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.support.commandline import BIN, clean_environment
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import check


def _copies() -> FaultyServer:
    server = FaultyServer()
    for model in ("Wine", "copies"):
        server.add(model, MODEL)
    server.downloads["Wine", "1"] = server.sources["copies", "1"]
    return server


def test_a_terminal_shows_what_is_listed_and_fetched(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with _copies() as server:
        ended = subprocess.run(
            [BIN / "model-gate", "check", "--model", "Wine", "--version-or-stage", "1"],
            cwd=tmp_path,
            env=clean_environment() | {"MLFLOW_TRACKING_URI": server.url, "TERM": "xterm", "COLUMNS": "120"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            check=True,
        )
    os.close(theirs)
    shown = _read_all(ours).decode()
    assert "compare" in shown
    assert f"/{len(MODEL)} files" in shown
    assert "EQUAL" in ended.stdout.decode()
    assert "\x1b" not in ended.stdout.decode()


def _read_all(descriptor: int) -> bytes:
    content = b""
    with open(descriptor, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(65536):
                content += chunk
        except OSError:
            # How Linux tells that the other end is closed.
            pass
    return content


def test_without_a_terminal_there_is_none(tmp_path: Path) -> None:
    with _copies() as server:
        ran = check(tmp_path, server.url, "Wine", "1")
    assert (ran.status, ran.stderr) == ("equal", "")
