"""A private file is readable while it is open, and no process can leave it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_gate.access.private_file import PrivateFile
from tests.support.commandline import clean_environment

SECRET = "s3cret-w0rd-of-a-private-file"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the test looks for files there
# Writes a secret to a private file, then ends without cleanup.
PROGRAM = f"""
import os, signal
from model_gate.access.private_file import PrivateFile
with PrivateFile("{SECRET}") as file:
    assert file.path.read_text() == "{SECRET}\\n"
    print("written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_private_file_has_its_text_and_is_closed_at_the_end() -> None:
    with PrivateFile(SECRET) as file:
        assert file.path.read_text("utf-8") == f"{SECRET}\n"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file.descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has files without a name")
def test_killed_process_leaves_no_private_file(tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=clean_environment() | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (completed.returncode, completed.stdout) == (-signal.SIGKILL, "written\n"), completed.stderr
    assert list(tmp_path.iterdir()) == []
    assert [path for path in SHARED_MEMORY.glob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []
