"""Lists the files of a model in a directory on this machine.

Symbolic links are followed. A link that leads out of the directory is an error.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from model_gate.domain.limits import LIMITS
from model_gate.domain.model import Listing
from model_gate.domain.wording import printable
from model_gate.errors import ModelError, TransferError, storage_error

_SPECIAL_FILES = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# Linux takes the times of changes from a clock that ticks at least a hundred times a second.
_CLOCK_TICK_NANOSECONDS = 20_000_000
REPORTED_FILES = 10_000
_LINK_REMEDY = "Replace the link by the file or directory that the model needs: a model must contain its own files."
# Links to directories that contain links multiply: twenty levels of two links each lead to a million directories.
_MAX_LINKED_DIRECTORIES = 50_000


@dataclass(frozen=True)
class _Directory:
    """A directory that is not read yet.

    Attributes:
        path: Path relative to the model's root, with a `/` at the end. The path of the root is "".
        real_path: Absolute path without symbolic links.
        entered_from: Real paths of the directories that contain the links on the way here. A link to one of these
            directories, or to a directory above one of them, is a loop.
    """

    path: str
    real_path: str
    entered_from: tuple[str, ...] = ()


class States:
    """States of files or directories, in the order in which they were added.

    A state is the modification time, the change time, the inode and the device. Programs cannot set a change time.

    Args:
        numbers: The four numbers of each state, one state after the other.
    """

    NUMBERS = 4

    def __init__(self, numbers: array[int] | None = None) -> None:
        # A tuple for each of many files would take several times the memory.
        self.numbers = array("Q") if numbers is None else numbers
        self._append = self.numbers.append

    def add(self, status: os.stat_result) -> None:
        """Add the state of the file or directory that has this status."""
        # Without `_state_of`, the listing of many files takes a tenth less time.
        append = self._append
        append(status.st_mtime_ns & _64_BITS)
        append(status.st_ctime_ns & _64_BITS)
        append(status.st_ino)
        append(status.st_dev)

    def __iter__(self) -> Iterator[_State]:
        """Iterate over the states."""
        numbers = iter(self.numbers)
        return zip(numbers, numbers, numbers, numbers, strict=True)

    @property
    def latest_change(self) -> int:
        """The latest change time in nanoseconds, 0 without states."""
        return max(self.numbers[1 :: self.NUMBERS], default=0)


_State = tuple[int, int, int, int]
# Times can be negative.
_64_BITS = 2**64 - 1


def _state_of(status: os.stat_result) -> _State:
    return (status.st_mtime_ns & _64_BITS, status.st_ctime_ns & _64_BITS, status.st_ino, status.st_dev)


@dataclass(frozen=True, eq=False)
class DirectoryListing(Listing):
    """The files of a model on this machine, and their states, which show later whether a file has changed.

    Attributes:
        root: Path of the model's directory, through which its files are read.
        directories: Paths of the directories relative to `root`.
        file_states: States of the files.
        directory_states: States of the directories. Adding or removing a file changes the state of its directory.
    """

    root: str = ""
    directories: Sequence[str] = ()
    file_states: States = field(default_factory=States)
    directory_states: States = field(default_factory=States)

    def require_unchanged(self) -> None:
        """Verify that no file was changed, added or removed since the listing.

        Raises:
            TransferError: The model changed.
        """
        stat_file, prefix = os.stat, self.root + "/"
        path = ""
        try:
            for (path, size), state in zip(self.files.items(), self.file_states, strict=True):
                status = stat_file(prefix + path)
                # Without `_state_of`, the check of many files takes a tenth less time.
                if status.st_size != size or state != (
                    status.st_mtime_ns & _64_BITS,
                    status.st_ctime_ns & _64_BITS,
                    status.st_ino,
                    status.st_dev,
                ):
                    raise self._changed(path)
            for path, state in zip(self.directories, self.directory_states, strict=True):
                if _state_of(stat_file(prefix + path)) != state:
                    raise self._changed(path)
        except OSError as error:
            raise self._changed(path) from error

    def _changed(self, path: str) -> TransferError:
        name = f"{printable(path)} of {printable(self.root)}"
        if not path or path.endswith("/"):
            name = f"The directory {name if path else printable(self.root)}"
        return TransferError(
            f"{name} changed while it was compared.",
            "Run the gate again when nothing writes to the model.",
        )


def list_directory(
    root: Path, max_files: int = LIMITS.directory_files, on_files: Callable[[int], None] = lambda _: None
) -> DirectoryListing:
    """Return the path and the size in bytes of each file below `root`. Empty directories are not listed.

    If a file changes after the return, its state differs from the state in the listing. `on_files` is called with the
    number of files found so far, after every 10,000 files.

    Raises:
        ModelError: `root` is not a directory or contains more than `max_files` files. Or a link points to nothing,
            leads in a loop or leaves the model. Or a file is a FIFO, a socket or a device.
        StorageError: A directory cannot be read.
    """
    real_root = _real_root(root)
    files: dict[str, int] = {}
    directories: list[str] = []
    file_states, directory_states = States(), States()
    pending = [_Directory("", real_root)]
    linked = 0
    has_links = False
    while pending:
        directory = pending.pop()
        linked += bool(directory.entered_from)
        if linked > _MAX_LINKED_DIRECTORIES:
            raise ModelError(
                f"Symbolic links in {printable(real_root)} lead to more than {_MAX_LINKED_DIRECTORIES:,} directories.",
                _LINK_REMEDY,
            )
        status, entries = _entries(directory, real_root)
        directories.append(directory.path)
        directory_states.add(status)
        for entry in entries:
            path = directory.path + entry.name
            subdirectory = None
            if entry.is_symlink():
                has_links = True
                subdirectory = _linked_directory(entry, path, directory, real_root)
            elif entry.is_dir(follow_symlinks=False):
                real_path = os.path.join(directory.real_path, entry.name)
                subdirectory = _Directory(path + "/", real_path, directory.entered_from)
            if subdirectory is not None:
                pending.append(subdirectory)
                continue
            status = _regular_file_status(entry, path, real_root)
            files[path] = status.st_size
            file_states.add(status)
            if not len(files) % REPORTED_FILES:
                on_files(len(files))
            if len(files) > max_files:
                raise ModelError(f"There are more than {max_files:,} files in {root}.", "Check that it is a model.")
    _await_clock_tick(max(file_states.latest_change, directory_states.latest_change))
    return DirectoryListing(
        files,
        has_links=has_links,
        root=str(root),
        directories=directories,
        file_states=file_states,
        directory_states=directory_states,
    )


def _await_clock_tick(latest_change: int) -> None:
    """Wait until the clock for change times is past `latest_change` (nanoseconds), so that a new change is visible."""
    remaining = latest_change + _CLOCK_TICK_NANOSECONDS - time.time_ns()
    # A change time in the future comes from the clock of another machine. It may be far ahead, so there is no wait.
    if 0 < remaining <= _CLOCK_TICK_NANOSECONDS:
        time.sleep(remaining / 1e9)


def _real_root(root: Path) -> str:
    """Return the absolute path of the model's directory, without symbolic links.

    Raises:
        ModelError: `root` is not a directory.
    """
    try:
        real_root = os.path.realpath(root, strict=True)
    except OSError as error:
        raise ModelError(f"There is no directory {printable(str(root))}.", "Check the path.") from error
    if not os.path.isdir(real_root):
        raise ModelError(
            f"{printable(str(root))} is not a directory.",
            "Name the model's directory, which contains the MLmodel file.",
        )
    return real_root


def _entries(directory: _Directory, real_root: str) -> tuple[os.stat_result, list[os.DirEntry[str]]]:
    """Return the status and the entries of a directory.

    The status is read before the entries. So if an entry is added in the meantime, a later status differs from it.
    """
    try:
        status = os.stat(directory.real_path)
        with os.scandir(directory.real_path) as entries:
            return status, list(entries)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = printable(directory.path)[:200]
            raise ModelError(
                f"The path {shown}… in {printable(real_root)} is longer than this system can open.", "Shorten it."
            ) from error
        raise storage_error(error, f"list the directory {printable(directory.real_path)}") from error


def _linked_directory(entry: os.DirEntry[str], path: str, directory: _Directory, real_root: str) -> _Directory | None:
    """Return the directory that a link leads to, None if the link leads to a file inside the model.

    Raises:
        ModelError: The link points to nothing, leads in a loop or leaves the model.
    """
    link = f"The symbolic link {printable(path)} in {printable(real_root)}"
    try:
        target = os.path.realpath(entry.path, strict=True)
    except OSError as error:
        problem = "points to itself" if error.errno == errno.ELOOP else "points to nothing"
        raise ModelError(f"{link} {problem}.", _LINK_REMEDY) from error
    if not _is_within(target, real_root):
        raise ModelError(f"{link} leaves the model.", _LINK_REMEDY)
    if not os.path.isdir(target):
        return None
    entered_from = (*directory.entered_from, directory.real_path)
    if any(_is_within(origin, target) for origin in entered_from):
        raise ModelError(f"{link} leads in a loop.", _LINK_REMEDY)
    return _Directory(path + "/", target, entered_from)


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _regular_file_status(entry: os.DirEntry[str], path: str, real_root: str) -> os.stat_result:
    try:
        status = entry.stat(follow_symlinks=True)
    except OSError as error:
        raise storage_error(error, f"read {_name(path, real_root)}") from error
    if stat.S_ISREG(status.st_mode):
        return status
    kind = next((name for is_kind, name in _SPECIAL_FILES if is_kind(status.st_mode)), "not a regular file")
    raise ModelError(
        f"{_name(path, real_root)} is {kind}: a model can contain only files.", "Remove it from the model."
    )


def _name(path: str, real_root: str) -> str:
    return f"{printable(path)} in {printable(real_root)}"


def local_path(uri: str) -> Path:
    """Return the absolute path, without symbolic links, that a `file:` URI or a plain path names."""
    if uri.startswith("file:"):
        path = uri.removeprefix("file:")
        # The forms file:///path, file:/path and file://localhost/path are all in use.
        uri = unquote("/" + path.removeprefix("//").partition("/")[2] if path.startswith("//") else path)
    return Path(os.path.realpath(uri))
