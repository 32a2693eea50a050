"""Runs the demo once for all tests of a pytest-xdist worker."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.support.commandline import run

# These variables would redirect MLflow to other servers if the demo passed them on.
_TRAPS = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_RUN_ID": "0" * 32,
}


@dataclass(frozen=True)
class Demo:
    """A completed run of the demo.

    Attributes:
        cwd: Its working directory.
        home: Its HOME directory.
        exit_code: Its exit code.
        stdout: Its standard output.
        stderr: Its standard error.
        left: The names of the files in `cwd` and in `home` after the run.
    """

    cwd: Path
    home: Path
    exit_code: int
    stdout: str
    stderr: str
    left: tuple[list[str], list[str]]

    @property
    def directory(self) -> Path:
        """The directory with the registries and the reports."""
        return self.cwd / "model-gate-demo"

    @property
    def commands(self) -> list[list[str]]:
        """The commands that the demo printed, each as a list of arguments."""
        return [shlex.split(line.removeprefix("$ ")) for line in self.stdout.splitlines() if line.startswith("$ ")]

    def report(self, name: str) -> Path:
        """Return the path of the report that the demo's step `name` wrote."""
        return self.directory / "reports" / f"{name}.json"


@cache
def demo_in(root: Path) -> Demo:
    """Run the demo in a new directory below `root`."""
    cwd, home = Path(mkdtemp(dir=root)), Path(mkdtemp(dir=root))
    completed = run("demo", cwd=cwd, environment=_TRAPS | {"HOME": str(home)}, timeout=540)
    return Demo(
        cwd, home, completed.returncode, completed.stdout, completed.stderr, (os.listdir(cwd), os.listdir(home))
    )
