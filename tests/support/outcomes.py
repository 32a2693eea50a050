"""Sample outcomes of `check`, `compare` and `diff` for tests of reports, made without running a gate."""

from __future__ import annotations

from pathlib import Path

from model_gate.access.hosts import parse_host
from model_gate.domain.difference import Difference, DifferenceKind, Explanation, FieldChange, FileType
from model_gate.domain.location import Location
from model_gate.domain.request import CheckRequest, CompareRequest, DiffRequest, GateOptions, VersionRequest
from model_gate.domain.result import ComparedModel, Comparison, Outcome, RestOfModel
from model_gate.domain.roles import ComparisonName, VersionRole
from model_gate.domain.verdict import Require
from model_gate.domain.version import Lineage, ModelVersion

DIGEST = "0123456789abcdef" * 4
TEXT = Explanation(lines=tuple(f"-line {number}" for number in range(20)), is_cut=True)
FIELDS = Explanation(
    fields=tuple(FieldChange(f"flavors.sklearn.field_{number}", "1", None) for number in range(30)), is_cut=True
)
# Three text files, each with more details than the terminal shows.
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
    """Return a sample result for one of the two models of a comparison: 3 files with 30 bytes."""
    return ComparedModel(Location(f"mlflow-artifacts:/1/{path}"), Path("/scratch", path), False, digest, 3, 30)


def comparison(differences: tuple[Difference, ...] = (), left: str = "left", native_model: str = "") -> Comparison:
    """Return a comparison with these differences."""
    return Comparison(
        model(left),
        model("right"),
        equals=not differences,
        equivalent=all(difference.rewrite_reason for difference in differences),
        same_location=False,
        differences=differences,
        compared=max(3, len(differences)),
        not_compared=("model.pkl",) if differences else (),
        native_model=native_model,
        rest=RestOfModel(False, THREE) if native_model else None,
    )


def model_version(name: str = "Wine") -> ModelVersion:
    """Return a resolved version in which every field has a value."""
    lineage = Lineage(
        True, "0a1b2c3d" * 4, "run", "1", "experiment", "ann", "c0ffee00" * 5, "repo", "train.py", "/n", "7"
    )
    uri = "mlflow-artifacts:/1/m-1/artifacts"
    return ModelVersion(
        name, "7", "Production", ("best", "champion"), "READY", "models:/m-1", uri, uri, uri, 1_700_000_000_000, lineage
    )


def version_request(host: str = "http://ann:s3cret-word@example.com", model: str = "Wine") -> VersionRequest:
    """Return a request for the version of a model in stage Production, with a password in the host."""
    return VersionRequest(parse_host(host), model, "production")


def diff_outcome(differences: tuple[Difference, ...] = (), require: Require = Require.IDENTICAL) -> Outcome:
    """Return the outcome of a `diff` that found these differences."""
    request = DiffRequest("left", "right", options=GateOptions(require))
    return Outcome(request, {}, {ComparisonName.COMPARISON: comparison(differences)})


def check_outcome(differences: tuple[Difference, ...] = (), native_model: str = "") -> Outcome:
    """Return the outcome of a `check` that found these differences."""
    return Outcome(
        CheckRequest(version_request()),
        {VersionRole.MODEL_VERSION: model_version()},
        {ComparisonName.COMPARISON: comparison(differences, native_model=native_model)},
    )


def compare_outcome(run: Comparison, reg: Comparison) -> Outcome:
    """Return the outcome of a `compare` with these comparisons of the run models and of the registry models."""
    return Outcome(
        CompareRequest(version_request(), version_request("https://example.org", "Wine_Imported")),
        {
            VersionRole.TRACKING_SERVER_1: model_version(),
            VersionRole.TRACKING_SERVER_2: model_version("Wine_Imported"),
        },
        {ComparisonName.RUN_MODELS: run, ComparisonName.REG_MODELS: reg},
    )
