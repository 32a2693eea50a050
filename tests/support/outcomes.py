"""Outcomes as gates end with them, made by hand."""

from __future__ import annotations

from pathlib import Path

from model_gate.access.hosts import parse_host
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange, FileType
from model_gate.domain.location import Location
from model_gate.domain.request import CheckRequest, CompareRequest, DiffRequest, GateOptions, VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome, RestOfModel
from model_gate.domain.verdict import Require
from model_gate.domain.version import Lineage, ModelVersion

DIGEST = "0123456789abcdef" * 4
TEXT = Explanation(lines=tuple(f"-line {number}" for number in range(20)), is_cut=True)
FIELDS = Explanation(
    fields=tuple(FieldChange(f"flavors.sklearn.field_{number}", "1", None) for number in range(30)), is_cut=True
)
# One of each kind, those in text with as many details as there can be.
THREE = (
    Difference("MLmodel", DifferenceKind.CONTENT, 10, 20, offset=5, explanation=FIELDS),
    Difference("conda.yaml", DifferenceKind.CONTENT, 10, 20, offset=5, explanation=TEXT),
    Difference("requirements.txt", DifferenceKind.CONTENT, 10, 20, offset=5, explanation=TEXT),
)
ONE_OF_EACH = (
    THREE[0],
    Difference("a", DifferenceKind.ONLY_LEFT, 1, None),
    Difference("b", DifferenceKind.ONLY_RIGHT, None, 2_000),
    Difference("c", DifferenceKind.TYPE, 1, None, FileType.FILE, FileType.DIRECTORY),
    Difference("d", DifferenceKind.CONTENT, 10, 10, offset=None),
)
IDENTITY = (Difference("MLmodel", DifferenceKind.CONTENT, 10, 10, offset=1, rewrite_reason="only run_id differ"),)


def model(path: str, digest: str | None = DIGEST) -> ComparedModel:
    """A compared model."""
    return ComparedModel(Location(f"mlflow-artifacts:/1/{path}"), Path("/scratch", path), False, digest, 3, 30)


def comparison(differences: tuple[Difference, ...] = (), left: str = "left", native_model: str = "") -> Comparison:
    """A comparison that found these."""
    return Comparison(
        model(left),
        model("right"),
        equals=not differences,
        equivalent=all(each.rewrite_reason for each in differences),
        same_location=False,
        differences=differences,
        compared=3,
        not_compared=1 if differences else 0,
        native_model=native_model,
        rest=RestOfModel(False, THREE) if native_model else None,
    )


def version(name: str = "Wine") -> ModelVersion:
    """A resolved version with all that can be told of it."""
    lineage = Lineage(
        True, "0a1b2c3d4e5f", "run", "1", "experiment", "ann", "c0ffee" * 6, "repo", "train.py", "/n", "7"
    )
    uri = "mlflow-artifacts:/1/m-1/artifacts"
    return ModelVersion(
        name, "7", "Production", ("best", "champion"), "READY", "models:/m-1", uri, uri, uri, 1_700_000_000_000, lineage
    )


def asked(host: str = "http://ann:s3cret-word@example.com", model: str = "Wine") -> VersionRequest:
    """A version as a user asks for it."""
    return VersionRequest(parse_host(host), model, "production")


def diff_outcome(differences: tuple[Difference, ...] = (), require: Require = Require.IDENTICAL) -> Outcome:
    """Of `diff`."""
    request = DiffRequest("left", "right", options=GateOptions(require))
    return Outcome(request, {}, {"comparison": comparison(differences)})


def check_outcome(differences: tuple[Difference, ...] = (), native_model: str = "") -> Outcome:
    """Of `check`."""
    found = comparison(differences, native_model=native_model)
    return Outcome(CheckRequest(asked()), {"model_version": version()}, {"comparison": found})


def compare_outcome(run: Comparison, reg: Comparison) -> Outcome:
    """Of `compare`."""
    versions = {"tracking_server_1": version(), "tracking_server_2": version("Wine_Imported")}
    comparisons = {"run_model_comparison": run, "reg_model_comparison": reg}
    request = CompareRequest(asked(), asked("https://example.org", "Wine_Imported"))
    return Outcome(request, versions, comparisons)
