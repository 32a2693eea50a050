"""The step's outputs: the one place that knows their names and how they are written."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from model_gate.domain.result import Outcome
from model_gate.domain.roles import ComparisonName
from model_gate.domain.verdict import Status
from model_gate.errors import storage_error

OUTPUTS = (
    "status",
    "equals",
    "equivalent",
    "passed",
    "run-model-equals",
    "reg-model-equals",
    "differences",
    "report-file",
)

# What stands until there is a verdict: a step that is killed has not passed. The last value that is written counts.
UNDECIDED = dict.fromkeys(OUTPUTS, "") | {"status": str(Status.ERROR), "passed": "false"}


def outputs_of(outcome: Outcome, report_file: str) -> dict[str, str]:
    """The outputs of a step that ended like this; a value is "" where there is nothing to say."""
    sides = outcome.comparisons
    run, reg = ComparisonName.RUN_MODELS, ComparisonName.REG_MODELS
    is_decided = outcome.status is not Status.ERROR
    return {
        "status": str(outcome.status),
        "equals": _truth(outcome.equals),
        "equivalent": _truth(outcome.equivalent),
        "passed": _truth(outcome.passed),
        "run-model-equals": _truth(sides[run].equals if run in sides else None),
        "reg-model-equals": _truth(sides[reg].equals if reg in sides else None),
        "differences": str(outcome.difference_count) if is_decided else "",
        "report-file": report_file,
    }


def _truth(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def write_outputs(outputs: Mapping[str, str], file: Path) -> None:
    """Append the outputs to the runner's file.

    Raises:
        StorageError: It cannot be written.
    """
    text = "".join(_entry(name, value) for name, value in outputs.items())
    try:
        with file.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError as error:
        raise storage_error(error, f"write the step's outputs to {file}") from error


def _entry(name: str, value: str) -> str:
    # Drawn anew for each value, so that no value can hold it.
    delimiter = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
