"""Real models, logged by real MLflow in processes of their own: once for all tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import commandline
from tests.support.paths import ROOT, SUPPORT

_PROGRAM = SUPPORT / "log_models.py"
_MLFLOW_2 = ROOT / ".venv-mlflow2" / "bin" / "python"


@dataclass(frozen=True)
class Logged:
    """What one process logged.

    Attributes:
        host: Its tracking server, a database.
        models: The directory of each model, by its name.
    """

    host: str
    models: dict[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.models[name]


@dataclass(frozen=True)
class LoggedModels:
    """The same models, logged by several processes."""

    first: Logged
    second: Logged
    mlflow_2: Logged
    mlflow_2_again: Logged


def shared(scratch: Path) -> LoggedModels:
    """The models of this run of the tests; `scratch` is this worker's temporary directory."""
    # Workers have theirs side by side.
    directory = (scratch.parent if "PYTEST_XDIST_WORKER" in os.environ else scratch) / "logged"
    made = directory / "made.json"
    try:
        directory.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 280
        while not made.exists():
            assert time.monotonic() < deadline, "the other worker did not log its models"
            time.sleep(0.1)
    else:
        partial = directory / "made.partial"
        partial.write_text(json.dumps(log_all(directory)))
        partial.rename(made)
    answers = json.loads(made.read_text())
    return LoggedModels(
        **{
            name: Logged(answer["host"], {each: Path(place) for each, place in answer["models"].items()})
            for name, answer in answers.items()
        }
    )


def log_all(directory: Path) -> dict[str, Any]:
    """Log models: two processes with MLflow 3, since a process has its objects at the same addresses; two with 2."""
    both = ("default", "cloudpickle", "rule")
    jobs = {
        "first": (sys.executable, (*both, "retrained", "retrained_cloudpickle", "changed_rule")),
        "second": (sys.executable, both),
        "mlflow_2": (str(_MLFLOW_2), ("cloudpickle",)),
        "mlflow_2_again": (str(_MLFLOW_2), ("cloudpickle",)),
    }
    with ThreadPoolExecutor(len(jobs)) as pool:
        done = {name: pool.submit(_log, directory / name, *job) for name, job in jobs.items()}
        return {name: future.result() for name, future in done.items()}


def _log(directory: Path, python: str, names: tuple[str, ...]) -> Any:
    ended = subprocess.run(
        [python, _PROGRAM, directory, *names],
        env=commandline.clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])
