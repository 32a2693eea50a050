"""A seal in the place of a model's source: it lists the files of the model, and has no bytes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from model_gate.domain.location import Location
from model_gate.domain.model import Listing
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.seal import Seal
from model_gate.errors import InternalError
from model_gate.sources.windowed_file import WindowedFile


class SealSource:
    """The files in a seal.

    Args:
        seal: The seal.
        sizes: Listed size in bytes of each file of the model that is compared with the seal. It stands for the size of
            a file whose size the seal does not say.
    """

    is_local = True
    is_near = True
    is_kept = True
    has_windows = False

    def __init__(self, seal: Seal, sizes: Mapping[str, int]) -> None:
        self.name = "seal"
        # No model has this reader, so no model has the location of a seal.
        self.location = Location(seal.file, "seal")
        self.directory = Path(seal.file)
        self._seal = seal
        self._sizes = sizes

    def list(self, on_progress: ProgressCallback) -> Listing:
        """Return all files with their sizes in bytes."""
        files = {
            path: self._sizes.get(path, 0) if resource.size is None else resource.size
            for path, resource in self._seal.files.items()
        }
        on_progress({"files": len(files)})
        return Listing(files)

    def begin_list(self) -> None:
        """Do nothing: the seal was read before the comparison."""

    def local_file(self, path: str) -> str:  # noqa: ARG002  # no file is local
        """Return "", because a seal has no bytes."""
        return ""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:  # noqa: ARG002
        """Return a failed future, because a seal has no bytes."""
        fetch: Future[dict[str, str]] = Future()
        fetch.set_exception(self._no_bytes())
        return fetch

    def _no_bytes(self) -> InternalError:
        return InternalError(
            f"A file was read from the seal {self._seal.file}, which has only SHA-256 digests.", "Please report it."
        )

    def open_file(self, path: str, size: int, on_bytes: Callable[[int], None]) -> WindowedFile:  # noqa: ARG002
        """Raise an error, because a seal has no bytes."""
        raise self._no_bytes()

    def release(self, file: str) -> None:
        """Do nothing: no file was fetched."""

    def begin_check(self) -> None:
        """Do nothing: the seal was read before the comparison."""

    def require_unchanged(self) -> None:
        """Do nothing: the seal was read before the comparison."""

    def close(self) -> None:
        """Do nothing: a seal has no process."""
