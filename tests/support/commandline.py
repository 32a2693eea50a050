"""The command line as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

BIN = Path(sys.executable).parent


def clean_environment() -> dict[str, str]:
    """This environment without what would point the command at a tracking server, or slow its start."""
    unwanted = ("MLFLOW_", "DATABRICKS_", "INPUT_", "GITHUB_", "PYTHON", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def run(
    *arguments: str | Path,
    program: str = "model-gate",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: tuple[str | Path, ...] = (),
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run it to its end. `before` is a command that runs it in turn; `environment` is added to a clean one."""
    return subprocess.run(
        [*before, BIN / program, *arguments],
        cwd=cwd,
        env=clean_environment() | dict(environment or {}),
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )


def await_idle(pid: int) -> None:
    """Wait until a process does nothing: before that, it may know nothing yet of another that it has just begun."""
    process = psutil.Process(pid)
    spent: tuple[float, ...] = ()
    while spent != (spent := process.cpu_times()[:2]):
        time.sleep(0.3)
