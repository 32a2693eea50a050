"""Opens the locations of models that need MLflow.

`ProxiedFiles` reads what a tracking server or a declared server serves. `StoredFiles` reads `abfss:` and `r2:` with the
client that MLflow makes. For other stores, `RepositoryFiles` calls `_download_file` of MLflow's artifact repository.
MLflow's public functions are not used: they list the parent directory again for each file, and they resolve `models:/`
and `runs:/` URIs on the global tracking server of the process.
"""

from __future__ import annotations

import os
from urllib.parse import unquote

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from model_gate.domain.origin import StoreEndpoint
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import printable
from model_gate.errors import ModelError
from model_gate.worker.listing import ModelFiles
from model_gate.worker.origins import server_uri
from model_gate.worker.store_failures import store_errors
from model_gate.worker.stores.files import stored_files_of
from model_gate.worker.transfer.artifact_server import DeclaredServer, TrackingServer
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.proxied_files import ProxiedFiles


def mlflow_files(
    uri: str, tracking_uri: str, limiter: ConcurrencyLimiter, store_limiter: ConcurrencyLimiter
) -> ModelFiles:
    """Return the files at a location that is opened with MLflow.

    Args:
        uri: The location.
        tracking_uri: URI of the tracking server.
        limiter: Limits the concurrent requests to the server.
        store_limiter: Limits the concurrent requests to an object store.

    Raises:
        ModelError: MLflow or the server may read another location.
    """
    repository = get_artifact_repository(uri, tracking_uri=tracking_uri)
    if isinstance(repository, HttpArtifactRepository):
        _require_literal_path(uri)
        return ProxiedFiles(TrackingServer(), repository.artifact_uri, limiter)
    return stored_files_of(repository, uri, store_limiter) or RepositoryFiles(repository, limiter, uri)


def declared_files(uri: str, endpoint: StoreEndpoint, limiter: ConcurrencyLimiter) -> ProxiedFiles:
    """Return the files at a location that a server which the environment declares serves.

    Raises:
        ModelError: The server would read another location.
    """
    _require_literal_path(uri)
    return ProxiedFiles(DeclaredServer(endpoint), server_uri(uri, endpoint), limiter)


def _require_literal_path(uri: str) -> None:
    """Require that a server reads the location as it is written. What follows # or ? is not sent, and %xx is decoded.

    Raises:
        ModelError: The server would read another location.
    """
    path = uri.partition(":")[2]
    if path.startswith("//"):
        path = path.removeprefix("//").partition("/")[2]
    if unquote(path) != path or not {"?", "#"}.isdisjoint(path):
        raise ModelError(
            f"The location of the model is {printable(uri)}. A server would read another one, because it interprets"
            " %xx, ? and #.",
            "Rename the directory, or compare the models at their store with model-gate diff.",
        )


class RepositoryFiles:
    """The files at one location in a store that only MLflow's artifact repository can read, such as HDFS."""

    def __init__(self, repository: ArtifactRepository, limiter: ConcurrencyLimiter, uri: str) -> None:
        self._repository = repository
        self._limiter = limiter
        self._uri = uri

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model."""
        with store_errors(self._uri, os.environ):
            return self._repository.list_artifacts(path)

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:  # noqa: ARG002  # no progress is reported
        """Write one file of `size` bytes to `destination`. `on_progress` is never called."""
        with self._limiter.request(size), store_errors(self._uri, os.environ):
            self._repository._download_file(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001
