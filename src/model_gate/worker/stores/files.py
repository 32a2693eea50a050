"""The files of a model that is stored in a bucket."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import byte_count, printable
from model_gate.errors import ModelError, ModelGateError
from model_gate.worker.object_store import store_of
from model_gate.worker.progress import TransferProgress
from model_gate.worker.store_failures import store_errors
from model_gate.worker.stores.azure import AzureContainer, AzureFileSystem, is_blob_host
from model_gate.worker.stores.bucket import Bucket, StoredFile, StoredObject
from model_gate.worker.stores.client import StoreClient
from model_gate.worker.stores.google import GoogleBucket
from model_gate.worker.stores.listing_pages import well_formed_pages
from model_gate.worker.stores.s3 import S3Bucket
from model_gate.worker.transfer.byte_range import ByteRange
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts
from model_gate.worker.transfer.file_version import FileRequests
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.range_download import RangeDownload, UnsupportedDownloadError, WrongSizeError

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

# Buckets with a login that the client of the cloud finds by itself, by the scheme of their locations.
_BUCKETS: dict[str, Callable[[str, str], Bucket]] = {
    "s3": S3Bucket.from_environment,
    "gs": GoogleBucket.from_environment,
    "wasbs": AzureContainer.from_environment,
}
# Buckets with the login of a repository of MLflow.
_REPOSITORY_BUCKETS: dict[str, Callable[[ArtifactRepository, str], Bucket]] = {
    "s3": S3Bucket.from_repository,
    "r2": S3Bucket.from_repository,
    "gs": GoogleBucket.from_repository,
    "abfss": AzureFileSystem,
}
# Each ends the path of a URL, so the text after it would not be read.
_PATH_ENDS = frozenset("?#")


def are_read_without_mlflow(schemes: Collection[str]) -> bool:
    """Return whether schemes of locations all name stores that are read without MLflow; false if there is none.

    >>> are_read_without_mlflow(["s3", "gs"]), are_read_without_mlflow(["s3", "abfss"]), are_read_without_mlflow([])
    (True, False, False)
    """
    return bool(schemes) and _BUCKETS.keys() >= set(schemes)


def stored_files(uri: str, limiter: ConcurrencyLimiter) -> StoredFiles | None:
    """Return the files at a location in an object store that is read without MLflow, None for any other location.

    Args:
        uri: The location.
        limiter: Limits the concurrent requests to the store.

    Raises:
        ModelError: The location has two readings, or the login is for another account.
    """
    parts = urlsplit(uri)
    container, _, host = parts.netloc.rpartition("@")
    if parts.scheme not in _BUCKETS or (parts.scheme == "wasbs" and not is_blob_host(host)):
        return None
    name = container if parts.scheme == "wasbs" else parts.netloc
    path = parts.path.removeprefix("/")
    _require_unambiguous(uri, name, path)
    return StoredFiles(_BUCKETS[parts.scheme](name, host), uri, path, limiter)


def stored_files_of(repository: ArtifactRepository, uri: str, limiter: ConcurrencyLimiter) -> StoredFiles | None:
    """Return the files in an object store that a repository of MLflow has, None if no object store has the location.

    Args:
        repository: MLflow's repository for the location, which has the login and the client of the cloud.
        uri: The location.
        limiter: Limits the concurrent requests to the store.

    Raises:
        ModelError: MLflow may read other objects than those below the path of the location.
    """
    scheme = urlsplit(uri).scheme
    if scheme not in _REPOSITORY_BUCKETS:
        return None
    name, path = _bucket_and_path(repository, scheme, uri)
    _require_unambiguous(uri, name, path)
    return StoredFiles(_REPOSITORY_BUCKETS[scheme](repository, name), uri, path, limiter)


def _bucket_and_path(repository: Any, scheme: str, uri: str) -> tuple[str, str]:
    """Return the bucket and the path that MLflow reads for a location."""
    if scheme == "abfss":
        return repository.container, repository.base_data_lake_directory
    name, path = repository.parse_gcs_uri(uri) if scheme == "gs" else repository.parse_s3_compliant_uri(uri)
    return name, path


def _require_unambiguous(uri: str, name: str, path: str) -> None:
    """Require that a location has one reading only.

    Args:
        uri: The location.
        name: The bucket that is read.
        path: The path that is read.
    """
    written = uri.partition("://")[2].partition("/")[2]
    segments = path.removesuffix("/").split("/") if path else []
    if not name:
        problem = "which names no bucket"
    elif not _PATH_ENDS.isdisjoint(uri):
        problem = "which has a question mark or a number sign"
    elif not {".", ".."}.isdisjoint(segments):
        problem = "whose path has a segment `.` or `..`"
    elif "" in segments or path not in {written, unquote(written)}:
        problem = "whose path has an empty segment"
    else:
        return
    raise ModelError(f"The location of the model is {printable(uri)}, {problem}.", "Check the location of the model.")


class StoredFiles:
    """The files below a prefix of a bucket. Paths are relative to the prefix.

    Args:
        bucket: The bucket.
        uri: The location, for error messages.
        path: The path of the model in the bucket, "" for the whole bucket. A slash at its end means nothing.
        limiter: Limits the concurrent requests to the store.
    """

    def __init__(self, bucket: Bucket, uri: str, path: str, limiter: ConcurrencyLimiter) -> None:
        self._bucket = bucket
        self._uri = uri
        root = path.removesuffix("/")
        # What all keys of the model begin with.
        self._prefix = f"{root}/" if root else ""
        self._limiter = limiter
        self._client = StoreClient(bucket, uri)
        self._range_pool = ThreadPoolExecutor(MAX_CONCURRENCY)

    @property
    def bucket(self) -> Bucket:
        """The bucket that has the files."""
        return self._bucket

    def list_pages(self, start: str = "") -> Iterator[list[StoredFile]]:
        """Yield all files whose paths begin with `start`, with their sizes, page by page.

        A Data Lake lists directories only, so it lists all files in any case.

        Raises:
            ModelError: The store lists what no directory can contain.
            TransferError: A page of the listing is malformed, or does not say whether another page follows.
        """
        with store_errors(self._uri, os.environ), well_formed_pages(store_of(self._uri, os.environ)):
            prefix = self._prefix if isinstance(self._bucket, AzureFileSystem) else self._prefix + start
            for page in self._bucket.pages(prefix):
                yield [
                    StoredFile(stored.key.removeprefix(self._prefix), stored.size)
                    for stored in page
                    if not self._is_directory(stored) and stored.key.startswith(self._prefix + start)
                ]

    def is_one_file(self) -> bool:
        """Return whether the location is that of an object. If the store does not say, it is not.

        An empty object may stand for a directory. A Data Lake has real directories, and lists below them only.
        """
        key = self._prefix.removesuffix("/")
        if not key or isinstance(self._bucket, AzureFileSystem):
            return False
        store = store_of(self._uri, os.environ)
        with suppress(ModelGateError), store_errors(self._uri, os.environ), well_formed_pages(store):
            # A store lists keys in order, so the object would be the first one.
            first_page = next(iter(self._bucket.pages(key)), ())
            return any(stored.key == key and stored.size > 0 for stored in first_page)
        return False

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`, which must exist.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """
        progress = TransferProgress(on_progress)
        key = self._prefix + path
        with store_errors(self._uri, os.environ):
            try:
                RangeDownload(self._client, self._limiter, self._range_pool, key, size, progress.add).write_to(
                    destination
                )
            except Urllib3TimeoutError:
                raise
            except (HTTPError, UnsupportedDownloadError) as error:
                if isinstance(error, WrongSizeError):
                    self._client.suspect(path)
                progress.restart()
                os.truncate(destination, 0)
                self.open(path, size).read(ByteRange(0, size), destination, progress.add)

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""
        return _StoredParts(self._uri, self._client, self._prefix + path, path, size, self._limiter)

    def _is_directory(self, stored: StoredObject) -> bool:
        """Return whether an object stands for a directory: some programs store an empty object for each directory.

        Raises:
            ModelError: The object is not below the prefix, or has content although its name is that of a directory.
        """
        if not stored.key.startswith(self._prefix):
            raise ModelError(
                f"The store lists {printable(stored.key)}, which is not in {printable(self._prefix)}.",
                "Check the store.",
            )
        is_directory = stored.key == self._prefix or stored.key.endswith("/")
        if is_directory and stored.size:
            raise ModelError(
                f"The object {printable(stored.key)} has the name of a directory, but also {byte_count(stored.size)}"
                " of content.",
                "Remove the slash at the end of its name, or delete the object.",
            )
        return is_directory


class _StoredParts(FileParts):
    """The parts of one object. Errors name the store."""

    def __init__(
        self, uri: str, client: StoreClient, key: str, path: str, size: int, limiter: ConcurrencyLimiter
    ) -> None:
        requests = FileRequests(lambda: client.whole(key), lambda headers: client.get(key, headers))
        super().__init__(ListedFile(path, size), requests, limiter)
        self._uri = uri

    def read(self, part: ByteRange, destination: str, on_bytes: Callable[[int], None]) -> None:
        """Do the same as `FileParts.read`."""
        with store_errors(self._uri, os.environ):
            super().read(part, destination, on_bytes)

    def read_again(self, part: ByteRange, destination: str) -> None:
        """Do the same as `FileParts.read_again`."""
        with store_errors(self._uri, os.environ):
            super().read_again(part, destination)
