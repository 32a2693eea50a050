"""Facts about the running program that the report records."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from model_gate import __version__


@dataclass(frozen=True)
class SystemFacts:
    """Versions and time, as the report writes them.

    Attributes:
        model_gate_version: Version of Model Gate.
        mlflow_version: Version of the installed MLflow; None if MLflow is not installed.
        python_version: Version of Python.
        utc_time: Time of the report in UTC, as ISO 8601 with seconds.
    """

    model_gate_version: str
    mlflow_version: str | None
    python_version: str
    utc_time: str


def system_facts() -> SystemFacts:
    """Return the versions that this process uses, and the current time."""
    return SystemFacts(
        __version__, _mlflow_version(), platform.python_version(), datetime.now(UTC).isoformat(timespec="seconds")
    )


def _mlflow_version() -> str | None:
    # Read from the package metadata, because importing mlflow takes longer than most gates.
    try:
        return version("mlflow-skinny")
    except PackageNotFoundError:
        return None
