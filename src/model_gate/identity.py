"""What MLflow itself rewrites when a model is logged, registered, copied or exported again.

Two models that differ in nothing else are `equivalent`. This is the one place that lists it, with the reasons.
"""

from __future__ import annotations

from model_gate.model import MLMODEL

# Top-level fields of MLmodel.
IDENTITY_FIELDS = {
    "run_id": "the run that logged it; another after logging, export and import",
    "model_uuid": "drawn anew each time a model is logged",
    "model_id": "MLflow 3's name of the logged model; another after logging, export and import",
    "utc_time_created": "when it was logged",
    "artifact_path": "where it was logged: the name in MLflow 2, the location in MLflow 3",
}

# Files at the root of the model.
IDENTITY_FILES = {
    "registered_model_meta": "name and version, written into a download by MLflow up to 3.17",
}


def may_be_identity(path: str) -> bool:
    """Whether a difference at this path can be one that MLflow makes by itself."""
    return path == MLMODEL or path in IDENTITY_FILES
