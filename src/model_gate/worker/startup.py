"""Opens the session of a worker process with its tracking server, which may be a Databricks workspace.

MLflow is imported inside functions, because a worker may not need it.
"""

from __future__ import annotations

import os

from model_gate.access.databricks import LOGIN_VARIABLE
from model_gate.domain.host import RegistryKind
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.late_registry import LateRegistry, NoRegistry
from model_gate.worker.mlflow_import import import_mlflow
from model_gate.worker.network import guard_redirects, guard_statuses
from model_gate.worker.resource_limits import FileSizeLimit, limit_memory
from model_gate.worker.response_limits import ResponseLimits
from model_gate.worker.server_settings import require_server_settings
from model_gate.worker.session import Registry, Session
from model_gate.worker.transfer.quick_ack import enable_quick_ack


def prepare() -> None:
    """Do the preparations that need no server: enable TCP quick ACK, and limit redirects, statuses and responses."""
    guard_redirects()
    guard_statuses()
    enable_quick_ack()
    ResponseLimits().install()


def open_session() -> Session:
    """Return a session with the tracking server that this process's environment names.

    Raises:
        ModelGateError: The Databricks workspace does not respond, or rejects the login.
    """
    limit_memory()
    require_server_settings(os.environ)
    address = os.environ["MODEL_GATE_ADDRESS"]
    if LOGIN_VARIABLE in os.environ:
        import_mlflow()
        from model_gate.worker.databricks.session import open_databricks_session

        is_catalog = os.environ["MLFLOW_REGISTRY_URI"] == "databricks-uc"
        kind = RegistryKind.UNITY_CATALOG if is_catalog else RegistryKind.WORKSPACE
        return open_databricks_session(address, kind, FileSizeLimit())
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if not uri:
        return Session(NoRegistry(), ArtifactReader("", FileSizeLimit()))
    registry_uri = os.environ["MLFLOW_REGISTRY_URI"]
    # Both URIs can name databases. A worker whose tracking server is a database has no limit for the size of files,
    # because the file of the database may be larger.
    uri, registry_uri = (_opened(uri, address) for uri in (uri, registry_uri))
    os.environ |= {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": registry_uri}
    file_size_limit = FileSizeLimit() if _is_http(uri) else None
    allow_local = os.environ["MODEL_GATE_LOCAL_ARTIFACTS"] == "true"
    directory = os.environ["MODEL_GATE_SERVER_DIRECTORY"]
    artifacts = ArtifactReader(uri, file_size_limit, allow_local=allow_local, server_directory=directory)
    return Session(LateRegistry(lambda: _open_registry(uri, registry_uri, artifacts)), artifacts)


def _open_registry(uri: str, registry_uri: str, artifacts: ArtifactReader) -> Registry:
    import_mlflow()
    import mlflow

    from model_gate.worker.registry import RegistryClient

    return RegistryClient(mlflow.MlflowClient(tracking_uri=uri, registry_uri=registry_uri), artifacts)


def _opened(uri: str, address: str) -> str:
    """Return the URI that opens a database without changing it. Return any other URI as it is."""
    if _is_http(uri):
        return uri
    import_mlflow()
    from mlflow.store.db.db_types import DATABASE_ENGINES
    from mlflow.utils.uri import get_uri_scheme

    if get_uri_scheme(uri) not in DATABASE_ENGINES:  # type: ignore[no-untyped-call]
        return uri
    from model_gate.worker.databases import open_unchanged

    return open_unchanged(uri, address)


def _is_http(uri: str) -> bool:
    return uri.startswith(("http:", "https:"))
