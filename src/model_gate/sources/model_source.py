"""The two models of a comparison as the parent sees them: something to list, and to fetch files from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model_gate.domain.location import Location
from model_gate.domain.model import FileRequest, Listing
from model_gate.domain.wording import printable
from model_gate.errors import AccessError, ModelGateError, NotFoundError, TransferError, storage_error
from model_gate.sources.directory import list_directory
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import ProgressCallback, TrackingServerClient


class ModelSource(Protocol):
    """Where the files of one model come from."""

    @property
    def name(self) -> str:
        """What the model is called: the part that it plays, as in `run_model/server_1`."""

    @property
    def location(self) -> Location:
        """Where the model is."""

    @property
    def is_at_hand(self) -> bool:
        """Whether its files can be read without being transferred."""

    @property
    def is_near(self) -> bool:
        """Whether a small file comes in less time than it takes to ask for it; known when the files were listed."""

    @property
    def is_kept(self) -> bool:
        """Whether the files are still there afterwards."""

    @property
    def directory(self) -> Path:
        """Where the files are while they are compared."""

    def list(self, note: ProgressCallback) -> Listing:
        """All files with their sizes."""

    def file_at_hand(self, path: str) -> str:
        """The file where it is, if it need not be fetched: its size is not looked at; "" if it must be."""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        """Begin to fetch the files of these sizes, by path; in the end there are local files with their bytes.

        Those are text, since a Path costs as much as a small file. `on_bytes` may hear, from another thread, how many
        bytes more have come.
        """

    def release(self, file: str) -> None:
        """The fetched file has been judged."""


class DirectorySource:
    """A model on this machine: compared where it is, or copied first if the user wants to keep a copy."""

    def __init__(self, root: Path, location: Location, role: str, storage: Storage) -> None:
        self.location = location
        self._root = str(root)
        self.name = role
        self._storage = storage

    @property
    def is_at_hand(self) -> bool:
        """Yes."""
        return True

    @property
    def is_near(self) -> bool:
        """Yes."""
        return True

    @property
    def is_kept(self) -> bool:
        """Yes: either the model itself or the user's copy."""
        return True

    @property
    def directory(self) -> Path:
        """The model itself, or the user's copy."""
        return self._storage.directory(self.name) if self._storage.keeps else Path(self._root)

    def list(self, note: ProgressCallback) -> Listing:
        """All files with their sizes; links that leave the model are errors."""
        listing = list_directory(Path(self._root))
        note({"files": len(listing.files)})
        return listing

    def fetch(self, path: str, size: int) -> str:
        """The file itself, or the user's copy of it."""
        original = f"{self._root}/{path}"
        if self._storage.keeps:
            copy = str(self._storage.reserve(self.name, path))
            try:
                shutil.copyfile(original, copy)
            except OSError as error:
                raise storage_error(error, f"copy {printable(path)} from {self._root}") from error
            return _of_size(copy, path, size, self.location)
        return _of_size(original, path, size, self.location)

    def file_at_hand(self, path: str) -> str:
        """The file itself, unless the user wants a copy."""
        return "" if self._storage.keeps else f"{self._root}/{path}"

    def begin_fetch(
        self,
        sizes: Mapping[str, int],
        on_bytes: Callable[[int], None],  # noqa: ARG002  # none come
    ) -> Future[dict[str, str]]:
        """Fetch, at once."""
        future: Future[dict[str, str]] = Future()
        try:
            future.set_result({path: self.fetch(path, size) for path, size in sizes.items()})
        except ModelGateError as error:
            future.set_exception(error)
        return future

    def release(self, file: str) -> None:
        """Nothing was fetched that could be deleted."""


@dataclass(frozen=True)
class AccessContext:
    """What to say of a model that is out of reach.

    Attributes:
        model: "The run model of 'wine' version 7 on …", "" for one that nobody named.
        reason: What else is known of it.
        otherwise: What can be done without it.
    """

    model: str = ""
    reason: str = ""
    otherwise: str = ""

    def explain(self, error: ModelGateError) -> ModelGateError:
        """The error, told of this model."""
        if not self.model:
            return error
        message = f"{self.model} is out of reach: {error.message} {self.reason}".rstrip()
        return type(error)(message, f"{error.remedy} {self.otherwise}".strip(), detail=error.detail)


class ServerSource:
    """A model behind a tracking server."""

    def __init__(
        self, server: TrackingServerClient, location: Location, role: str, storage: Storage, reach: AccessContext
    ) -> None:
        self.location = location
        self._server = server
        self.name = role
        self._storage = storage
        self._reach = reach
        self.is_near = False

    @property
    def is_at_hand(self) -> bool:
        """No."""
        return False

    @property
    def is_kept(self) -> bool:
        """In a download directory only."""
        return self._storage.keeps

    @property
    def directory(self) -> Path:
        """Where files are fetched to."""
        return self._storage.directory(self.name)

    def list(self, note: ProgressCallback) -> Listing:
        """All files with their sizes, as the server tells them."""
        try:
            listing = self._server.list(self.location.uri, note)
        except (AccessError, NotFoundError) as error:
            raise self._reach.explain(error) from error
        self.is_near = listing.is_near
        return listing

    def file_at_hand(self, path: str) -> str:  # noqa: ARG002  # there is none
        """None is."""
        return ""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        """Ask the server's process for the files; their sizes must be the listed ones."""
        fetched: Future[dict[str, str]] = Future()
        try:
            files = [
                FileRequest(path, size, str(self._storage.reserve(self.name, path, size)))
                for path, size in sizes.items()
            ]
        except ModelGateError as error:
            fetched.set_exception(error)
            return fetched

        def on_end(ended: Future[None]) -> None:
            try:
                ended.result()
                fetched.set_result(
                    {file.path: _of_size(file.destination, file.path, file.size, self.location) for file in files}
                )
            except ModelGateError as error:
                fetched.set_exception(error)

        asked = self._server.begin_fetch(self.location.uri, files, lambda note: on_bytes(int(note["bytes"])))
        asked.add_done_callback(on_end)
        return fetched

    def release(self, file: str) -> None:
        """Delete the fetched file, unless the user wants to keep it."""
        self._storage.release(Path(file))


def _of_size(file: str, path: str, size: int, location: Location) -> str:
    """The file, if it is as long as the listing said: MLflow takes half a body for the whole."""
    try:
        found = os.stat(file).st_size
    except OSError as error:
        raise storage_error(error, f"read {printable(path)} of {location.uri}") from error
    if found != size:
        raise TransferError(
            f"{printable(path)} of {location.uri} has {found:,} bytes, but was listed with {size:,}.",
            "The transfer was cut short, or the model was changed meanwhile: run the gate again.",
        )
    return file
