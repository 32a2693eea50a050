"""Lists and downloads models in a Databricks workspace, byte for byte.

MLflow's own downloads are unsuitable:

- DBFS by REST: an empty file becomes `{}`, and a rejected listing becomes an empty directory.
- Runs: each file may come from another API, and a missing file becomes an empty directory.
- All: the directory is listed again for each file, or presigned URLs appear on command lines of other processes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from databricks.sdk.errors import Unauthenticated
from databricks.sdk.errors.base import DatabricksError
from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.cloud_artifact_repo import CloudArtifactRepository
from mlflow.store.artifact.databricks_models_artifact_repo import (
    REGISTRY_ARTIFACT_PRESIGNED_URI_ENDPOINT,
    REGISTRY_LIST_ARTIFACTS_ENDPOINT,
)
from mlflow.store.artifact.databricks_tracking_artifact_repo import DatabricksTrackingArtifactRepository
from mlflow.store.artifact.presigned_url_artifact_repo import PresignedUrlArtifactRepository
from mlflow.store.artifact.unity_catalog_models_artifact_repo import UnityCatalogModelsArtifactRepository

from model_gate.domain.host import RegistryKind
from model_gate.errors import NotFoundError
from model_gate.worker.artifacts import ArtifactReader, ModelFiles, require_readable
from model_gate.worker.databricks.rest import get, get_json, require_success
from model_gate.worker.progress import ProgressCallback
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.presigned_url import PresignedStore, PresignedUrl

_CHUNK_BYTES = 1024 * 1024
# Locations that MLflow reads with the Files API or with temporary credentials; all others are plain DBFS.
_MANAGED_LOCATIONS = ("dbfs:/databricks/mlflow-tracking/", "dbfs:/Volumes/")


class DatabricksArtifactReader(ArtifactReader):
    """Lists and downloads artifacts of one workspace."""

    def __init__(self, kind: RegistryKind) -> None:
        super().__init__("databricks")
        self._kind = kind
        self._store = PresignedStore(self._limiter)

    def clear_cache(self) -> None:
        """Discard all clients, because they hold the previous access token."""
        self._open_cached.cache_clear()

    def _open(self, uri: str) -> ModelFiles:
        if uri.startswith("models:/"):
            name, _, number = uri.removeprefix("models:/").rpartition("/")
            if self._kind is RegistryKind.UNITY_CATALOG:
                return self._catalog_files(uri)
            return _WorkspaceRegistryFiles(self._store, name, number)
        if not uri.startswith("dbfs:/"):
            require_readable(uri, self._tracking_uri)
        elif not uri.startswith(_MANAGED_LOCATIONS):
            return _DbfsFiles(self._limiter, uri)
        repository = get_artifact_repository(uri, tracking_uri=self._tracking_uri, registry_uri=self._tracking_uri)
        if isinstance(repository, DatabricksTrackingArtifactRepository):
            return self._run_files(repository, uri)
        return _RepositoryFiles(self._limiter, repository)

    def _catalog_files(self, uri: str) -> ModelFiles:
        """Return the files of a model in Unity Catalog.

        The catalog decides between the Files API, presigned URLs and temporary credentials of the store.
        """
        repository = UnityCatalogModelsArtifactRepository(  # type: ignore[abstract]
            uri, registry_uri="databricks-uc", tracking_uri="databricks"
        )
        store = repository._get_artifact_repo()  # type: ignore[no-untyped-call]  # noqa: SLF001
        if isinstance(store, PresignedUrlArtifactRepository):
            return _PresignedFiles(self._store, store)
        return _RepositoryFiles(self._limiter, store)

    def _run_files(self, repository: DatabricksTrackingArtifactRepository, uri: str) -> ModelFiles:
        """Return the files of a run or a logged model, all through one API: the Files API if it lists the location."""
        try:
            root = repository.databricks_sdk_repo.list_artifacts(None)
        except Unauthenticated:
            raise
        except DatabricksError:
            root = []
        if root:
            return _RepositoryFiles(self._limiter, repository.databricks_sdk_repo, root)
        root = repository.databricks_artifact_repo.list_artifacts("")
        if not root:
            raise NotFoundError(
                f"There is nothing at {uri}.",
                "The run or its artifacts may have been deleted, or belong to another workspace.",
            )
        return _PresignedFiles(self._store, repository.databricks_artifact_repo, root)


class _WorkspaceRegistryFiles:
    """A model version in the workspace registry, by the registry's listing and presigned URLs."""

    def __init__(self, store: PresignedStore, name: str, number: str) -> None:
        self._store = store
        self._parameters = {"name": name, "version": number}

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the entries of one directory, None for the root."""
        parameters = {**self._parameters, "path": path or ""}
        infos: list[FileInfo] = []
        while True:
            page = get_json(REGISTRY_LIST_ARTIFACTS_ENDPOINT, parameters)
            infos += [_file_info(entry) for entry in page.get("files", ())]
            if not page.get("next_page_token"):
                return infos
            parameters["page_token"] = page["next_page_token"]

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes; `on_progress` receives the number of further `bytes`."""

        def request_url() -> PresignedUrl:
            data = get_json(REGISTRY_ARTIFACT_PRESIGNED_URI_ENDPOINT, {**self._parameters, "path": path})
            headers = {header["name"]: header["value"] for header in data.get("headers") or ()}
            return PresignedUrl(data["signed_uri"], headers)

        self._store.fetch(request_url, path, size, destination, on_progress)


class _PresignedFiles:
    """A model in a store for which the workspace issues presigned URLs.

    `root` is the listing of the root, if the caller has it already.
    """

    def __init__(
        self, store: PresignedStore, repository: CloudArtifactRepository, root: list[FileInfo] | None = None
    ) -> None:
        self._store = store
        self._repository = repository
        self._root = root

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the entries of one directory, None for the root."""
        if self._root is not None and path is None:
            return self._root
        return self._repository.list_artifacts(path or "")

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes; `on_progress` receives the number of further `bytes`."""

        def request_url() -> PresignedUrl:
            (info,) = self._repository._get_read_credential_infos([path])  # type: ignore[no-untyped-call]  # noqa: SLF001
            return PresignedUrl(info.signed_uri, {header.name: header.value for header in info.headers})

        self._store.fetch(request_url, path, size, destination, on_progress)


class _RepositoryFiles:
    """A model that an artifact repository of MLflow reads: in an object store, or behind the Files API.

    `root` is the listing of the root, if the caller has it already.
    """

    def __init__(
        self, limiter: ConcurrencyLimiter, repository: ArtifactRepository, root: list[FileInfo] | None = None
    ) -> None:
        self._limiter = limiter
        self._repository = repository
        self._root = root

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the entries of one directory, None for the root."""
        infos = self._root if self._root is not None and path is None else self._repository.list_artifacts(path)
        # JSON may omit a size of zero. A wrong default size is caught after the download.
        return [info if info.is_dir else FileInfo(info.path, False, info.file_size or 0) for info in infos]

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:  # noqa: ARG002  # no progress is reported
        """Write one file of `size` bytes."""
        with self._limiter.request(size):
            if isinstance(self._repository, CloudArtifactRepository):
                # `_download_file` would list the parent directory again.
                self._repository._download_from_cloud(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001
            else:
                self._repository._download_file(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001


class _DbfsFiles:
    """A model on DBFS, by REST: checks each status, and writes each body unchanged."""

    def __init__(self, limiter: ConcurrencyLimiter, uri: str) -> None:
        self._limiter = limiter
        self._root = "/" + uri.removeprefix("dbfs:").strip("/")

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the entries of one directory, None for the root."""
        directory = f"{self._root}/{path}" if path else self._root
        entries = get_json("/api/2.0/dbfs/list", {"path": directory}).get("files", ())
        return [_file_info({**entry, "path": entry["path"].removeprefix(self._root + "/")}) for entry in entries]

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:  # noqa: ARG002  # no progress is reported
        """Write one file of `size` bytes."""
        endpoint = f"/dbfs{quote(self._root)}/{quote(path)}"
        with self._limiter.request(size), get(endpoint, stream=True) as response, open(destination, "wb") as file:
            require_success(response)
            file.writelines(response.iter_content(_CHUNK_BYTES))


def _file_info(entry: dict[str, Any]) -> FileInfo:
    return FileInfo(entry["path"], entry["is_dir"], None if entry["is_dir"] else entry.get("file_size", 0))
