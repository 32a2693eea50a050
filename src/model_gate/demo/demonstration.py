"""The demo from beginning to end: makes the registries, runs four gates on them, and holds the reports to account."""

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
_PATIENCE = 300

Say = Callable[[str], None]


def run_demo(directory: Path, say: Say) -> None:
    """Show a check and three compares on two registries made in `directory`.

    Raises:
        InputError: A package that it needs is not installed, or the directory holds something else.
        StorageError: The directory cannot be written.
        InternalError: The registries could not be made, or a verdict is not what it must be.
    """
    require_packages()
    place = Layout(directory)
    place.prepare()
    say(f"Making two MLflow registries, staging and production, in {directory} ...")
    tampered = make_registries(place)
    show(steps_at(place, tampered), Program.found(), say)
    say(f"All four verdicts are right. The reports are in {place.reports}, and the commands above can be repeated.")


def require_packages() -> None:
    """Refuse to begin without what the extra `demo` brings.

    Raises:
        InputError: A package is not installed.
    """
    for package in _PACKAGES:
        try:
            version(package)
        except PackageNotFoundError as error:
            raise InputError(
                f"The demo needs the package {package}, which is not installed.",
                "Install what it needs: pip install 'model-gate[demo]', or pip install '.[demo]' in a checkout.",
            ) from error


def make_registries(place: Layout) -> Path:
    """Make them in another process, since this one never imports mlflow; returns the file of which a byte was changed.

    Raises:
        InternalError: It failed.
        StorageError: A compare file cannot be written.
    """
    staging, production = place.staging, place.production
    paths = (staging.database, staging.artifacts, production.database, production.artifacts)
    command = [sys.executable, "-I", "-m", "model_gate.demo.registries", *map(str, paths)]
    # What is set for real tracking servers must not reach these.
    host = Host(HostKind.DATABASE, staging.host, staging.host)
    with tempfile.TemporaryDirectory() as home:
        environment = environment_for(host, os.environ, Path(home)) | {"GIT_PYTHON_REFRESH": "quiet"}
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    if made.returncode != 0:
        lines = made.stderr.strip().splitlines() or [f"exit code {made.returncode}"]
        raise InternalError(
            f"The demo's registries could not be made: {lines[-1]}.",
            "Run `model-gate demo --verbose` for what MLflow said.",
            detail=made.stderr,
        )
    try:
        for path, text in compare_files_at(place).items():
            path.write_text(text, "utf-8")
    except OSError as error:
        raise storage_error(error, "write the demo's compare files") from error
    return _from_here(Path(json.loads(made.stdout)))


def _from_here(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def show(steps: Sequence[Step], program: Program, say: Say) -> None:
    """Run the steps, each command told before its outcome.

    Raises:
        InternalError: A verdict is not what it must be.
    """
    faults = []
    for number, step in enumerate(steps, start=1):
        for line in ("", f"{number}. {step.title}", *(f"   {sentence}" for sentence in step.story), ""):
            say(line)
        say(f"$ {program.line(step.arguments)}")
        exit_code = program.run(step.arguments)
        say(f"(exit code {exit_code})")
        if fault := step.expected.fault(exit_code, _report(step.report)):
            faults.append(f"{number}. {fault}")
    say("")
    if faults:
        raise InternalError(f"The demo went wrong. {'. '.join(faults)}.", "This is a defect: please report it.")


def _report(path: Path) -> dict[str, Any]:
    try:
        report: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return report
