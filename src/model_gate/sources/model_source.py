"""The classes through which the gate reads a model's files: from a directory, or from a tracking server."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model_gate.domain.location import Location
from model_gate.domain.model import FileRequest, Listing
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import printable
from model_gate.errors import AccessError, ModelGateError, NotFoundError, TransferError, storage_error
from model_gate.regular_files import open_regular
from model_gate.sources.directory import DirectoryListing, list_directory
from model_gate.sources.directory_process import DirectoryProcess
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.sources.windowed_file import DirectoryFile, ServerFile, WindowedFile

_COPY_BYTES = 1024 * 1024


class ModelSource(Protocol):
    """Lists and fetches the files of one model."""

    @property
    def name(self) -> str:
        """The name of the model in the gate, such as `run_model/server_1`."""

    @property
    def location(self) -> Location:
        """The location of the model."""

    @property
    def is_local(self) -> bool:
        """Whether the files can be read without a transfer."""

    @property
    def is_near(self) -> bool:
        """Whether the server responds to small requests in less than 15 ms, as `list` has found.

        Only then does fetching small files in batches save time.
        """

    @property
    def is_kept(self) -> bool:
        """Whether the compared files still exist after the gate has ended."""

    @property
    def directory(self) -> Path:
        """The directory that holds the files during the comparison."""

    def list(self, on_progress: ProgressCallback) -> Listing:
        """Return all files with their sizes in bytes. `on_progress` receives the number of files listed so far."""

    def begin_list(self) -> None:
        """Begin to list the files in another process, if the files are on this machine."""

    def local_file(self, path: str) -> str:
        """Return the path of the file on this machine, or "" if it must be fetched before it is compared.

        The size of the file is not checked.
        """

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        """Begin to fetch files.

        Args:
            sizes: Listed size in bytes of each file, by path relative to the model's root.
            on_bytes: Receives the number of bytes that have arrived since its last call, from any thread.

        Returns:
            A future of the local path of each file, by path relative to the model's root. Local paths are text, because
            making a Path object takes as long as fetching a small file.
        """

    @property
    def has_windows(self) -> bool:
        """Whether large files can be read window by window, as `list` has found. False if files are kept."""

    def open_file(self, path: str, size: int, on_bytes: Callable[[int], None]) -> WindowedFile:
        """Return a file of `size` bytes whose windows can be read. `on_bytes` is used as in `begin_fetch`."""

    def release(self, file: str) -> None:
        """Delete a fetched file after its comparison, unless it is kept."""

    def begin_check(self) -> None:
        """Begin the check of `require_unchanged` if another process does the check."""

    def require_unchanged(self) -> None:
        """Raise a TransferError if files that were read in place or copied have changed since `list`."""

    def close(self) -> None:
        """End the processes of this source."""


class DirectorySource:
    """A model on this machine. Its files are compared in place, or copied first if the user keeps the downloads."""

    def __init__(self, root: Path, location: Location, name: str, storage: Storage) -> None:
        self.location = location
        self.name = name
        self._root = str(root)
        self._storage = storage
        self._listing: DirectoryListing | None = None
        self._process: DirectoryProcess | None = None
        # The local paths of the copies, if the user keeps them.
        self._copies: dict[str, str] = {}

    @property
    def is_local(self) -> bool:
        """Always true: the files are on this machine."""
        return True

    @property
    def is_near(self) -> bool:
        """Always true: nothing is transferred."""
        return True

    @property
    def is_kept(self) -> bool:
        """Always true: the gate deletes neither the local model nor its copy in the download directory."""
        return True

    @property
    def directory(self) -> Path:
        """The download directory if the user has named one, otherwise the directory of the model."""
        return self._storage.directory(self.name) if self._storage.keeps else Path(self._root)

    def list(self, on_progress: ProgressCallback) -> Listing:
        """Return all files with their sizes in bytes.

        Raises:
            ModelError: The directory cannot be a model, for example because a link leaves it.
            StorageError: A directory cannot be read.
        """
        listing = self._process.listing() if self._process else None
        if listing is None:
            self.close()
            listing = list_directory(Path(self._root), on_files=lambda count: on_progress({"files": count}))
        self._listing = listing
        on_progress({"files": len(listing.files)})
        return listing

    def begin_list(self) -> None:
        """Begin to list the files in another process, if the system can start one and both agree on file names."""
        if sys.getfilesystemencoding() == "utf-8":
            with suppress(OSError):
                self._process = DirectoryProcess(self._root)

    def fetch(self, path: str, size: int) -> str:
        """Return the local path of the file. If the user keeps the downloads, this is the path of the only copy.

        Raises:
            StorageError: The file cannot be read or copied.
            TransferError: The file does not have the listed size.
        """
        original = f"{self._root}/{path}"
        if path in self._copies:
            return _check_size(self._copies[path], path, size, self.location)
        if self._storage.keeps:
            copy = str(self._storage.reserve(self.name, path))
            try:
                with open(original, "rb", opener=open_regular) as source, open(copy, "wb") as destination:
                    shutil.copyfileobj(source, destination, _COPY_BYTES)
            except OSError as error:
                raise storage_error(error, f"copy {printable(path)} from {self._root}") from error
            self._copies[path] = _check_size(copy, path, size, self.location)
            return copy
        return _check_size(original, path, size, self.location)

    def local_file(self, path: str) -> str:
        """Return the path of the file, or "" if it must be copied to the download directory before it is compared."""
        return "" if self._storage.keeps else f"{self._root}/{path}"

    def begin_fetch(
        self,
        sizes: Mapping[str, int],
        on_bytes: Callable[[int], None],  # noqa: ARG002  # no bytes are transferred
    ) -> Future[dict[str, str]]:
        """Return a finished future of the local path of each file.

        If the user keeps the downloads, the files are copied before the return.
        """
        future: Future[dict[str, str]] = Future()
        try:
            future.set_result({path: self.fetch(path, size) for path, size in sizes.items()})
        except ModelGateError as error:
            future.set_exception(error)
        return future

    @property
    def has_windows(self) -> bool:
        """Whether the files are compared in place, and not copied first."""
        return not self._storage.keeps

    def open_file(
        self,
        path: str,
        size: int,
        on_bytes: Callable[[int], None],  # noqa: ARG002  # no bytes are transferred
    ) -> WindowedFile:
        """Return a file of `size` bytes whose windows can be read."""
        return DirectoryFile(f"{self._root}/{path}", path, size, self.location, self._storage)

    def release(self, file: str) -> None:
        """Do nothing: neither the model nor its copy in the download directory is deleted."""

    def begin_check(self) -> None:
        """Begin the check of `require_unchanged` in the process that has listed the files, if there is one."""
        if self._process is not None:
            self._process.begin_check()

    def require_unchanged(self) -> None:
        """Verify that no file was changed, added or removed since the listing.

        Raises:
            TransferError: The model changed.
        """
        if self._listing is not None and not (self._process and self._process.is_unchanged()):
            self._listing.require_unchanged()

    def close(self) -> None:
        """Kill the process that has listed the files, if there is one."""
        if self._process is not None:
            self._process.close()
            self._process = None


@dataclass(frozen=True)
class AccessContext:
    """Texts that are added to the error if a model cannot be accessed.

    Attributes:
        model: The model, for example "The run model of 'wine' version 7 on …". If it is "", no text is added.
        reason: Sentence about the cause, added to the message.
        alternative: Sentence about what the user can do without the model, added to the remedy.
    """

    model: str = ""
    reason: str = ""
    alternative: str = ""

    def add_to(self, error: ModelGateError) -> ModelGateError:
        """Return a copy of the error with the texts, or the error itself if `model` is ""."""
        if not self.model:
            return error
        # Without permission for the files, the run cannot be read either, which is nothing new.
        reason = "" if isinstance(error, AccessError) else self.reason
        message = f"{self.model} is out of reach: {error.message} {reason}".rstrip()
        return type(error)(message, f"{error.remedy} {self.alternative}".strip(), detail=error.detail)


class ServerSource:
    """A model on a tracking server."""

    def __init__(
        self,
        client: TrackingServerClient,
        location: Location,
        name: str,
        storage: Storage,
        access_context: AccessContext,
    ) -> None:
        self.location = location
        self.name = name
        self.is_near = False
        self.has_windows = False
        self._client = client
        self._storage = storage
        self._access_context = access_context
        self._listing: Listing | None = None
        # The local paths of the downloaded files, if the user keeps them.
        self._kept: dict[str, str] = {}

    @property
    def is_local(self) -> bool:
        """Always false: files must be downloaded."""
        return False

    @property
    def is_kept(self) -> bool:
        """Whether the files are in the user's download directory."""
        return self._storage.keeps

    @property
    def directory(self) -> Path:
        """The directory that files are downloaded to."""
        return self._storage.directory(self.name)

    def list(self, on_progress: ProgressCallback) -> Listing:
        """Return all files with the sizes in bytes that the server reports. The server lists them only once.

        Raises:
            ModelGateError: The server cannot list the files.
        """
        if self._listing is not None:
            return self._listing
        try:
            listing = self._client.list(self.location.uri, on_progress)
        except (AccessError, NotFoundError) as error:
            raise self._access_context.add_to(error) from error
        self.is_near = listing.is_near
        self.has_windows = listing.has_parts and not self._storage.keeps
        self._listing = listing
        return listing

    def begin_list(self) -> None:
        """Do nothing: the worker lists the files."""

    def local_file(self, path: str) -> str:  # noqa: ARG002  # no file is local
        """Return "", because all files of a tracking server must be downloaded first."""
        return ""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        """Begin to download files. The future fails with a TransferError if a file does not have its listed size.

        A file that the user keeps is downloaded only once.
        """
        fetch: Future[dict[str, str]] = Future()
        try:
            kept = {
                path: _check_size(self._kept[path], path, size, self.location)
                for path, size in sizes.items()
                if path in self._kept
            }
            files = [
                FileRequest(path, size, str(self._storage.reserve(self.name, path, size)))
                for path, size in sizes.items()
                if path not in kept
            ]
        except ModelGateError as error:
            fetch.set_exception(error)
            return fetch
        if not files:
            fetch.set_result(kept)
            return fetch

        def on_downloaded(download: Future[None]) -> None:
            try:
                download.result()
                fetch.set_result(kept | self._received(files))
            except ModelGateError as error:
                fetch.set_exception(error)

        download = self._client.begin_fetch(self.location.uri, files, lambda note: on_bytes(int(note["bytes"])))
        download.add_done_callback(on_downloaded)
        return fetch

    def _received(self, files: Iterable[FileRequest]) -> dict[str, str]:
        """Return the local path of each downloaded file, and remember it if the user keeps the file.

        Raises:
            TransferError: A file does not have its listed size.
        """
        for file in files:
            self._storage.arrived(Path(file.destination))
        received = {file.path: _check_size(file.destination, file.path, file.size, self.location) for file in files}
        if self._storage.keeps:
            self._kept |= received
        return received

    def open_file(self, path: str, size: int, on_bytes: Callable[[int], None]) -> WindowedFile:
        """Return a file of `size` bytes whose windows can be read."""
        return ServerFile(self._client, self.location, path, size, self._storage, on_bytes)

    def release(self, file: str) -> None:
        """Delete the file, unless the user keeps the downloads."""
        self._storage.release(Path(file))

    def begin_check(self) -> None:
        """Do nothing: no other program changes the downloaded files."""

    def require_unchanged(self) -> None:
        """Do nothing: no other program changes the downloaded files."""

    def close(self) -> None:
        """Do nothing: the gate ends the worker."""


def _check_size(file: str, path: str, size: int, location: Location) -> str:
    """Return `file`, the local path of a model's file, if the file has the listed size.

    The size is checked because MLflow accepts truncated responses.

    Raises:
        StorageError: The file cannot be read.
        TransferError: The file has another size.
    """
    try:
        actual_size = os.stat(file).st_size
    except OSError as error:
        raise storage_error(error, f"read {printable(path)} of {location.uri}") from error
    if actual_size != size:
        raise TransferError(
            f"{printable(path)} of {location.place} has {actual_size:,} bytes, but was listed with {size:,}.",
            "The transfer was cut short, or the model has changed: run the gate again.",
        )
    return file
