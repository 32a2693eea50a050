"""Opens the session of a worker process with its tracking server, which may be a Databricks workspace."""

from __future__ import annotations

import os

import mlflow
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking.request_header.registry import resolve_request_headers
from mlflow.utils.uri import get_uri_scheme

from model_gate.access.databricks import LOGIN_VARIABLE
from model_gate.domain.host import RegistryKind
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.registry import RegistryClient
from model_gate.worker.session import Session
from model_gate.worker.transfer.quick_ack import enable_quick_ack


def prepare() -> None:
    """Do the slow preparations that need no server: import MLflow's request plugins and enable TCP quick ACK."""
    resolve_request_headers()  # type: ignore[no-untyped-call]
    enable_quick_ack()


def open_session() -> Session:
    """Return a session with the tracking server that this process's environment names.

    Raises:
        ModelGateError: The Databricks workspace does not respond, or rejects the login.
    """
    if LOGIN_VARIABLE in os.environ:
        from model_gate.worker.databricks.session import open_databricks_session

        is_catalog = os.environ["MLFLOW_REGISTRY_URI"] == "databricks-uc"
        kind = RegistryKind.UNITY_CATALOG if is_catalog else RegistryKind.WORKSPACE
        return open_databricks_session(os.environ["MODEL_GATE_ADDRESS"], kind)
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if get_uri_scheme(uri) in DATABASE_ENGINES:  # type: ignore[no-untyped-call]
        from model_gate.worker.databases import open_unchanged

        uri = open_unchanged(uri, os.environ["MODEL_GATE_ADDRESS"])
        os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_REGISTRY_URI"] = uri
    artifacts = ArtifactReader(uri, allow_local=os.environ["MODEL_GATE_LOCAL_ARTIFACTS"] == "true")
    return Session(RegistryClient(mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri), artifacts), artifacts)
