"""Lists and fetches models that are in a Databricks workspace: each kind by a way that gives the bytes as they are.

MLflow's own ways would not do. DBFS by REST writes an empty file as `{}` and takes a refused listing for an empty
directory; runs fall back from one way to another file by file, and take one that is missing for an empty directory; all
list a directory again for each file in it, or hand presigned URLs to other processes on their command lines.
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
# What is read by the Files API, or by MLflow's own credentials for it.
_SERVED = ("dbfs:/databricks/mlflow-tracking/", "dbfs:/Volumes/")


class DatabricksArtifactReader(ArtifactReader):
    """The models that one workspace serves."""

    def __init__(self, kind: RegistryKind) -> None:
        super().__init__("databricks")
        self._kind = kind
        self._signed = PresignedStore(self._flow)

    def forget(self) -> None:
        """Make every client anew when it is next needed: there is another access token."""
        self._model.cache_clear()

    def _open(self, uri: str) -> ModelFiles:
        if uri.startswith("models:/"):
            name, _, number = uri.removeprefix("models:/").rpartition("/")
            if self._kind is RegistryKind.UNITY_CATALOG:
                return self._catalog_files(uri)
            return _RegistryFiles(self._signed, name, number)
        if not uri.startswith("dbfs:/"):
            require_readable(uri, self._tracking_uri)
        elif not uri.startswith(_SERVED):
            return _DbfsFiles(self._flow, uri)
        repository = get_artifact_repository(uri, tracking_uri=self._tracking_uri, registry_uri=self._tracking_uri)
        if isinstance(repository, DatabricksTrackingArtifactRepository):
            return self._tracked_files(repository, uri)
        return _StoreFiles(self._flow, repository)

    def _catalog_files(self, uri: str) -> ModelFiles:
        """A model in Unity Catalog: by the Files API, presigned URLs or vended credentials, as the catalog says."""
        repository = UnityCatalogModelsArtifactRepository(  # type: ignore[abstract]
            uri, registry_uri="databricks-uc", tracking_uri="databricks"
        )
        store = repository._get_artifact_repo()  # type: ignore[no-untyped-call]  # noqa: SLF001
        if isinstance(store, PresignedUrlArtifactRepository):
            return _SignedFiles(self._signed, store)
        return _StoreFiles(self._flow, store)

    def _tracked_files(self, repository: DatabricksTrackingArtifactRepository, uri: str) -> ModelFiles:
        """The files of a run or a logged model: one way for all of them, the Files API if it knows the place."""
        try:
            root = repository.databricks_sdk_repo.list_artifacts(None)
        except Unauthenticated:
            raise
        except DatabricksError:
            root = []
        if root:
            return _StoreFiles(self._flow, repository.databricks_sdk_repo, root)
        root = repository.databricks_artifact_repo.list_artifacts("")
        if not root:
            raise NotFoundError(
                f"There is nothing at {uri}.",
                "The run or its artifacts may have been deleted, or belong to another workspace.",
            )
        return _SignedFiles(self._signed, repository.databricks_artifact_repo, root)


class _RegistryFiles:
    """A model in the workspace's registry, by the registry's own listing and signed URLs."""

    def __init__(self, store: PresignedStore, name: str, number: str) -> None:
        self._store = store
        self._asked = {"name": name, "version": number}

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is directly below `path`."""
        asked = {**self._asked, "path": path or ""}
        found: list[FileInfo] = []
        while True:
            page = get_json(REGISTRY_LIST_ARTIFACTS_ENDPOINT, asked)
            found += [_info(entry) for entry in page.get("files", ())]
            if not page.get("next_page_token"):
                return found
            asked["page_token"] = page["next_page_token"]

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:
        """Write one file of `size` bytes; `note` is given how many `bytes` more have come."""

        def draw() -> PresignedUrl:
            data = get_json(REGISTRY_ARTIFACT_PRESIGNED_URI_ENDPOINT, {**self._asked, "path": path})
            return PresignedUrl(data["signed_uri"], {each["name"]: each["value"] for each in data.get("headers") or ()})

        self._store.fetch(draw, path, size, destination, note)


class _SignedFiles:
    """A model in a store that the workspace gives presigned URLs for."""

    def __init__(
        self, store: PresignedStore, repository: CloudArtifactRepository, root: list[FileInfo] | None = None
    ) -> None:
        self._store = store
        self._repository = repository
        self._root = root

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is directly below `path`."""
        if self._root is not None and path is None:
            return self._root
        return self._repository.list_artifacts(path or "")

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:
        """Write one file of `size` bytes; `note` is given how many `bytes` more have come."""

        def draw() -> PresignedUrl:
            (info,) = self._repository._get_read_credential_infos([path])  # type: ignore[no-untyped-call]  # noqa: SLF001
            return PresignedUrl(info.signed_uri, {header.name: header.value for header in info.headers})

        self._store.fetch(draw, path, size, destination, note)


class _StoreFiles:
    """A model in a store of its own, or behind the Files API."""

    def __init__(
        self, flow: ConcurrencyLimiter, repository: ArtifactRepository, root: list[FileInfo] | None = None
    ) -> None:
        self._flow = flow
        self._repository = repository
        self._root = root

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is directly below `path`."""
        found = self._root if self._root is not None and path is None else self._repository.list_artifacts(path)
        # JSON may leave a zero out. A size that is not told but not zero is found out when the file has come.
        return [info if info.is_dir else FileInfo(info.path, False, info.file_size or 0) for info in found]

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:  # noqa: ARG002  # it tells none
        """Write one file of `size` bytes."""
        with self._flow.request(size):
            if isinstance(self._repository, CloudArtifactRepository):
                # `_download_file` would list the parent directory once more.
                self._repository._download_from_cloud(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001
            else:
                self._repository._download_file(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001


class _DbfsFiles:
    """A model on DBFS by REST, every answer looked at and no body touched."""

    def __init__(self, flow: ConcurrencyLimiter, uri: str) -> None:
        self._flow = flow
        self._root = "/" + uri.removeprefix("dbfs:").strip("/")

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is directly below `path`."""
        directory = f"{self._root}/{path}" if path else self._root
        entries = get_json("/api/2.0/dbfs/list", {"path": directory}).get("files", ())
        return [_info({**entry, "path": entry["path"].removeprefix(self._root + "/")}) for entry in entries]

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:  # noqa: ARG002  # it tells none
        """Write one file of `size` bytes."""
        place = f"/dbfs{quote(self._root)}/{quote(path)}"
        with self._flow.request(size), get(place, stream=True) as response, open(destination, "wb") as file:
            require_success(response)
            file.writelines(response.iter_content(_CHUNK_BYTES))


def _info(entry: dict[str, Any]) -> FileInfo:
    return FileInfo(entry["path"], entry["is_dir"], None if entry["is_dir"] else entry.get("file_size", 0))
