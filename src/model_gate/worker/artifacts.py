"""Lists and downloads the files of a model at a storage location, such as `s3://bucket/path`.

If a tracking server proxies the files, `ProxiedFiles` downloads them. Otherwise `StoreFiles` calls `_download_file` of
MLflow's artifact repository. MLflow's public functions are not used: they list the parent directory again for each
file, and they resolve `models:/` and `runs:/` URIs on the global tracking server of the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path

from model_gate.domain.host import LOOPBACK
from model_gate.domain.location import is_local_uri
from model_gate.domain.model import MAX_FILES, FileRequest
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import printable
from model_gate.errors import ModelError, TransferError
from model_gate.worker.failures import is_not_found
from model_gate.worker.transfer.batch import Batch
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.proxied_files import ProxiedFiles

# Allow-list of the URI schemes that a tracking server may name as a location. Local paths are excluded, because only
# the parent may read them, and only if the server is local. `models:/` and `runs:/` are excluded, because MLflow may
# resolve them on another server.
SCHEMES = frozenset(
    {"mlflow-artifacts", "http", "https", "s3", "r2", "gs", "wasb", "wasbs", "abfs", "abfss", "hdfs", "viewfs"}
)
_LISTING_THREADS = 8
_MAX_PATH_CHARACTERS = 16_384

# A server that proxies artifacts reads a whole file from its store before it sends the first byte. The time limit for
# the first byte is 18 s, plus the time to read the largest listed file at 20 MB/s.
_FIRST_BYTE_SECONDS = 18
_STORE_BYTES_PER_SECOND = 20_000_000


class ModelFiles(Protocol):
    """The files of one model. Paths are relative to the model."""

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model.

        The size of a file is None if the server does not report it.
        """

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`, which must exist.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """


class ArtifactReader:
    """Lists and downloads the model files that one tracking server names.

    Args:
        tracking_uri: URI of the tracking server.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._limiter = ConcurrencyLimiter()
        self._batch_pool = ThreadPoolExecutor(MAX_CONCURRENCY)
        self._largest_file = 0
        self._lock = threading.Lock()
        self._open_cached = lru_cache(maxsize=64)(self._open)

    @property
    def is_near(self) -> bool:
        """Whether the server is near, that is whether its fastest listing took less than 15 ms."""
        return self._limiter.is_near

    def list(self, uri: str, on_progress: ProgressCallback) -> dict[str, int]:
        """Return a dict from the path of each file below `uri` to its size in bytes. Paths are relative to `uri`.

        `on_progress` is called with the number of `files` found so far.

        Raises:
            ModelError: `uri` is not allowed, or the listing does not describe a directory tree.
            TransferError: The server does not report the size of a file.
        """
        model: ModelFiles = self._open_cached(uri)
        files: dict[str, int] = {}
        with ThreadPoolExecutor(_LISTING_THREADS) as pool:
            try:
                unsized = _walk(model, uri, files, pool, on_progress)
                for done in as_completed([pool.submit(_require_empty, model, path) for path in unsized]):
                    files[done.result()] = 0
                    on_progress({"files": len(files)})
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        with self._lock:
            self._largest_file = max(self._largest_file, *files.values(), 0)
            self._extend_timeout(self._largest_file)
        return files

    def has_entry(self, uri: str, name: str) -> bool:
        """Return whether the directory at `uri` has a file or directory with this name; False without the directory.

        Raises:
            ModelError: The location is not allowed.
        """
        if is_local_uri(uri):
            return self._has_local_entry(uri, name)
        try:
            model: ModelFiles = self._open_cached(uri)
            return any(info.path == name for info in model.list_artifacts(None))
        except Exception as error:
            if is_not_found(error):
                return False
            raise

    def _has_local_entry(self, uri: str, name: str) -> bool:
        server = urlsplit(self._tracking_uri)
        if server.scheme in {"http", "https"} and server.hostname not in LOOPBACK:
            raise ModelError(
                f"The tracking server stores the artifacts of the run at {uri}, on its own machine.",
                "Let the server proxy its artifacts (mlflow server --serve-artifacts), or use a store that both reach.",
            )
        return os.path.lexists(os.path.join(local_file_uri_to_path(uri), name))  # type: ignore[no-untyped-call]

    def fetch(self, uri: str, files: Sequence[FileRequest], on_progress: ProgressCallback) -> None:
        """Download files below `uri`, each to its own destination.

        A file that is large enough for range requests must be the only file of the call, because each range request
        needs a slot (permission to send a request). In a call with several files, each thread has only one slot.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """
        model: ModelFiles = self._open_cached(uri)

        def fetch(file: FileRequest) -> None:
            model.fetch(file.path, file.size, file.destination, on_progress)

        if len(files) == 1:
            fetch(files[0])
        else:
            Batch(files, self._limiter, self._batch_pool).fetch(fetch)

    def _open(self, uri: str) -> Any:
        require_readable(uri, self._tracking_uri)
        repository = get_artifact_repository(uri, tracking_uri=self._tracking_uri)
        if isinstance(repository, HttpArtifactRepository):
            return ProxiedFiles(repository, self._limiter)
        return StoreFiles(repository, self._limiter)

    @staticmethod
    def _extend_timeout(largest_file: int) -> None:
        # The server has answered the listing, so it is alive and may take longer to send a file. The variable is true
        # if the user has set no timeout.
        if os.environ.get("MODEL_GATE_OWN_TIMEOUT") == "true":
            seconds = _FIRST_BYTE_SECONDS + largest_file // _STORE_BYTES_PER_SECOND
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(seconds)
            os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"


class StoreFiles:
    """The files at one location in an object store."""

    def __init__(self, repository: ArtifactRepository, limiter: ConcurrencyLimiter) -> None:
        self._repository = repository
        self._limiter = limiter

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """Return the files and directories directly in the directory `path`; None is the root of the model."""
        return self._repository.list_artifacts(path)

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:  # noqa: ARG002  # no progress is reported
        """Write one file of `size` bytes to `destination`. `on_progress` is never called."""
        with self._limiter.request(size):
            self._repository._download_file(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001


def require_readable(uri: str, tracking_uri: str) -> None:
    """Check that the worker may read the location `uri`, which comes from the tracking server.

    A malicious server could otherwise make the worker read local files or send its credentials to another host.

    Raises:
        ModelError: The location is not allowed.
    """
    location = urlsplit(uri)
    server = urlsplit(tracking_uri)
    if location.scheme == "mlflow-artifacts" and server.scheme not in {"http", "https"}:
        raise ModelError(
            f"The location of the model is {uri}, which only a running tracking server can read, not its database.",
            "Start the server, and name its http address as the host.",
        )
    if location.scheme not in SCHEMES:
        raise ModelError(
            f"The location of the model is {uri}, which cannot be read from here.",
            "Let the server proxy its artifacts: mlflow server --serve-artifacts.",
        )
    if location.scheme in {"mlflow-artifacts", "http", "https"} and location.netloc not in {"", server.netloc}:
        # MLflow would send this server's credentials to the other host.
        raise ModelError(
            f"The location of the model is {uri}, which is on another host than the tracking server.",
            "Name the tracking server that serves the artifacts as the host.",
        )


def _walk(
    model: ModelFiles,
    uri: str,
    files: dict[str, int],
    pool: ThreadPoolExecutor,
    on_progress: ProgressCallback,
) -> set[str]:
    """Add the paths and sizes of the files below `uri` to `files`.

    Files whose size the server does not report are not added: their paths are returned.
    """
    unsized: set[str] = set()
    pending = {pool.submit(model.list_artifacts, None): ""}
    while pending:
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            parent = pending.pop(future)
            for info in future.result():
                if info.path in files or info.path in unsized or not _is_entry_of(info.path, parent):
                    raise _invalid_entry(info.path, parent)
                if info.is_dir:
                    pending[pool.submit(model.list_artifacts, info.path)] = info.path
                elif info.file_size is None:
                    unsized.add(info.path)
                else:
                    files[info.path] = int(info.file_size)
        on_progress({"files": len(files)})
        _require_bounded(len(files) + len(unsized), pending.values(), uri)
    return unsized


def _require_empty(model: ModelFiles, path: str) -> str:
    if not isinstance(model, ProxiedFiles):
        raise TransferError(
            f"The store does not report the size of {printable(path)}, so a truncated download would go unnoticed.",
            "Use an artifact store that lists sizes.",
        )
    model.require_empty(path)
    return path


def _is_entry_of(path: str, parent: str) -> bool:
    """Whether `path` is a valid name directly in the directory `parent`."""
    above, _, name = path.rpartition("/")
    return above == parent and name not in {"", ".", ".."} and "\0" not in name


def _invalid_entry(path: str, parent: str) -> ModelError:
    return ModelError(
        f"The server lists {printable(path)!r} in {printable(parent) or 'the model'!r}, which is not a valid entry.",
        "Check the tracking server: its listing does not describe a directory.",
    )


def _require_bounded(files: int, pending: Collection[str], uri: str) -> None:
    if files + len(pending) > MAX_FILES or any(len(path) > _MAX_PATH_CHARACTERS for path in pending):
        raise ModelError(f"The listing of {uri} does not end.", "Check the tracking server.")
