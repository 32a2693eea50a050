"""Makes the demo's two registries, in a process of its own, since it imports mlflow.

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
class _Registry:
    """A tracking server that is a database and a directory on this machine."""

    uri: str
    client: mlflow.MlflowClient
    experiment_id: str


def main(staging_db: Path, staging_artifacts: Path, production_db: Path, production_artifacts: Path) -> Path:
    """Make both; returns the file in production of which a byte was changed."""
    _make_databases(staging_db, production_db)
    staging = _open(staging_db, staging_artifacts)
    production = _open(production_db, production_artifacts)
    estimator = DecisionTreeClassifier(max_depth=4, random_state=0).fit(*load_wine(return_X_y=True))
    _log(staging, estimator)
    staging.client.set_registered_model_alias(MODEL, ALIAS, "1")
    staging.client.transition_model_version_stage(MODEL, "1", "Staging")
    with _exported(staging) as files:
        # Versions in the order of PROMOTED, TAMPERED, LOGGED_AGAIN.
        _import(production, files)
        tampered = _import(production, files) / "model.pkl"
    _log(production, estimator)
    _change_a_byte(tampered)
    return tampered


def _make_databases(staging_db: Path, production_db: Path) -> None:
    # Making the tables takes MLflow seconds, copying them nothing.
    mlflow.MlflowClient(tracking_uri=f"sqlite:///{staging_db}").search_experiments()
    with closing(sqlite3.connect(staging_db)) as made, closing(sqlite3.connect(production_db)) as copy:
        made.backup(copy)


def _open(database: Path, artifacts: Path) -> _Registry:
    uri = f"sqlite:///{database}"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    return _Registry(uri, client, client.create_experiment(_EXPERIMENT, artifact_location=artifacts.resolve().as_uri()))


def _log(registry: _Registry, estimator: DecisionTreeClassifier) -> None:
    """Log and register the estimator, as a training script does."""
    mlflow.set_tracking_uri(registry.uri)
    mlflow.set_registry_uri(registry.uri)
    with mlflow.start_run(experiment_id=registry.experiment_id, run_name="train"):
        log_model(
            estimator,
            name=_ARTIFACT,
            registered_model_name=MODEL,
            serialization_format="cloudpickle",
            # MLflow would find them out by loading the model in another process.
            pip_requirements=[f"scikit-learn=={sklearn.__version__}"],
        )


@contextmanager
def _exported(registry: _Registry) -> Iterator[Path]:
    """The files of version 1, downloaded."""
    # By its location: up to 3.17, MLflow adds a file to what is downloaded by name.
    uri = registry.client.get_model_version_download_uri(MODEL, "1")
    with tempfile.TemporaryDirectory() as directory:
        yield Path(download_artifacts(artifact_uri=uri, dst_path=directory))


def _import(registry: _Registry, files: Path) -> Path:
    """Upload the files to a new run and register them as the next version; returns where they are."""
    run = registry.client.create_run(registry.experiment_id, run_name="promote")
    registry.client.log_artifacts(run.info.run_id, str(files), _ARTIFACT)
    registry.client.set_terminated(run.info.run_id)
    if not registry.client.search_registered_models(f"name='{MODEL}'"):
        registry.client.create_registered_model(MODEL)
    source = f"{run.info.artifact_uri}/{_ARTIFACT}"
    registry.client.create_model_version(MODEL, source, run.info.run_id)
    return local_path(source)


def _change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


if __name__ == "__main__":
    # Standard output holds the answer alone, whatever MLflow prints.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer.write(json.dumps(str(main(*map(Path, sys.argv[1:])))))
    answer.flush()
