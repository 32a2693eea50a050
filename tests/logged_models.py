"""Real models, logged by real MLflow in processes of their own: once for all tests of a worker."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import commandline

_ROOT = Path(__file__).parent.parent
_PROGRAM = _ROOT / "tests" / "explanation" / "log_models.py"
_MLFLOW_2 = _ROOT / ".venv-mlflow2" / "bin" / "python"


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


def log_all(directory: Path) -> LoggedModels:
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
        return LoggedModels(**{name: future.result() for name, future in done.items()})


def _log(directory: Path, python: str, names: tuple[str, ...]) -> Logged:
    ended = subprocess.run(
        [python, _PROGRAM, directory, *names],
        env=commandline.clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    made = json.loads(ended.stdout.splitlines()[-1])
    return Logged(made["host"], {name: Path(place) for name, place in made["models"].items()})
