"""Lists and fetches the files of a model at a physical URI.

Fetching goes file by file through the repository's own `_download_file`, or faster where a tracking server serves the
files itself. The public calls list the parent directory again for each file, and those for `models:/` and `runs:/`
resolve names on the process's global server.
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

from model_gate.domain.model import MAX_FILES, FileRequest
from model_gate.domain.wording import printable
from model_gate.errors import ModelError, TransferError
from model_gate.worker.progress import ProgressCallback
from model_gate.worker.transfer.batch import Batch
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.proxied_files import ProxiedFiles

# Stores whose files a tracking server may name. Not among them: local paths (the parent reads those, and only for a
# local server), and what would be resolved on a server of its choice.
SCHEMES = frozenset(
    {"mlflow-artifacts", "http", "https", "s3", "r2", "gs", "wasb", "wasbs", "abfs", "abfss", "hdfs", "viewfs"}
)
_LISTERS = 8

# A proxying server reads a whole file from its store before it sends the first byte.
_FIRST_BYTE_SECONDS = 18
_STORE_BYTES_PER_SECOND = 20_000_000


class ModelFiles(Protocol):
    """The files of one model. Paths are relative to it."""

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is directly below `path`, None for the model itself; a size of None is one that is not told."""

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`, which exists; `note` may be given how many have come."""


class ArtifactReader:
    """The artifact repositories behind one tracking server."""

    def __init__(self, tracking_uri: str) -> None:
        self._tracking_uri = tracking_uri
        self._flow = ConcurrencyLimiter()
        self._helpers = ThreadPoolExecutor(MAX_CONCURRENCY)
        self._largest = 0
        self._lock = threading.Lock()
        self._model = lru_cache(maxsize=64)(self._open)

    @property
    def is_near(self) -> bool:
        """Whether the server, as far as its listings tell, answers at once."""
        return self._flow.is_near

    def list(self, uri: str, note: ProgressCallback) -> dict[str, int]:
        """Size by path of all files below `uri`; `note` is given the number found so far.

        Raises:
            ModelError: The location cannot be read from here, or the listing is not one of a directory tree.
        """
        model: ModelFiles = self._model(uri)
        files: dict[str, int] = {}
        with ThreadPoolExecutor(_LISTERS) as pool:
            try:
                unsized = _walk(model, uri, files, pool, note)
                for done in as_completed([pool.submit(_require_empty, model, path) for path in unsized]):
                    files[done.result()] = 0
                    note({"files": len(files)})
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        with self._lock:
            self._largest = max(self._largest, *files.values(), 0)
            self._allow_for(self._largest)
        return files

    def fetch(self, uri: str, files: Sequence[FileRequest], note: ProgressCallback) -> None:
        """Write files to their destinations; `note` may be given how many `bytes` more have come.

        Files that come in parts, each of which waits for its turn, are to be asked for one at a time.
        """
        model: ModelFiles = self._model(uri)

        def fetch(file: FileRequest) -> None:
            model.fetch(file.path, file.size, file.destination, note)

        if len(files) == 1:
            fetch(files[0])
        else:
            Batch(files, self._flow, self._helpers).fetch(fetch)

    def _open(self, uri: str) -> Any:
        require_readable(uri, self._tracking_uri)
        repository = get_artifact_repository(uri, tracking_uri=self._tracking_uri)
        if isinstance(repository, HttpArtifactRepository):
            return ProxiedFiles(repository, self._flow)
        return StoreFiles(repository, self._flow)

    @staticmethod
    def _allow_for(largest: int) -> None:
        # The server has just answered, so a long wait is no longer a dead host. Not for a user who set the limit.
        if os.environ.get("MODEL_GATE_OWN_TIMEOUT") == "true":
            seconds = _FIRST_BYTE_SECONDS + largest // _STORE_BYTES_PER_SECOND
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(seconds)
            os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"


class StoreFiles:
    """The files at one location in an object store."""

    def __init__(self, repository: ArtifactRepository, flow: ConcurrencyLimiter) -> None:
        self._repository = repository
        self._flow = flow

    def list_artifacts(self, path: str | None) -> list[FileInfo]:
        """What is directly below `path`."""
        return self._repository.list_artifacts(path)

    def fetch(self, path: str, size: int, destination: str, note: ProgressCallback) -> None:  # noqa: ARG002  # it tells none
        """Write one file of `size` bytes to `destination`."""
        with self._flow.request(size):
            self._repository._download_file(path, destination)  # type: ignore[no-untyped-call]  # noqa: SLF001


def require_readable(uri: str, tracking_uri: str) -> None:
    """Refuse a location that a hostile or mistaken server could use against the runner."""
    parts = urlsplit(uri)
    own = urlsplit(tracking_uri)
    if parts.scheme == "mlflow-artifacts" and own.scheme not in {"http", "https"}:
        raise ModelError(
            f"The model is at {uri}, which only a running tracking server can read, not its database.",
            "Start the server, and name its http address as the host.",
        )
    if parts.scheme not in SCHEMES:
        raise ModelError(
            f"The model is said to be at {uri}, which cannot be read from here.",
            "Let the server proxy its artifacts: mlflow server --serve-artifacts.",
        )
    if parts.scheme in {"mlflow-artifacts", "http", "https"} and parts.netloc not in {"", own.netloc}:
        # MLflow would send this server's credentials there.
        raise ModelError(
            f"The model is said to be at {uri}: on another host than the tracking server's.",
            "Name the tracking server that serves the artifacts as the host.",
        )


def _walk(
    model: ModelFiles,
    uri: str,
    files: dict[str, int],
    pool: ThreadPoolExecutor,
    note: ProgressCallback,
) -> set[str]:
    """Enter all files below `uri` into `files`; returns those whose size is not told."""
    unsized: set[str] = set()
    pending = {pool.submit(model.list_artifacts, None): ""}
    while pending:
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            parent = pending.pop(future)
            for info in future.result():
                if info.path in files or info.path in unsized or not _is_below(info.path, parent):
                    raise _misplaced(info.path, parent)
                if info.is_dir:
                    pending[pool.submit(model.list_artifacts, info.path)] = info.path
                elif info.file_size is None:
                    unsized.add(info.path)
                else:
                    files[info.path] = int(info.file_size)
        note({"files": len(files)})
        _require_bounded(len(files) + len(unsized), pending.values(), uri)
    return unsized


def _require_empty(model: ModelFiles, path: str) -> str:
    if not isinstance(model, ProxiedFiles):
        raise TransferError(
            f"The store does not tell the size of {printable(path)}: a short download would go unnoticed.",
            "Use an artifact store that lists sizes.",
        )
    model.require_empty(path)
    return path


def _is_below(path: str, parent: str) -> bool:
    """Whether a listed path is one directly below the directory that was listed."""
    above, _, name = path.rpartition("/")
    return above == parent and name not in {"", ".", ".."} and "\0" not in name


def _misplaced(path: str, parent: str) -> ModelError:
    return ModelError(
        f"The server lists {printable(path)!r} in {printable(parent) or 'the model'!r}, where it cannot be.",
        "Check the tracking server: its listing is not one of a directory.",
    )


def _require_bounded(files: int, pending: Collection[str], uri: str) -> None:
    if files + len(pending) > MAX_FILES or any(len(path) > 16_384 for path in pending):
        raise ModelError(f"The listing of {uri} does not end.", "Check the tracking server.")
