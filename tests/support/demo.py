"""The demo, run once for all tests of a worker that look at what it leaves behind."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.support.commandline import run

# What would lead MLflow elsewhere, if the demo let it.
_TRAPS = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_RUN_ID": "0" * 32,
}


@dataclass(frozen=True)
class Demo:
    """What a run of the demo showed and left.

    Attributes:
        cwd: Where it was run.
        home: The user's home directory meanwhile.
        exit_code: Its own.
        stdout: What it printed.
        stderr: The same of standard error.
        left: What was in `cwd` and `home` afterwards.
    """

    cwd: Path
    home: Path
    exit_code: int
    stdout: str
    stderr: str
    left: tuple[list[str], list[str]]

    @property
    def directory(self) -> Path:
        """What it made."""
        return self.cwd / "model-gate-demo"

    @property
    def commands(self) -> list[list[str]]:
        """The commands that it showed."""
        return [shlex.split(line.removeprefix("$ ")) for line in self.stdout.splitlines() if line.startswith("$ ")]

    def report(self, name: str) -> Path:
        """The report that it left under this name."""
        return self.directory / "reports" / f"{name}.json"


@cache
def demo_in(root: Path) -> Demo:
    """The demo, run in a directory of its own below `root`."""
    cwd, home = Path(mkdtemp(dir=root)), Path(mkdtemp(dir=root))
    done = run("demo", cwd=cwd, environment=_TRAPS | {"HOME": str(home)}, timeout=540)
    return Demo(cwd, home, done.returncode, done.stdout, done.stderr, (os.listdir(cwd), os.listdir(home)))
