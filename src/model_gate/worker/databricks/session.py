"""The session of a worker with a Databricks workspace.

The session renews an expired access token, and its errors name the missing permission.
"""

from __future__ import annotations

from typing import Any

import mlflow

from model_gate.domain.host import RegistryKind
from model_gate.domain.progress import ProgressCallback
from model_gate.errors import ModelGateError
from model_gate.worker.databricks.artifacts import DatabricksArtifactReader
from model_gate.worker.databricks.failures import to_model_gate_error
from model_gate.worker.databricks.login import WorkspaceConnection
from model_gate.worker.databricks.registry import DatabricksRegistryClient
from model_gate.worker.resource_limits import FileSizeLimit
from model_gate.worker.session import Session

_REGISTRY_URIS = {RegistryKind.WORKSPACE: "databricks", RegistryKind.UNITY_CATALOG: "databricks-uc"}


class DatabricksSession(Session):
    """Performs the operations of a worker on one workspace and one of its registries (workspace or Unity Catalog)."""

    def __init__(
        self,
        workspace: WorkspaceConnection,
        address: str,
        kind: RegistryKind,
        file_size_limit: FileSizeLimit | None = None,
    ) -> None:
        clients = {
            registry: mlflow.MlflowClient(tracking_uri="databricks", registry_uri=uri)
            for registry, uri in _REGISTRY_URIS.items()
        }
        artifacts = DatabricksArtifactReader(kind, workspace.store_endpoints, file_size_limit)
        super().__init__(DatabricksRegistryClient(clients, kind, artifacts), artifacts)
        workspace.on_renewal(artifacts.clear_cache)
        self._workspace = workspace
        self._address = address
        self._kind = kind

    def perform(self, operation: str, arguments: dict[str, Any], on_progress: ProgressCallback) -> Any:
        """Return the result of an operation as JSON data. Meanwhile, `on_progress` is called with progress messages.

        Raises:
            ModelGateError: The operation failed, for any reason.
        """
        try:
            return self._workspace.perform(
                lambda: super(DatabricksSession, self).perform(operation, arguments, on_progress)
            )
        except ModelGateError:
            # `raise error from error` would replace the cause of the error with the error itself.
            raise
        except Exception as error:
            raise to_model_gate_error(error, self._address, self._kind, arguments.get("uri", "")) from error


def open_databricks_session(
    address: str, kind: RegistryKind, file_size_limit: FileSizeLimit | None = None
) -> DatabricksSession:
    """Log in to the workspace at `address` with the login in the environment, and return the session.

    Raises:
        ModelGateError: The workspace does not respond, or rejects the login.
    """
    try:
        return DatabricksSession(WorkspaceConnection(address), address, kind, file_size_limit)
    except Exception as error:
        raise to_model_gate_error(error, address, kind) from error
