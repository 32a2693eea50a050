"""Lists and downloads models in a Databricks workspace, byte for byte.

MLflow's own downloads are unsuitable for a comparison:

- From DBFS by REST, an empty file arrives as `{}`, and a rejected listing appears as an empty directory.
- From runs, two files may come from two APIs, and a missing file appears as an empty directory.
- From any location, MLflow lists the parent directory again for each file, or starts processes that have presigned URLs
  on their command lines.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import IO, Any
from urllib.parse import quote

import requests
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
from mlflow.store.artifact.databricks_sdk_artifact_repo import DatabricksSdkArtifactRepository
from mlflow.store.artifact.databricks_sdk_models_artifact_repo import DatabricksSDKModelsArtifactRepository
from mlflow.store.artifact.databricks_tracking_artifact_repo import DatabricksTrackingArtifactRepository
from mlflow.store.artifact.presigned_url_artifact_repo import PresignedUrlArtifactRepository
from mlflow.store.artifact.unity_catalog_models_artifact_repo import UnityCatalogModelsArtifactRepository

from model_gate.domain.host import RegistryKind
from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.origin import StoreEndpoint
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import printable
from model_gate.errors import ModelError, NotFoundError
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.databricks.rest import get, get_json, require_success
from model_gate.worker.listing import ModelFiles
from model_gate.worker.network import guard_azure_redirects
from model_gate.worker.origins import LocationPolicy
from model_gate.worker.resource_limits import FileSizeLimit
from model_gate.worker.stores.files import stored_files_of
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts
from model_gate.worker.transfer.file_version import FileRequests
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.presigned_url import PresignedStore, PresignedUrl
from model_gate.worker.transfer.proxied_files import DecodedResponse
from model_gate.worker.transfer.range_download import Response

_CHUNK_BYTES = 1024 * 1024
# DBFS locations that MLflow reads with the Files API or presigned URLs. All other DBFS locations are read by REST.
_MANAGED_LOCATIONS = ("dbfs:/databricks/mlflow-tracking/", "dbfs:/Volumes/")


class DatabricksArtifactReader(ArtifactReader):
    """Lists and downloads the model files of one workspace.

    `store_endpoints` are the origins that presigned URLs may lead to, besides the clouds' stores and the internet.
    """

    def __init__(
        self,
        kind: RegistryKind,
        store_endpoints: Sequence[StoreEndpoint],
        file_size_limit: FileSizeLimit | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        super().__init__("databricks", file_size_limit, limits)
        self._kind = kind
        self._store = PresignedStore(self._limiter, store_endpoints)

    def _open(self, uri: str) -> ModelFiles:
        if uri.startswith("models:/"):
            name, _, number = uri.removeprefix("models:/").rpartition("/")
            if self._kind is RegistryKind.UNITY_CATALOG:
                return self._catalog_files(uri)
            return _WorkspaceRegistryFiles(self._store, name, number, self._limits)
        if not uri.startswith("dbfs:/"):
            declared = self._open_declared(uri)
            if declared is not None:
                return declared
        elif not uri.startswith(_MANAGED_LOCATIONS):
            return _DbfsFiles(self._limiter, uri)
        stored = self._open_stored(uri)
        if stored is not None:
            return stored
        repository = get_artifact_repository(uri, tracking_uri=self._tracking_uri, registry_uri=self._tracking_uri)
        if isinstance(repository, DatabricksTrackingArtifactRepository):
            return self._run_files(repository, uri)
        return self._repository_files(repository)

    def _catalog_files(self, uri: str) -> ModelFiles:
        """Return the files of the model version at `uri` in Unity Catalog.

        The catalog's response selects the way to download: the Files API, presigned URLs, or temporary credentials for
        the object store.
        """
        repository = _CatalogRepository(uri, self._policy)  # type: ignore[abstract]
        store = repository._get_artifact_repo()  # type: ignore[no-untyped-call]  # noqa: SLF001
        if isinstance(store, PresignedUrlArtifactRepository):
            return _PresignedFiles(self._store, store)
        return self._repository_files(store)

    def _run_files(self, repository: DatabricksTrackingArtifactRepository, uri: str) -> ModelFiles:
        """Return the files of a run or a logged model.

        If the Files API lists `uri`, it serves all files. Otherwise, all files are downloaded by presigned URLs.
        """
        try:
            root = repository.databricks_sdk_repo.list_artifacts(None)
        except Unauthenticated:
            raise
        except DatabricksError:
            root = []
        if root:
            return self._repository_files(repository.databricks_sdk_repo, root)
        root = repository.databricks_artifact_repo.list_artifacts("")
        if not root:
            raise NotFoundError(
                f"There is nothing at {uri}.",
                "The run or its artifacts may have been deleted, or belong to another workspace.",
            )
        return _PresignedFiles(self._store, repository.databricks_artifact_repo, root)

    def _repository_files(self, repository: ArtifactRepository, root: list[FileInfo] | None = None) -> ModelFiles:
        """Return the files of a model that a repository of MLflow lists. `root` is the listing of its root."""
        if isinstance(repository, DatabricksSdkArtifactRepository | DatabricksSDKModelsArtifactRepository):
            return _FilesApiFiles(self._limiter, repository, root)
        stored = stored_files_of(repository, repository.artifact_uri, self._store_limiter)
        return stored or _RepositoryFiles(self._limiter, repository, root)


class _CatalogRepository(UnityCatalogModelsArtifactRepository):
    """MLflow's repository of a model version in Unity Catalog, which also checks that the worker may read the store."""

    def __init__(self, uri: str, policy: LocationPolicy) -> None:
        super().__init__(uri, registry_uri="databricks-uc", tracking_uri="databricks")
        self._policy = policy

    def _get_blob_storage_path(self) -> str:
        # The check is here because MLflow sends requests to the store as soon as it has the location.
        location = str(super()._get_blob_storage_path())  # type: ignore[no-untyped-call]
        self._policy.require_readable(location)
        guard_azure_redirects(location)
        return location


class _WorkspaceRegistryFiles:
    """The files of a model version in the workspace registry, which lists them and issues presigned URLs for them."""

    def __init__(self, store: PresignedStore, name: str, number: str, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._parameters = {"name": name, "version": number}

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model."""
        parameters = {**self._parameters, "path": path or ""}
        infos: list[FileInfo] = []
        tokens: set[str] = set()
        while len(tokens) < self._limits.listing_pages and len(infos) <= self._limits.listing_files:
            page = get_json(REGISTRY_LIST_ARTIFACTS_ENDPOINT, parameters)
            infos += [_file_info(entry) for entry in page.get("files", ())]
            token = page.get("next_page_token")
            if not token:
                return infos
            if token in tokens:
                break
            tokens.add(token)
            parameters["page_token"] = token
        raise ModelError(
            f"The listing of {printable(path or 'the model')} does not end.", "Check the workspace, or try again later."
        )

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`.

        `on_progress` is called with the number of `bytes` received since its last call.
        """
        self._store.fetch(lambda: self._request_url(path), path, size, destination, on_progress)

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""
        return self._store.open(lambda: self._request_url(path), path, size)

    def _request_url(self, path: str) -> PresignedUrl:
        data = get_json(REGISTRY_ARTIFACT_PRESIGNED_URI_ENDPOINT, {**self._parameters, "path": path})
        headers = {header["name"]: header["value"] for header in data.get("headers") or ()}
        return PresignedUrl(data["signed_uri"], headers)


class _RootListing:
    """Lists directories with an artifact repository of MLflow, and does not list the model's root directory twice.

    `root` is the listing of the root directory, if the caller already has it.
    """

    def __init__(self, repository: ArtifactRepository, root: list[FileInfo] | None) -> None:
        self._repository = repository
        self._root = root

    def list_directory(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None or "" is the root of the model."""
        return self._root if self._root is not None and not path else self._repository.list_artifacts(path)


class _PresignedFiles:
    """The files of a model in an object store for which the workspace issues presigned URLs.

    `root` is the listing of the model's root directory, if the caller already has it.
    """

    def __init__(
        self, store: PresignedStore, repository: CloudArtifactRepository, root: list[FileInfo] | None = None
    ) -> None:
        self._store = store
        self._repository = repository
        self._listing = _RootListing(repository, root)

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model."""
        # A repository for presigned URLs does not accept None.
        return self._listing.list_directory(path or "")

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`.

        `on_progress` is called with the number of `bytes` received since its last call.
        """
        self._store.fetch(lambda: self._request_url(path), path, size, destination, on_progress)

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""
        return self._store.open(lambda: self._request_url(path), path, size)

    def _request_url(self, path: str) -> PresignedUrl:
        (info,) = self._repository._get_read_credential_infos([path])  # type: ignore[no-untyped-call]  # noqa: SLF001
        return PresignedUrl(info.signed_uri, {header.name: header.value for header in info.headers})


class _RepositoryFiles:
    """The files of a model that an artifact repository of MLflow downloads, from an object store or from the Files API.

    `root` is the listing of the model's root directory, if the caller already has it.
    """

    def __init__(
        self, limiter: ConcurrencyLimiter, repository: ArtifactRepository, root: list[FileInfo] | None = None
    ) -> None:
        self._limiter = limiter
        self._repository = repository
        self._listing = _RootListing(repository, root)

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model."""
        infos = self._listing.list_directory(path)
        # The JSON of a listing may omit a size of zero, so a missing size becomes 0. If the file is not empty, the size
        # check after the download fails.
        return [info if info.is_dir else FileInfo(info.path, False, info.file_size or 0) for info in infos]

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:  # noqa: ARG002  # no progress is reported
        """Write one file of `size` bytes to `destination`. `on_progress` is never called."""
        with self._limiter.request(size):
            if isinstance(self._repository, CloudArtifactRepository):
                # `_download_file` would list the parent directory again.
                self._repository._download_from_cloud(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001
            else:
                self._repository._download_file(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001


class _FilesApiFiles(_RepositoryFiles):
    """The files of a model that the Files API serves. A large file is read by one response, which is never resumed."""

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""
        requests = FileRequests(lambda: self._open_stream(path))
        return FileParts(ListedFile(path, size), requests, self._limiter)

    @contextmanager
    def _open_stream(self, path: str) -> Iterator[Response]:
        repository: Any = self._repository
        if hasattr(repository, "files_api"):
            files_api, location = repository.files_api, repository.full_path(path)
        else:
            files_api, location = repository.client.files, posixpath.join(repository.model_base_path, path)
        content: IO[bytes] = files_api.download(location).contents
        with content:
            yield _SdkResponse(content)


class _SdkResponse:
    """A response of the Databricks SDK, which has checked its status and does not tell its headers."""

    status = 200
    headers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    def read1(self, amount: int) -> bytes:
        """Wait for the next bytes of the body, and return at most `amount` of them; b"" means the end of the body."""
        return self._content.read(amount)


class _DbfsFiles:
    """The files of a model on DBFS, read by REST. The status of each response is checked, its body is not changed."""

    def __init__(self, limiter: ConcurrencyLimiter, uri: str) -> None:
        self._limiter = limiter
        self._root = "/" + uri.removeprefix("dbfs:").strip("/")

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model."""
        directory = f"{self._root}/{path}" if path else self._root
        entries = get_json("/api/2.0/dbfs/list", {"path": directory}).get("files", ())
        return [_file_info({**entry, "path": entry["path"].removeprefix(self._root + "/")}) for entry in entries]

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:  # noqa: ARG002  # no progress is reported
        """Write one file of `size` bytes to `destination`. `on_progress` is never called."""
        with self._limiter.request(size), self._get(path) as response, open(destination, "wb") as file:
            file.writelines(response.iter_content(_CHUNK_BYTES))

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""
        requests = FileRequests(lambda: self._open_stream(path))
        return FileParts(ListedFile(path, size), requests, self._limiter)

    @contextmanager
    def _open_stream(self, path: str) -> Iterator[Response]:
        with self._get(path) as response:
            yield DecodedResponse(response)

    @contextmanager
    def _get(self, path: str) -> Iterator[requests.Response]:
        """Request a file, and yield the response, whose body is not read yet."""
        with get(f"/dbfs{quote(self._root)}/{quote(path)}", stream=True) as response:
            require_success(response)
            yield response


def _file_info(entry: dict[str, Any]) -> FileInfo:
    return FileInfo(entry["path"], entry["is_dir"], None if entry["is_dir"] else entry.get("file_size", 0))
