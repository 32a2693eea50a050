"""Lists the files of a model directory by directory, within the limits of depth, entries, characters and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Protocol, TypeVar, runtime_checkable

from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.wording import plural, printable, truncate
from model_gate.errors import ModelError, TransferError, UnreachableError
from model_gate.worker.failures import listing_model
from model_gate.worker.response_limits import ListingAllowance
from model_gate.worker.stores.bucket import StoredFile
from model_gate.worker.transfer.file_parts import FileParts

_T = TypeVar("_T")
_THREADS = 8
_REMEDY = "Check the server or store of the model: no model has such a listing."
# Operating systems have sizes of files as signed integers of 64 bits.
_MAX_FILE_BYTES = 2**63 - 1


class ListedEntry(Protocol):
    """A file or a directory in a listing. MLflow's `FileInfo` is one."""

    @property
    def path(self) -> str:
        """The path relative to the model."""

    @property
    def is_dir(self) -> bool:
        """Whether the entry is a directory."""

    @property
    def file_size(self) -> int | None:
        """The size in bytes, None for a directory or if the server does not report it."""


class ModelFiles(Protocol):
    """The files of one model. Paths are relative to the model."""

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        """Write one file of `size` bytes to `destination`, which must exist.

        `on_progress` may be called with the number of `bytes` received since its last call.
        """


@runtime_checkable
class FilesInDirectories(ModelFiles, Protocol):
    """The files of one model, which are listed directory by directory."""

    def list_artifacts(self, path: str | None) -> Sequence[ListedEntry]:
        """Return the files and directories directly in the directory `path`; None is the root of the model.

        The size of a file is None if the server does not report it.
        """


@runtime_checkable
class UnsizedFiles(ModelFiles, Protocol):
    """The files of one model, of which a server lists empty ones without a size."""

    def require_empty(self, path: str) -> None:
        """Require that a file is empty.

        Raises:
            TransferError: The file has content.
        """


@runtime_checkable
class FilesInParts(ModelFiles, Protocol):
    """The files of one model, of which large ones can be read part by part."""

    def open(self, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes."""


@runtime_checkable
class FilesInPages(ModelFiles, Protocol):
    """The files of one model in a store without directories, which lists the files of all directories together."""

    def list_pages(self, start: str = "") -> Iterator[list[StoredFile]]:
        """Yield all files whose paths begin with `start`, with their sizes, page by page."""

    def is_one_file(self) -> bool:
        """Return whether the location of the model is that of a file. Call this method only if there are no files."""


class ModelListing:
    """Reads the listing of one model, directory by directory or page by page.

    Call either `read` or `has_entry`, and only once.

    Args:
        open_model: Returns the files of the model. The first call may send requests.
        uri: Location of the model, for error messages.
        on_progress: Called with the number of `files` found so far.
        limits: The upper bounds of the listing.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        open_model: Callable[[], ModelFiles],
        uri: str,
        on_progress: ProgressCallback,
        limits: Limits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_model = open_model
        self._uri = uri
        self._on_progress = on_progress
        self._limits = limits
        self._clock = clock
        self._start = clock()
        self._files: dict[str, int] = {}
        self._unsized: set[str] = set()
        # The directories of files that are listed in pages.
        self._directories: set[str] = set()
        self._pending: dict[Future[Sequence[ListedEntry]], str] = {}
        self._characters = 0
        # Files on the pages so far.
        self._listed = 0
        self._allowance = ListingAllowance(limits)
        self._pool = ThreadPoolExecutor(_THREADS)

    def read(self) -> dict[str, int]:
        """Return a dict from the path of each file to its size in bytes.

        Raises:
            ModelError: The listing does not describe a directory tree, or exceeds a limit. Or the location is that of
                a file.
            TransferError: The server does not report the size of a file, or sends too much.
            UnreachableError: The listing takes too long.
        """
        with self._reading():
            model = self._result(self._pool.submit(self._open_model))
            if isinstance(model, FilesInPages):
                self._read_pages(model.list_pages())
                if not self._files:
                    self._require_no_file(model)
            else:
                self._walk()
                self._require_unsized_empty()
        return self._files

    def has_entry(self, name: str) -> bool:
        """Return whether the root directory has a file or directory called `name`. The search ends at the first match.

        Raises:
            ModelError: The listing exceeds a limit.
            TransferError: The server sends too much, or a malformed page.
            UnreachableError: The listing takes too long.
        """
        with self._reading():
            model = self._result(self._pool.submit(self._open_model))
            if isinstance(model, FilesInPages):
                pages = self._pages(model.list_pages(name))
                return any(stored.path.partition("/")[0] == name for page in pages for stored in page)
            return any(info.path == name for info in self._result(self._pool.submit(self._list, None)))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with listing_model(self._uri):
                yield
        finally:
            # A thread may still wait for a server that does not respond. The worker does not wait for that thread.
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _walk(self) -> None:
        self._begin("")
        while self._pending:
            for future in self._wait(self._pending):
                parent = self._pending.pop(future)
                for info in future.result():
                    self._add(info, parent)
            self._on_progress({"files": len(self._files)})

    def _read_pages(self, pages: Iterator[list[StoredFile]]) -> None:
        for page in self._pages(pages):
            for stored in page:
                self._add_file(stored.path, stored.size)
            self._on_progress({"files": len(self._files)})

    def _require_no_file(self, model: FilesInPages) -> None:
        if self._result(self._pool.submit(self._is_one_file, model)):
            raise ModelError(
                f"{printable(self._uri)} is one file, not a directory.",
                f"Name the directory of the model: {printable(self._uri.rstrip('/').rpartition('/')[0])}.",
            )

    def _is_one_file(self, model: FilesInPages) -> bool:
        with self._allowance():
            return model.is_one_file()

    def _pages(self, pages: Iterator[list[StoredFile]]) -> Iterator[list[StoredFile]]:
        count = 0
        while (page := self._result(self._pool.submit(self._next_page, pages))) is not None:
            count += 1
            if count > self._limits.listing_pages:
                raise self._too_large(f"it has more than {plural(self._limits.listing_pages, 'page')}")
            self._listed += len(page)
            yield page

    def _next_page(self, pages: Iterator[list[StoredFile]]) -> list[StoredFile] | None:
        with self._allowance():
            return next(pages, None)

    def _add_file(self, path: str, size: int) -> None:
        """Add a file of a page. Its path implies its directories."""
        if not _is_path(path) or path in self._files or path in self._directories:
            raise _invalid_path(path)
        size = _valid_size(path, size)
        parent = path
        while (parent := parent.rpartition("/")[0]) and parent not in self._directories:
            if parent in self._files:
                raise _invalid_path(path)
            self._directories.add(parent)
        self._count(path)
        self._files[path] = size

    def _result(self, future: Future[_T]) -> _T:
        (done,) = self._wait([future])
        return done.result()

    def _begin(self, directory: str) -> None:
        self._pending[self._pool.submit(self._list, directory or None)] = directory

    def _list(self, directory: str | None) -> Sequence[ListedEntry]:
        with self._allowance():
            model = self._open_model()
            if not isinstance(model, FilesInDirectories):
                raise TypeError("the files are not listed directory by directory")
            return model.list_artifacts(directory)

    def _add(self, info: ListedEntry, parent: str) -> None:
        path = info.path
        if path in self._files or path in self._unsized or not _is_entry_of(path, parent):
            raise _invalid_entry(path, parent)
        self._count(path)
        if info.is_dir:
            self._begin(path)
        elif info.file_size is None:
            self._unsized.add(path)
        else:
            self._files[path] = _valid_size(path, int(info.file_size))

    def _count(self, path: str) -> None:
        """Count a path that is about to be added, and require that the listing is within its limits."""
        limits = self._limits
        self._characters += len(path) if path.isascii() else 6 * len(path)
        entries = len(self._files) + len(self._unsized) + len(self._pending) + len(self._directories)
        if entries >= limits.listing_files:
            raise self._too_large(f"it has more than {plural(limits.listing_files, 'file')}")
        if self._characters > limits.listing_characters:
            raise self._too_large(f"its paths have more than {plural(limits.listing_characters, 'character')} together")
        if len(path) > limits.path_characters:
            raise self._too_large(f"a path has more than {plural(limits.path_characters, 'character')}")
        if path.count("/") >= limits.listing_depth:
            raise self._too_large(f"it has more than {plural(limits.listing_depth, 'level')} of directories")

    def _too_large(self, excess: str) -> ModelError:
        return ModelError(f"The listing of {truncate(self._uri, 200)} is too large: {excess}.", _REMEDY)

    def _require_unsized_empty(self) -> None:
        checks = {self._pool.submit(self._require_empty, path) for path in self._unsized}
        while checks:
            for done in self._wait(checks):
                checks.remove(done)
                self._files[done.result()] = 0
            self._on_progress({"files": len(self._files)})

    def _require_empty(self, path: str) -> str:
        model = self._open_model()
        if not isinstance(model, UnsizedFiles):
            raise TransferError(
                f"The store does not report the size of {printable(path)}, so a truncated download would go unnoticed.",
                "Use an artifact store that lists sizes.",
            )
        model.require_empty(path)
        return path

    def _wait(self, futures: Iterable[Future[_T]]) -> set[Future[_T]]:
        """Return the futures that are done, after waiting for at least one of them."""
        found = max(self._listed, len(self._files) + len(self._unsized))
        limit = self._limits.listing_seconds + found * self._limits.listing_seconds_per_file
        remaining = self._start + limit - self._clock()
        done, _ = wait(futures, timeout=max(0, remaining), return_when=FIRST_COMPLETED)
        if not done or remaining <= 0:
            raise UnreachableError(
                f"The listing of {truncate(self._uri, 200)} did not end within {limit:.0f} s.",
                "Check whether the server is overloaded, and whether its listing ends.",
            )
        return done


def _is_entry_of(path: str, parent: str) -> bool:
    """Return whether `path` is a valid path directly in the directory `parent`: its name is not empty and not `..`."""
    above, _, name = path.rpartition("/")
    return above == parent and name not in {"", ".", ".."} and "\0" not in name


def _is_path(path: str) -> bool:
    """Return whether `path` is a valid path of a file below a directory."""
    return {"", ".", ".."}.isdisjoint(path.split("/")) and "\0" not in path


def _invalid_path(path: str) -> ModelError:
    return ModelError(
        f"The store lists {printable(path)!r}, which no directory can contain beside the other files.",
        "Check the names of the objects: an empty part, `.` or `..`, or a file with the name of a directory.",
    )


def _valid_size(path: str, size: int) -> int:
    """Return the listed size of a file, if a file can have it.

    Raises:
        ModelError: The size is negative, or larger than that of any file.
    """
    if not 0 <= size <= _MAX_FILE_BYTES:
        number = truncate(f"{size:,}", 40)
        raise ModelError(
            f"The listing has {printable(path)} with {number} bytes, which no file has.",
            "Check the server or the store.",
        )
    return size


def _invalid_entry(path: str, parent: str) -> ModelError:
    return ModelError(
        f"The listing has {printable(path)!r} in {printable(parent) or 'the model'!r}, which is not a valid entry.",
        "Check the server or the store: the listing does not describe a directory.",
    )
