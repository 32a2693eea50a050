"""Models that MLflow logs in separate processes, once per test run."""

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
    """The models that one process logged.

    Attributes:
        host: URI of its tracking server, a database.
        models: Directory of each model, by name.
    """

    host: str
    models: dict[str, Path]

    def __getitem__(self, name: str) -> Path:
        return self.models[name]


@dataclass(frozen=True)
class LoggedModels:
    """The same models, logged by two processes with MLflow 3 and by two processes with MLflow 2."""

    first: Logged
    second: Logged
    mlflow_2: Logged
    mlflow_2_again: Logged


def shared(scratch: Path) -> LoggedModels:
    """Return the models of this test run. The first caller logs them, while callers in other processes wait.

    Args:
        scratch: Base temporary directory of this pytest process.
    """
    # With pytest-xdist, the base temporary directories of all processes have the same parent.
    directory = (scratch.parent if "PYTEST_XDIST_WORKER" in os.environ else scratch) / "logged"
    result_file = directory / "models.json"
    try:
        directory.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 280
        while not result_file.exists():
            assert time.monotonic() < deadline, "the other process did not log its models"
            time.sleep(0.1)
    else:
        # The rename makes the complete result visible at once.
        partial = directory / "models.partial"
        partial.write_text(json.dumps(_log_all(directory)))
        partial.rename(result_file)
    results = json.loads(result_file.read_text())
    return LoggedModels(
        **{
            name: Logged(result["host"], {model: Path(path) for model, path in result["models"].items()})
            for name, result in results.items()
        }
    )


def _log_all(directory: Path) -> dict[str, Any]:
    """Log the models in two processes for each version of MLflow, so that memory addresses in the files differ."""
    common = ("default", "cloudpickle", "rule")
    jobs = {
        "first": (sys.executable, (*common, "retrained", "retrained_cloudpickle", "changed_rule")),
        "second": (sys.executable, common),
        "mlflow_2": (str(_MLFLOW_2), ("cloudpickle",)),
        "mlflow_2_again": (str(_MLFLOW_2), ("cloudpickle",)),
    }
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = {name: pool.submit(_log, directory / name, *job) for name, job in jobs.items()}
        return {name: future.result() for name, future in futures.items()}


def _log(directory: Path, python: str, names: tuple[str, ...]) -> Any:
    process = subprocess.run(
        [python, _PROGRAM, directory, *names],
        env=commandline.clean_environment() | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])
