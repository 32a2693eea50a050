"""Runs the demo: makes two registries, runs four gates on them and verifies their reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from model_gate.access.environments import environment_for
from model_gate.demo.layout import Layout
from model_gate.demo.program import Program
from model_gate.demo.steps import Step, compare_files_at, steps_at
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError, InternalError, storage_error

_PACKAGES = ("mlflow", "scikit-learn")
_TIMEOUT_SECONDS = 300

Print = Callable[[str], None]


def run_demo(directory: Path, print_line: Print) -> None:
    """Make two registries in `directory`, run a check and three compares on them, and verify the verdicts.

    Raises:
        InputError: A package is not installed, or the directory holds files that no demo made.
        StorageError: The directory cannot be written.
        InternalError: The registries could not be made, or a gate ended with an unexpected verdict.
    """
    require_packages()
    layout = Layout(directory)
    layout.prepare()
    print_line(f"Making two MLflow registries, staging and production, in {directory} ...")
    tampered = make_registries(layout)
    run_steps(steps_at(layout, tampered), Program.find(), print_line)
    print_line(
        f"All four verdicts are right. The reports are in {layout.reports}, and the commands above can be repeated."
    )


def require_packages() -> None:
    """Raise an error if a package of the extra `demo` is missing.

    Raises:
        InputError: A package is not installed.
    """
    for package in _PACKAGES:
        try:
            version(package)
        except PackageNotFoundError as error:
            raise InputError(
                f"The demo needs the package {package}, which is not installed.",
                "Install the extra: pip install 'model-gate[demo]', or pip install '.[demo]' in a checkout.",
            ) from error


def make_registries(layout: Layout) -> Path:
    """Make the registries and the compare files. Return the path of the model file in which one byte was changed.

    A child process makes the registries, since this process never imports mlflow.

    Raises:
        InternalError: The child process failed.
        StorageError: A compare file cannot be written.
    """
    staging, production = layout.staging, layout.production
    paths = (staging.database, staging.artifacts, production.database, production.artifacts)
    command = [sys.executable, "-I", "-m", "model_gate.demo.registries", *map(str, paths)]
    # The child process must not see variables for real tracking servers.
    host = Host(HostKind.DATABASE, staging.host, staging.host)
    with tempfile.TemporaryDirectory() as home:
        environment = environment_for(host, os.environ, Path(home)) | {"GIT_PYTHON_REFRESH": "quiet"}
        completed = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    if completed.returncode != 0:
        lines = completed.stderr.strip().splitlines() or [f"exit code {completed.returncode}"]
        raise InternalError(
            f"The demo's registries could not be made: {lines[-1]}.",
            "Run `model-gate demo --verbose` to see the output of MLflow.",
            detail=completed.stderr,
        )
    try:
        for path, text in compare_files_at(layout).items():
            path.write_text(text, "utf-8")
    except OSError as error:
        raise storage_error(error, "write the demo's compare files") from error
    return _relative_to_cwd(Path(json.loads(completed.stdout)))


def _relative_to_cwd(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run_steps(steps: Sequence[Step], program: Program, print_line: Print) -> None:
    """Print and run the command of each step, and compare its verdict with the expected one.

    Raises:
        InternalError: At least one gate ended with an unexpected verdict.
    """
    mismatches = []
    for number, step in enumerate(steps, start=1):
        for line in ("", f"{number}. {step.title}", *(f"   {sentence}" for sentence in step.description), ""):
            print_line(line)
        print_line(f"$ {program.line(step.arguments)}")
        exit_code = program.run(step.arguments)
        print_line(f"(exit code {exit_code})")
        if mismatch := step.expected.mismatch(exit_code, _report(step.report)):
            mismatches.append(f"{number}. {mismatch}")
    print_line("")
    if mismatches:
        raise InternalError(f"The demo failed. {'. '.join(mismatches)}.", "This is a defect: please report it.")


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return report
