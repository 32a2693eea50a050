"""Lists and downloads the files of a model at a storage location, such as `s3://bucket/path`.

`StoredFiles` reads object stores. Locations with `s3:`, `gs:` and `wasbs:` are opened without MLflow
(`worker.stores.files`), all others with MLflow (`worker.mlflow_files`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from model_gate.domain.host import LOOPBACK
from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.location import LOCAL_REMEDY, is_local_uri, other_machine, path_in_uri
from model_gate.domain.model import FileRequest, PartRequest
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import byte_count, printable
from model_gate.errors import ModelError, TransferError
from model_gate.worker.early_listings import EarlyListings
from model_gate.worker.failures import downloading_file, is_not_found
from model_gate.worker.free_memory import FreeMemory
from model_gate.worker.held_secrets import HeldSecrets, secrets_of
from model_gate.worker.listing import FilesInParts, ModelFiles, ModelListing
from model_gate.worker.mlflow_import import import_mlflow
from model_gate.worker.network import declared_endpoints, guard_azure_redirects
from model_gate.worker.origins import LocationPolicy
from model_gate.worker.progress import TransferProgress
from model_gate.worker.resource_limits import FileSizeLimit
from model_gate.worker.response_limits import downloading
from model_gate.worker.store_failures import store_errors
from model_gate.worker.store_settings import require_settings
from model_gate.worker.stores.files import StoredFiles, stored_files
from model_gate.worker.transfer.batch import Batch
from model_gate.worker.transfer.byte_range import ByteRange
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts

if TYPE_CHECKING:
    from model_gate.worker.transfer.proxied_files import ProxiedFiles


class ArtifactReader:
    """Lists and downloads the model files that one tracking server names.

    Args:
        tracking_uri: URI of the tracking server.
        file_size_limit: The limit for the size of files that this process writes. Each download raises it to the size
            of its file. None for no limit.
        limits: The upper bounds of listings and downloads.
        allow_local: Whether an HTTP tracking server on this machine may name local paths.
        server_directory: The server's working directory, to which its relative paths refer; "" if it is unknown.
        free_memory: Counts the transferred bytes, and returns free memory; None for one with the usual interval.
    """

    def __init__(
        self,
        tracking_uri: str,
        file_size_limit: FileSizeLimit | None = None,
        limits: Limits = LIMITS,
        *,
        allow_local: bool = False,
        server_directory: str = "",
        free_memory: FreeMemory | None = None,
    ) -> None:
        self._tracking_uri = tracking_uri
        self._policy = LocationPolicy(tracking_uri, declared_endpoints())
        self._allow_local = allow_local
        self._server_directory = server_directory
        self._limits = limits
        self._file_size_limit = file_size_limit
        self._limiter = ConcurrencyLimiter()
        # A version can have one model on the server and one in a store. A store has many machines, so it gets
        # MAX_CONCURRENCY requests at once from the start. If it throttles, the limit halves.
        self._store_limiter = ConcurrencyLimiter(initial=MAX_CONCURRENCY)
        self._batch_pool = ThreadPoolExecutor(MAX_CONCURRENCY)
        self._free_memory = free_memory or FreeMemory()
        self._largest_file = 0
        self._lock = threading.Lock()
        self._early_listings = EarlyListings(self._read_listing)
        self._held_secrets = HeldSecrets()
        self._open_cached = lru_cache(maxsize=64)(self._open_watched)
        # The files that are being read part by part, by the number that the parent gave to each.
        self._opened: dict[int, FileParts] = {}
        # Those of them that hold a login that is not valid any more.
        self._stale: set[int] = set()
        # A read can arrive after the file was closed, because each request has a thread of its own.
        self._closed: set[int] = set()

    def is_near(self, uri: str) -> bool:
        """Return whether the server of a location is near, that is whether its fastest listing took less than 15 ms.

        A store is never near: its small files are fetched at the same time, not in batches.
        """
        return self._limiter.is_near and not isinstance(self._open_cached(uri), StoredFiles)

    def list(self, uri: str, on_progress: ProgressCallback) -> dict[str, int]:
        """Return a dict from the path of each file below `uri` to its size in bytes. Paths are relative to `uri`.

        `on_progress` is called with the number of `files` found so far.

        Raises:
            ModelError: `uri` is not allowed, or the listing does not describe a directory tree or exceeds a limit.
            TransferError: The server does not report the size of a file, or sends too much or too slowly.
        """
        files = self._early_listings.read(uri, on_progress)
        with self._lock:
            self._largest_file = max(self._largest_file, *files.values(), 0)
            self._extend_timeout(self._largest_file, self._limits)
        return files

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the logins to object stores."""
        return self._held_secrets.read()

    def secrets_at(self, uri: str) -> tuple[str, ...]:
        """Return the secrets of the login to the object store of a location."""
        files = self._open_cached(uri)
        return secrets_of(files.bucket) if isinstance(files, StoredFiles) else ()

    def begin_list(self, uri: str) -> None:
        """Begin to list the files below `uri`, because the parent process will soon call `list`."""
        self._early_listings.begin(uri)

    def _read_listing(self, uri: str, on_progress: ProgressCallback) -> dict[str, int]:
        return ModelListing(lambda: self._open_cached(uri), uri, on_progress, self._limits).read()

    def has_entry(self, uri: str, name: str) -> bool:
        """Return whether the directory at `uri` has a file or directory called `name`. False if nothing is at `uri`.

        Raises:
            ModelError: The location is not allowed.
        """
        if is_local_uri(uri):
            return self._has_local_entry(uri, name)
        try:
            return ModelListing(lambda: self._open_cached(uri), uri, lambda _: None, self._limits).has_entry(name)
        except Exception as error:
            if is_not_found(error):
                return False
            raise

    def _has_local_entry(self, uri: str, name: str) -> bool:
        server = urlsplit(self._tracking_uri)
        if other_machine(uri) or (server.scheme in {"http", "https"} and server.hostname not in LOOPBACK):
            raise ModelError(
                f"The tracking server stores the artifacts of the run at {uri}, on its own machine.",
                "Let the server proxy its artifacts (mlflow server --serve-artifacts), or use a store that both reach.",
            )
        if server.scheme in {"http", "https"} and not self._allow_local:
            raise ModelError(
                f"The tracking server stores the artifacts of the run at {uri}, a path on this machine.", LOCAL_REMEDY
            )
        path = path_in_uri(uri)
        if not os.path.isabs(path) and not self._server_directory:
            raise ModelError(
                f"The tracking server stores the artifacts of the run at {uri}, relative to its own working directory,"
                " which is unknown here.",
                "Give the server an absolute artifact root, or let it proxy its artifacts, and log the model again.",
            )
        # The parent process resolves the path of a model in the same way.
        return os.path.lexists(os.path.join(self._server_directory, path, name))

    def fetch(self, uri: str, files: Sequence[FileRequest], on_progress: ProgressCallback) -> None:
        """Download files below `uri`, each to its own destination.

        A file that is large enough for range requests must be the only file of the call, because each range request
        needs a slot (permission to send a request). In a call with several files, each thread has only one slot.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """
        model: ModelFiles = self._open_cached(uri)

        def fetch(file: FileRequest) -> None:
            if self._file_size_limit is not None:
                self._file_size_limit.allow(file.size)
            try:
                with downloading_file(file.path, uri), downloading(file.size, file.path, self._limits):
                    model.fetch(file.path, file.size, file.destination, on_progress)
                self._free_memory.transferred(file.size)
            except OSError as error:
                if self._file_size_limit is None or not self._file_size_limit.is_cause_of(error):
                    raise
                raise TransferError(
                    f"The server sends more bytes of {printable(file.path)} than the {byte_count(file.size)} that it"
                    " lists.",
                    "Check the server, or run the gate again if the model has changed.",
                ) from error

        if len(files) == 1:
            fetch(files[0])
        else:
            Batch(files, self._limiter, self._batch_pool).fetch(fetch)

    def reads_parts(self, uri: str) -> bool:
        """Return whether large files below `uri` can be read part by part."""
        return isinstance(self._open_cached(uri), FilesInParts)

    def read(self, request: PartRequest, on_progress: ProgressCallback) -> None:
        """Write a part of a file to its own destination.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """
        part = ByteRange(request.start, request.stop)
        if self._file_size_limit is not None:
            self._file_size_limit.allow(part.size)
        with downloading_file(request.path, request.uri, in_parts=True):
            opened = self._opened_file(request)
            if request.is_again:
                opened.read_again(part, request.destination)
            else:
                progress = TransferProgress(on_progress)
                opened.read(part, request.destination, progress.add)
        self._free_memory.transferred(part.size)

    def _opened_file(self, request: PartRequest) -> FileParts:
        replaced: FileParts | None = None
        with self._lock:
            if request.handle in self._closed:
                raise TransferError(f"The download of {printable(request.path)} was ended.", "Run the gate again.")
            opened = self._opened.get(request.handle)
            if opened is None:
                opened = self._opened[request.handle] = self._open_file(request)
            elif request.handle in self._stale and (request.is_again or opened.has_failed):
                # Without a failure, other threads read from it: the parts before this one may be read there only.
                self._stale.discard(request.handle)
                renewed = self._open_file(request)
                if renewed.continue_from(opened):
                    replaced, opened = opened, renewed
                    self._opened[request.handle] = renewed
        if replaced is not None:
            replaced.close()
        return opened

    def _open_file(self, request: PartRequest) -> FileParts:
        model: FilesInParts = self._open_cached(request.uri)
        return model.open(request.path, request.size)

    def clear_cache(self) -> None:
        """Discard all cached clients, because they hold a login that is not valid any more."""
        self._open_cached.cache_clear()
        with self._lock:
            self._stale.update(self._opened)

    def stop(self, handle: int) -> None:
        """End the reads of a file. Its parts can still be read again."""
        with self._lock:
            opened = self._opened.get(handle)
        if opened is not None:
            opened.stop()

    def close(self, handle: int) -> None:
        """End the reads of a file for good."""
        with self._lock:
            self._closed.add(handle)
            opened = self._opened.pop(handle, None)
            self._stale.discard(handle)
        if opened is not None:
            opened.close()

    def _open_watched(self, uri: str) -> Any:
        files = self._open(uri)
        if isinstance(files, StoredFiles):
            self._held_secrets.watch(files.bucket)
        return files

    def _open(self, uri: str) -> Any:
        declared = self._open_declared(uri)
        if declared is not None:
            return declared
        stored = self._open_stored(uri)
        if stored is not None:
            return stored
        with store_errors(uri, os.environ):
            import_mlflow()
            from model_gate.worker.mlflow_files import mlflow_files

            return mlflow_files(uri, self._tracking_uri, self._limiter, self._store_limiter)

    def _open_declared(self, uri: str) -> ProxiedFiles | None:
        """Check that the worker may read `uri`. Return its files if a declared server serves them, else None.

        Raises:
            ModelError: The location is not allowed.
        """
        endpoint = self._policy.require_readable(uri)
        guard_azure_redirects(uri)
        if endpoint is None:
            return None
        import_mlflow()
        from model_gate.worker.mlflow_files import declared_files

        return declared_files(uri, endpoint, self._limiter)

    def _open_stored(self, uri: str) -> StoredFiles | None:
        """Return the files at a location in an object store that is opened without MLflow, None for any other location.

        Raises:
            ModelGateError: The settings of the store are malformed, or its client cannot be made.
        """
        require_settings(uri, os.environ)
        with store_errors(uri, os.environ):
            return stored_files(uri, self._store_limiter)

    @staticmethod
    def _extend_timeout(largest_file: int, limits: Limits) -> None:
        # The server has answered the listing, so it is alive and may take longer to send a file.
        # MODEL_GATE_OWN_TIMEOUT is true if the user has set no timeout.
        if os.environ.get("MODEL_GATE_OWN_TIMEOUT") == "true":
            # A server that proxies artifacts reads a whole file from its store before it sends the first byte.
            seconds = limits.first_byte_seconds + largest_file // limits.store_bytes_per_second
            os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(min(seconds, limits.first_byte_max_seconds))
            os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
