"""The step's outputs: their names, their values and the runner's file format."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model_gate.access.redaction import Redactor
from model_gate.domain.request import CompareRequest
from model_gate.domain.result import Outcome
from model_gate.domain.roles import ComparisonName, VersionRole
from model_gate.domain.verdict import Status
from model_gate.domain.wording import plain_text, printable
from model_gate.errors import storage_error
from model_gate.regular_files import open_for_output
from model_gate.reporting.phrases import named_paths

# Outputs about the versions and the compared models.
_VERSION_OUTPUTS = (
    "model",
    "model-1",
    "model-2",
    "version",
    "version-1",
    "version-2",
    "digest-1",
    "digest-2",
    "run-1",
    "run-2",
)
OUTPUTS = (
    "status",
    "equals",
    "equivalent",
    "passed",
    *_VERSION_OUTPUTS,
    "run-model-equals",
    "reg-model-equals",
    "same-location",
    "not-compared",
    "differences",
    "report-file",
    "summary-file",
    "seal-file",
    "seal-digest",
    "statement-file",
    "subject-digest",
    "gates",
    "gates-truncated",
    "matrix",
    "plan-file",
)

# The outputs with the number and the run of a version, by the role of the version.
_NUMBER_AND_RUN = {
    VersionRole.MODEL_VERSION: ("version", "run-1"),
    VersionRole.TRACKING_SERVER_1: ("version-1", "run-1"),
    VersionRole.TRACKING_SERVER_2: ("version-2", "run-2"),
}
# The output with the name of the model, for the two versions of a compare.
_MODEL = {VersionRole.TRACKING_SERVER_1: "model-1", VersionRole.TRACKING_SERVER_2: "model-2"}

# Written before the gate runs, so that a killed step does not count as passed. The runner uses the last value of each
# output.
UNDECIDED = dict.fromkeys(OUTPUTS, "") | {"status": str(Status.ERROR), "passed": "false"}


@dataclass(frozen=True)
class WrittenFiles:
    """The paths of the files that a step wrote, "" for a file that it did not write."""

    report: str = ""
    summary: str = ""
    seal: str = ""
    statement: str = ""


def outputs_of(outcome: Outcome, written: WrittenFiles, redactor: Redactor, subject_digest: str = "") -> dict[str, str]:
    """Return the outputs of a finished step by name. A value that does not apply is "".

    Only texts that a server chooses are redacted, so that a secret such as `true` does not change a verdict.
    """
    is_decided = outcome.equals is not None
    return dict.fromkeys(OUTPUTS, "") | {
        "status": str(outcome.status),
        "equals": truth(outcome.equals),
        "equivalent": truth(outcome.equivalent),
        "passed": truth(outcome.passed),
        **({name: harmless(redactor.text(value)) for name, value in _versions(outcome).items()}),
        **(_digests(outcome) if is_decided else {}),
        "run-model-equals": _equals(outcome, ComparisonName.RUN_MODELS),
        "reg-model-equals": _equals(outcome, ComparisonName.REG_MODELS),
        "same-location": truth(outcome.has_same_location) if is_decided else "",
        "not-compared": harmless(redactor.text(named_paths(outcome.not_compared))),
        "differences": str(outcome.difference_count) if is_decided else "",
        "report-file": harmless(written.report),
        "seal-file": harmless(written.seal),
        "seal-digest": "" if outcome.seal is None else outcome.seal.statement.root,
        "summary-file": harmless(written.summary),
        "statement-file": harmless(written.statement),
        "subject-digest": subject_digest,
    }


def harmless(text: str) -> str:
    """Return a text on one line and without commands to the runner, since a later step may print it."""
    return plain_text(printable(text))


def _versions(outcome: Outcome) -> dict[str, str]:
    """Return the names of the models, the numbers of the versions and their runs; empty after an error.

    They are of the versions that were compared or sealed, so a later job need not resolve an alias again. A seal that
    stands for a version has no number here: what it says about itself is not known to be true.
    """
    if outcome.status is Status.ERROR:
        return {}
    versions = {role: outcome.versions[role] for role in outcome.requested_versions if role in outcome.versions}
    names = {version.name for version in versions.values()}
    if isinstance(outcome.request, CompareRequest) and outcome.request.seal is not None:
        names.add(outcome.request.seal.model_name)
    values = {"model": names.pop() if len(names) == 1 else ""}
    for role, version in versions.items():
        number, run = _NUMBER_AND_RUN[VersionRole(role)]
        values |= {number: version.version, run: version.lineage.run_id}
        if role in _MODEL:
            values[_MODEL[VersionRole(role)]] = version.name
    return values


def _digests(outcome: Outcome) -> dict[str, str]:
    """Return the digests of both models of the first comparison. A digest is "" if not all files were read."""
    comparison = next(iter(outcome.comparisons.values()))
    return {"digest-1": comparison.left.digest or "", "digest-2": comparison.right.digest or ""}


def _equals(outcome: Outcome, name: str) -> str:
    comparison = outcome.comparisons.get(name)
    return "" if comparison is None else truth(comparison.equals)


def truth(value: bool | None) -> str:
    """Return a truth value as an output; "" for None."""
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
