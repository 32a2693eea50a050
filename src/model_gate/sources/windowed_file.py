"""Large files that are read window by window: of a tracking server, or of a directory on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from model_gate.domain.location import Location
from model_gate.domain.model import PartRequest
from model_gate.domain.windows import Window
from model_gate.domain.wording import printable
from model_gate.errors import ModelGateError, TransferError, storage_error
from model_gate.regular_files import open_regular
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient

_COPY_BYTES = 1024 * 1024


class WindowedFile(Protocol):
    """A file whose windows are read one after the other. All of them belong to one version of the file."""

    @property
    def size(self) -> int:
        """Listed size in bytes."""

    def begin_read(self, window: Window) -> Future[str]:
        """Begin to read a window. Windows must be requested in order, without a gap.

        Returns:
            A future of the local path of a file that has exactly the bytes of the window.
        """

    def release(self, file: str) -> None:
        """Give back the local file of a window, which a later window overwrites; delete it if the reads have ended."""

    def read_again(self, start: int, size: int) -> bytes:
        """Return `size` bytes from the offset `start`, of the version whose windows were read.

        Raises:
            ModelGateError: The file has another version now, or its server cannot send a part of it.
        """

    def stop(self) -> None:
        """End the reads of windows. Parts of the file can still be read again."""

    def close(self) -> None:
        """End all reads, and delete the local files of windows that were given back."""


class ServerFile:
    """A file on a tracking server."""

    def __init__(
        self,
        client: TrackingServerClient,
        location: Location,
        path: str,
        size: int,
        storage: Storage,
        on_bytes: Callable[[int], None],
    ) -> None:
        self.size = size
        self._client = client
        self._location = location
        self._path = path
        self._storage = storage
        self._on_bytes = on_bytes
        self._handle = client.new_handle()
        self._is_closed = False

    def begin_read(self, window: Window) -> Future[str]:
        """Begin to download a window. The future fails with a TransferError if it does not have its size."""
        read: Future[str] = Future()
        try:
            file = self._storage.reserve_window(self._path, window.size)
        except ModelGateError as error:
            read.set_exception(error)
            return read

        def on_read(done: Future[None]) -> None:
            try:
                self._storage.arrived(file)
                done.result()
                read.set_result(_require_size(str(file), window.size, self._path, self._location))
            except Exception as error:  # noqa: BLE001  # without a result or an error, the comparison waits for ever
                try:
                    self._storage.discard_window(file)
                finally:
                    read.set_exception(error)

        part = self._part(window.start, window.stop, file)
        self._client.begin_read(part, lambda note: self._on_bytes(int(note["bytes"]))).add_done_callback(on_read)
        return read

    def release(self, file: str) -> None:
        """Give back the local file of a window, which a later window overwrites; delete it if the reads have ended."""
        if self._is_closed:
            self._storage.discard_window(Path(file))
        else:
            self._storage.give_back_window(Path(file))

    def read_again(self, start: int, size: int) -> bytes:
        """Return `size` bytes from the offset `start`, of the version whose windows were read.

        Raises:
            ModelGateError: The file has another version now, or its server cannot send a part of it.
        """
        file = self._storage.reserve_window(self._path, size)
        try:
            self._client.begin_read(self._part(start, start + size, file, is_again=True)).result()
            return Path(_require_size(str(file), size, self._path, self._location)).read_bytes()
        finally:
            self._storage.discard_window(file)

    def stop(self) -> None:
        """End the reads of windows. Parts of the file can still be read again."""
        self._client.stop_reading(self._handle)

    def close(self) -> None:
        """End all reads, and delete the local files of windows that were given back."""
        self._is_closed = True
        self._client.close_file(self._handle)
        self._storage.discard_free_windows()

    def _part(self, start: int, stop: int, file: Path, *, is_again: bool = False) -> PartRequest:
        return PartRequest(
            self._handle, self._location.uri, self._path, self.size, start, stop, str(file), is_again=is_again
        )


class DirectoryFile:
    """A file on this machine. Its windows are copied, because `filecmp` compares whole files only."""

    def __init__(self, file: str, path: str, size: int, location: Location, storage: Storage) -> None:
        self.size = size
        self._file = file
        self._path = path
        self._location = location
        self._storage = storage

    def begin_read(self, window: Window) -> Future[str]:
        """Copy a window, and return a finished future of the copy's path."""
        read: Future[str] = Future()
        try:
            read.set_result(self._copy(window))
        except ModelGateError as error:
            read.set_exception(error)
        return read

    def _copy(self, window: Window) -> str:
        copy = self._storage.reserve_window(self._path, window.size)
        try:
            with open(self._file, "rb", opener=open_regular) as source, open(copy, "r+b") as destination:
                source.seek(window.start)
                missing = window.size
                while missing and (data := source.read(min(missing, _COPY_BYTES))):
                    missing -= len(data)
                    destination.write(data)
                # The file may have bytes of an earlier window.
                destination.truncate()
            return _require_size(str(copy), window.size, self._path, self._location)
        except OSError as error:
            raise storage_error(error, f"copy a part of {printable(self._path)}") from error
        finally:
            self._storage.arrived(copy)

    def release(self, file: str) -> None:
        """Delete the copy of a window."""
        self._storage.discard_window(Path(file))

    def read_again(self, start: int, size: int) -> bytes:
        """Return `size` bytes from the offset `start`.

        Raises:
            StorageError: The file cannot be read.
            TransferError: The file is shorter than listed.
        """
        try:
            with open(self._file, "rb", opener=open_regular) as file:
                file.seek(start)
                data = file.read(size)
        except OSError as error:
            raise storage_error(error, f"read {printable(self._path)}") from error
        if len(data) != size:
            raise _wrong_size(self._path, self._location, len(data), size)
        return data

    def stop(self) -> None:
        """Do nothing: no read is in progress."""

    def close(self) -> None:
        """Do nothing: no file is open."""


def _require_size(file: str, size: int, path: str, location: Location) -> str:
    """Return `file`, the local path of a window, if it has `size` bytes.

    Raises:
        StorageError: The local file cannot be read.
        TransferError: It has another size.
    """
    try:
        actual_size = os.stat(file).st_size
    except OSError as error:
        raise storage_error(error, f"read a part of {printable(path)}") from error
    if actual_size != size:
        with contextlib.suppress(OSError):
            os.unlink(file)
        raise _wrong_size(path, location, actual_size, size)
    return file


def _wrong_size(path: str, location: Location, actual_size: int, size: int) -> TransferError:
    return TransferError(
        f"A part of {printable(path)} of {location.place} has {actual_size:,} bytes, but should have {size:,}.",
        "The transfer was cut short, or the model has changed: run the gate again.",
    )
