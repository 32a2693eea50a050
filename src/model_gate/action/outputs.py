"""The step's outputs: their names, their values and the runner's file format."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

from model_gate.domain.result import Outcome
from model_gate.domain.roles import ComparisonName
from model_gate.domain.verdict import Status
from model_gate.errors import storage_error
from model_gate.regular_files import open_for_output

OUTPUTS = (
    "status",
    "equals",
    "equivalent",
    "passed",
    "run-model-equals",
    "reg-model-equals",
    "same-location",
    "differences",
    "report-file",
    "seal-file",
    "seal-digest",
    "statement-file",
    "subject-digest",
)

# Written before the gate runs, so that a killed step does not count as passed. The runner uses the last value of each
# output.
UNDECIDED = dict.fromkeys(OUTPUTS, "") | {"status": str(Status.ERROR), "passed": "false"}


def outputs_of(
    outcome: Outcome, report_file: str, statement_file: str = "", subject_digest: str = ""
) -> dict[str, str]:
    """Return the outputs of a finished step by name. A value that does not apply is ""."""
    is_decided = outcome.equals is not None
    return {
        "status": str(outcome.status),
        "equals": _truth(outcome.equals),
        "equivalent": _truth(outcome.equivalent),
        "passed": _truth(outcome.passed),
        "run-model-equals": _equals(outcome, ComparisonName.RUN_MODELS),
        "reg-model-equals": _equals(outcome, ComparisonName.REG_MODELS),
        "same-location": _truth(outcome.has_same_location) if is_decided else "",
        "differences": str(outcome.difference_count) if is_decided else "",
        "report-file": report_file,
        "statement-file": statement_file,
        "subject-digest": subject_digest,
        "seal-file": "" if outcome.seal is None else outcome.seal.file,
        "seal-digest": "" if outcome.seal is None else outcome.seal.statement.root,
    }


def _equals(outcome: Outcome, name: str) -> str:
    comparison = outcome.comparisons.get(name)
    return "" if comparison is None else _truth(comparison.equals)


def _truth(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def write_outputs(outputs: Mapping[str, str], file: Path) -> None:
    """Append the outputs to the file that the runner reads after the step.

    Raises:
        StorageError: The file cannot be written.
    """
    text = "".join(_entry(name, value) for name, value in outputs.items())
    try:
        with open(file, "a", encoding="utf-8", errors="backslashreplace", opener=open_for_output) as stream:
            stream.write(text)
    except OSError as error:
        raise storage_error(error, f"write the step's outputs to {file}") from error


def _entry(name: str, value: str) -> str:
    # A random delimiter cannot occur in the value.
    delimiter = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
