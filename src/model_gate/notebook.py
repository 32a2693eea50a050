"""Runs Model Gate in a Databricks notebook: starts the command line in a subprocess, with the notebook's own login."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_gate.access.private_file import PrivateFile


@dataclass(frozen=True)
class Verdict:
    """The result of a gate in a notebook.

    Attributes:
        code: The command's exit code: 0 passed, 1 not passed, 2 error.
        report: The content of the report, empty if the command wrote none.
        text: The standard output and standard error of the command.
    """

    code: int
    report: dict[str, Any]
    text: str

    @property
    def passed(self) -> bool:
        """Whether the requirement is met."""
        return self.code == 0


def run_gate(dbutils: Any, arguments: Sequence[str], profiles: str = "") -> Verdict:
    """Run `model-gate` and return its result. The host `databricks` is the notebook's own workspace.

    Args:
        dbutils: The notebook's `dbutils`.
        arguments: The arguments of `model-gate`.
        profiles: The text of a `.databrickscfg` with the logins to other workspaces, "" for none. The text should come
            from a secret scope.
    """
    with tempfile.TemporaryDirectory(prefix="model-gate-notebook-") as directory, PrivateFile(profiles) as private_file:
        report_file = Path(directory) / "report.json"
        completed = subprocess.run(
            [sys.executable, "-I", "-m", "model_gate", *arguments, "--report-file", str(report_file)],
            env=_environment(dbutils, private_file.path),
            pass_fds=(private_file.descriptor,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        report = json.loads(report_file.read_text("utf-8")) if report_file.exists() else {}
    return Verdict(completed.returncode, report, completed.stdout)


def _environment(dbutils: Any, config_file: Path) -> Mapping[str, str]:
    """Return this process's environment without its Databricks logins and with the notebook's login."""
    context = dbutils.notebook.entry_point.getDbutils().notebook().getContext()
    others = {name: value for name, value in os.environ.items() if not name.startswith(("DATABRICKS_", "ARM_"))}
    return {
        **others,
        "DATABRICKS_HOST": context.apiUrl().get(),
        "DATABRICKS_TOKEN": context.apiToken().get(),
        "DATABRICKS_CONFIG_FILE": str(config_file),
        "MLFLOW_TRACKING_URI": "databricks",
    }
