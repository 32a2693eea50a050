"""A tracking server that only names the locations of its artifacts, which are in an object store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import await_health, environment, free_port


@contextmanager
def unproxied_server(directory: Path, root: str) -> Iterator[str]:
    """Run `mlflow server` with the artifact root `root`, and return its URL.

    The server gets no login to the store. Its database and its log are in `directory`.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db"]
    command += ["--no-serve-artifacts", "--default-artifact-root", root]
    with (directory / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A server runs several processes; the process group stops them together.
            start_new_session=True,
        )
    try:
        await_health(process, url)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
