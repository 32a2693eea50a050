"""A session with a Databricks workspace: every operation has a fresh login and speaks of the permission it lacks."""

from __future__ import annotations

from typing import Any

import mlflow

from model_gate.domain.host import RegistryKind
from model_gate.errors import ModelGateError
from model_gate.worker.databricks.artifacts import DatabricksArtifactReader
from model_gate.worker.databricks.failures import to_model_gate_error
from model_gate.worker.databricks.login import WorkspaceConnection
from model_gate.worker.databricks.registry import DatabricksRegistryClient
from model_gate.worker.progress import ProgressCallback
from model_gate.worker.session import Session

_REGISTRY_URIS = {RegistryKind.WORKSPACE: "databricks", RegistryKind.UNITY_CATALOG: "databricks-uc"}


class DatabricksSession(Session):
    """One workspace and one of its registries."""

    def __init__(self, workspace: WorkspaceConnection, address: str, kind: RegistryKind) -> None:
        clients = {
            each: mlflow.MlflowClient(tracking_uri="databricks", registry_uri=uri)
            for each, uri in _REGISTRY_URIS.items()
        }
        artifacts = DatabricksArtifactReader(kind)
        super().__init__(DatabricksRegistryClient(clients, kind), artifacts)
        workspace.on_renewal(artifacts.forget)
        self._workspace = workspace
        self._address = address
        self._kind = kind

    def perform(self, operation: str, asked: dict[str, Any], note: ProgressCallback) -> Any:
        """The operation's result.

        Raises:
            ModelGateError: Whatever went wrong.
        """
        try:
            return self._workspace.perform(lambda: super(DatabricksSession, self).perform(operation, asked, note))
        except ModelGateError:
            # As it is: were it raised from itself, what led to it would be lost.
            raise
        except Exception as error:  # all of them are told; none is swallowed
            raise to_model_gate_error(error, self._address, self._kind, asked.get("uri", "")) from error


def open_databricks_session(address: str, kind: RegistryKind) -> DatabricksSession:
    """The session with the workspace whose login is in this process's environment.

    Raises:
        ModelGateError: It does not answer, or does not accept the login.
    """
    try:
        return DatabricksSession(WorkspaceConnection(address), address, kind)
    except Exception as error:  # the same
        raise to_model_gate_error(error, address, kind) from error
