"""Run the installed commands in a subprocess with a clean environment."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.support.destinations import verified_gate
from tests.support.fork_server import shared_fork_server
from tests.support.paths import SUPPORT

BIN = Path(sys.executable).parent


def jq_directory(directory: Path) -> Path:
    """Return a new directory, in `directory`, with a program `jq` that also runs on machines without jq."""
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    program = programs / "jq"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {SUPPORT / "jq_program.py"} "$@"\n')
    program.chmod(0o755)
    return programs


def clean_environment() -> dict[str, str]:
    """Return os.environ without variables that select a tracking server or change how Python starts."""
    unwanted = ("MLFLOW_", "DATABRICKS_", "INPUT_", "GITHUB_", "PYTHON", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def run(
    *arguments: str | Path,
    program: str = "model-gate",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: tuple[str | Path, ...] = (),
    timeout: float = 120,
    is_forked: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command and wait for it.

    Args:
        arguments: Command-line arguments.
        program: Name of the installed script.
        cwd: Working directory.
        environment: Variables to add to the clean environment.
        before: Prefix command that runs the program, such as `prlimit`.
        timeout: Seconds until the command is killed.
        is_forked: Whether the command may run in a process that has already imported the libraries.

    If the command uses the recording proxy of the tests, all its requests must go to declared servers, with their
    own credentials.
    """
    variables = clean_environment() | dict(environment or {})
    texts = list(map(str, arguments))
    with verified_gate(texts, variables, cwd or Path()):
        if is_forked and not before:
            return run_forked(program, texts, cwd or Path(), variables, timeout)
        return _run_new(program, texts, cwd, variables, timeout, before)


def run_forked(
    program: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command with exactly this environment. A new interpreter runs it only if the environment requires that."""
    server = shared_fork_server(BIN)
    if not server.can_run(environment):
        return _run_new(program, arguments, cwd, environment, timeout)
    completed = server.run(program, arguments, cwd, environment, timeout)
    # As `subprocess.run` decodes.
    outputs = (
        output.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
        for output in (completed.stdout, completed.stderr)
    )
    return subprocess.CompletedProcess(completed.args, completed.returncode, *outputs)


def _run_new(
    program: str,
    arguments: Sequence[str],
    cwd: Path | None,
    environment: Mapping[str, str],
    timeout: float,
    before: tuple[str | Path, ...] = (),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, BIN / program, *arguments],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )


def await_idle(pid: int) -> None:
    """Wait until a process uses no CPU time. It has then registered every child process that it started."""
    process = psutil.Process(pid)
    cpu_times: tuple[float, ...] = ()
    while cpu_times != (cpu_times := process.cpu_times()[:2]):
        time.sleep(0.3)
