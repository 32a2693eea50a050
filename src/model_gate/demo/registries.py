"""Makes the demo's two registries. This is a separate program, because the demo's own process never imports mlflow.

`python -m model_gate.demo.registries STAGING_DB STAGING_ARTIFACTS PRODUCTION_DB PRODUCTION_ARTIFACTS`
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import sklearn
from mlflow.artifacts import download_artifacts
from mlflow.sklearn import log_model
from sklearn.datasets import load_wine
from sklearn.tree import DecisionTreeClassifier

from model_gate.demo.layout import ALIAS, MODEL
from model_gate.sources.directory import local_path

_EXPERIMENT = "wine"
_ARTIFACT = "model"


@dataclass(frozen=True)
class _TrackingServer:
    """An embedded tracking server: a database and a directory on this machine."""

    uri: str
    client: mlflow.MlflowClient
    experiment_id: str


def main(staging_db: Path, staging_artifacts: Path, production_db: Path, production_artifacts: Path) -> Path:
    """Make both registries, and change one byte of a model file in production. Return the path of that file."""
    _make_databases(staging_db, production_db)
    staging = _open(staging_db, staging_artifacts)
    production = _open(production_db, production_artifacts)
    estimator = DecisionTreeClassifier(max_depth=4, random_state=0).fit(*load_wine(return_X_y=True))
    _log(staging, estimator)
    staging.client.set_registered_model_alias(MODEL, ALIAS, "1")
    staging.client.transition_model_version_stage(MODEL, "1", "Staging")
    with _exported_files(staging) as files:
        # The versions are made in the order of their numbers: PROMOTED, TAMPERED, LOGGED_AGAIN.
        _import(production, files)
        tampered = _import(production, files) / "model.pkl"
    _log(production, estimator)
    _change_a_byte(tampered)
    return tampered


def _make_databases(staging_db: Path, production_db: Path) -> None:
    # MLflow takes seconds to make the tables, so the second database is a copy.
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{staging_db}").search_experiments()
    with closing(sqlite3.connect(staging_db)) as source, closing(sqlite3.connect(production_db)) as target:
        source.backup(target)


def _open(database: Path, artifacts: Path) -> _TrackingServer:
    uri = f"sqlite:///{database}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    return _TrackingServer(
        uri, client, client.create_experiment(_EXPERIMENT, artifact_location=artifacts.resolve().as_uri())
    )


def _log(server: _TrackingServer, estimator: DecisionTreeClassifier) -> None:
    """Log and register the estimator, as a training script does."""
    mlflow.set_tracking_uri(server.uri)
    mlflow.set_registry_uri(server.uri)
    with mlflow.start_run(experiment_id=server.experiment_id, run_name="train"):
        log_model(
            estimator,
            name=_ARTIFACT,
            registered_model_name=MODEL,
            serialization_format="cloudpickle",
            # Without this, MLflow loads the model in another process to infer the requirements.
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
        )


@contextmanager
def _exported_files(server: _TrackingServer) -> Iterator[Path]:
    """Yield a temporary directory with the files of version 1."""
    # Up to 3.17, MLflow adds a file to a model that is downloaded by name, so this downloads by location.
    uri = server.client.get_model_version_download_uri(MODEL, "1")
    with tempfile.TemporaryDirectory() as directory:
        yield Path(download_artifacts(artifact_uri=uri, dst_path=directory))


def _import(server: _TrackingServer, files: Path) -> Path:
    """Upload the files to a new run and register them as the next version. Return the directory of the new version."""
    run = server.client.create_run(server.experiment_id, run_name="promote")
    server.client.log_artifacts(run.info.run_id, str(files), _ARTIFACT)
    server.client.set_terminated(run.info.run_id)
    if not server.client.search_registered_models(f"name='{MODEL}'"):
        server.client.create_registered_model(MODEL)
    source = f"{run.info.artifact_uri}/{_ARTIFACT}"
    server.client.create_model_version(MODEL, source, run.info.run_id)
    return local_path(source)


def _change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


if __name__ == "__main__":
    # Standard output has only the response. What MLflow prints goes to standard error.
    response = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    response.write(json.dumps(str(main(*map(Path, sys.argv[1:])))))
    response.flush()
