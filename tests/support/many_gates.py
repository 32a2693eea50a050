"""The rows of many gates that end in different ways, by real comparisons of small directories without MLflow."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

from model_gate.domain.gates import GateRow
from model_gate.domain.ignore import Ignore
from model_gate.domain.request import GateOptions
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Require
from model_gate.errors import AccessError, NotFoundError
from tests.support.gate_summaries import check_of, compare_of
from tests.support.rows import HOSTILE_TEXTS, error_row, gate, row

_FILES: dict[str, bytes] = {
    "MLmodel": b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n    sklearn_version: 1.7.2\nrun_id: 0a1b2c3d\n",
    "conda.yaml": b"channels:\n- conda-forge\ndependencies:\n- python=3.13.5\n- pip:\n  - scikit-learn==1.7.2\n",
    "input_example.json": json.dumps({"columns": ["alcohol"], "data": [[12.1]]}).encode(),
    "model.pkl": pickle.dumps({"coefficients": [0.25, 0.5, 0.75], "intercept": 1.5}),
    "requirements.txt": b"mlflow==3.17.0\nscikit-learn==1.7.2\nnumpy==2.3.1\n",
}
_RETRAINED = pickle.dumps({"coefficients": [0.5, 0.5, 0.75], "intercept": 2.5})


def rows_of_many_gates(scratch: Path, count: int = 50) -> list[GateRow]:
    """Return the rows of this many gates, at least 20. Most pass, and the last ones have hostile names.

    Args:
        scratch: An empty directory for models.
        count: The number of gates.
    """
    failing = [row(outcome, gate(name, 10 * number + 2)) for number, (name, outcome) in enumerate(_outcomes(scratch))]
    errors = [
        error_row(gate("Fraud", 102), NotFoundError("There is no version 99 of 'Fraud'.", "The versions are 1 to 12.")),
        error_row(
            gate("all/" + "quarterly_revenue_forecast_" * 4, 112),
            AccessError(
                "https://mlflow.staging.example.com rejects the credentials: 403 Forbidden.",
                "Set STAGING_MLFLOW_TRACKING_TOKEN to a token that can read the registry.",
            ),
        ),
    ]
    hostile = [error_row(gate(text, 200), NotFoundError(text, text)) for text in HOSTILE_TEXTS[-4:]]
    usual = compare_of(_model(scratch / "first"), _model(scratch / "second"))
    rest = count - len(failing) - len(errors) - len(hostile)
    passing = [row(usual, gate(f"all/prod.ml.model_{number}", 122)) for number in range(rest)]
    return [*passing[:5], *failing, *errors, *passing[5:], *hostile]


def _outcomes(scratch: Path) -> Iterator[tuple[str, Outcome]]:
    base = _model(scratch / "base")

    def changed(name: str, **files: bytes | None) -> Path:
        return _model(scratch / name, lambda known: known | {_path(key): content for key, content in files.items()})

    packages = {"requirements_txt": _FILES["requirements.txt"].replace(b"1.7.2", b"1.7.1")}
    rewritten = changed("rewritten", MLmodel=_FILES["MLmodel"].replace(b"0a1b2c3d", b"9f8e7d6c"))
    yield "wine", compare_of(base, changed("weights", model_pkl=_RETRAINED))
    yield "churn", compare_of(base, changed("packages", **packages))
    yield "spam", check_of(base, changed("missing", requirements_txt=None))
    yield "rewritten", compare_of(base, rewritten)
    yield "accepted", compare_of(base, rewritten, GateOptions(Require.EQUIVALENT))
    yield "ignored", compare_of(base, scratch / "packages", GateOptions(ignore=Ignore(("requirements.txt",))))
    yield "same-location", compare_of(base, base)
    many = {f"part_{number:03}_bin": f"part {number}".encode() for number in range(60)}
    yield "large-model-with-many-files", compare_of(base, changed("many", model_pkl=_RETRAINED, **packages, **many))


def _path(key: str) -> str:
    stem, _, ending = key.rpartition("_")
    return f"{stem}.{ending}" if stem else key


def _model(
    directory: Path, change: Callable[[dict[str, bytes]], dict[str, bytes | None]] = lambda known: {**known}
) -> Path:
    """Write a model with these changes of its files; None removes a file."""
    directory.mkdir(exist_ok=True)
    for path, content in change(_FILES).items():
        if content is not None:
            (directory / path).write_bytes(content)
    return directory
