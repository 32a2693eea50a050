"""A model that is a directory on this machine: its files, with links followed as long as they stay inside."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from model_gate.domain.model import MAX_FILES, Listing
from model_gate.domain.wording import printable
from model_gate.errors import ModelError, storage_error

_SPECIAL = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_OWN_FILES = "A model must hold its own files: replace the link by what it should point to."
# Links that lead to directories full of links multiply: twenty levels of two are a million directories.
_MAX_LINKED_DIRECTORIES = 50_000


@dataclass(frozen=True)
class _Directory:
    """A directory still to be read.

    Attributes:
        path: Relative to the model's root, "" or ending in `/`.
        real: Its real path.
        entered_from: The real directories from which links led here: entering one of their ancestors again is a loop.
    """

    path: str
    real: str
    entered_from: tuple[str, ...] = ()


def list_directory(root: Path) -> Listing:
    """The files below `root`. Empty directories are not part of a model.

    Raises:
        ModelError: `root` is no directory; a link dangles, loops or leaves the model; a FIFO, a socket or a device.
        StorageError: A directory cannot be read.
    """
    try:
        real_root = os.path.realpath(root, strict=True)
    except OSError as error:
        raise ModelError(f"There is no directory {printable(str(root))}.", "Check the path.") from error
    if not os.path.isdir(real_root):
        raise ModelError(
            f"{printable(str(root))} is not a directory.",
            "Name the model's directory, the one with the MLmodel file.",
        )
    files: dict[str, int] = {}
    pending = [_Directory("", real_root)]
    linked = 0
    while pending:
        directory = pending.pop()
        linked += bool(directory.entered_from)
        if linked > _MAX_LINKED_DIRECTORIES:
            raise ModelError(
                f"Symbolic links in {printable(real_root)} lead to more than {_MAX_LINKED_DIRECTORIES:,} directories.",
                _OWN_FILES,
            )
        for entry in _entries(directory):
            path = directory.path + entry.name
            if entry.is_symlink():
                found = _follow(entry, path, directory, real_root)
            elif entry.is_dir(follow_symlinks=False):
                found = _Directory(path + "/", os.path.join(directory.real, entry.name), directory.entered_from)
            else:
                found = None
            if found is not None:
                pending.append(found)
                continue
            files[path] = _regular_size(entry, path)
            if len(files) > MAX_FILES:
                raise ModelError(f"There are more than {MAX_FILES:,} files in {root}.", "Is it a model?")
    return Listing(files)


def _entries(directory: _Directory) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory.real) as entries:
            return list(entries)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = printable(directory.path)[:200]
            raise ModelError(f"The path {shown}… is longer than this system can open.", "Shorten it.") from error
        raise storage_error(error, f"list the directory {printable(directory.real)}") from error


def _follow(entry: os.DirEntry[str], path: str, directory: _Directory, real_root: str) -> _Directory | None:
    """The directory that a link leads to, or None if it leads to something else inside the model."""
    link = f"The symbolic link {printable(path)} in {printable(real_root)}"
    try:
        target = os.path.realpath(entry.path, strict=True)
    except OSError as error:
        what = "points to itself" if error.errno == errno.ELOOP else "points to nothing"
        raise ModelError(f"{link} {what}.", _OWN_FILES) from error
    if not _is_within(target, real_root):
        raise ModelError(f"{link} leaves the model.", _OWN_FILES)
    if not os.path.isdir(target):
        return None
    entered_from = (*directory.entered_from, directory.real)
    if any(_is_within(origin, target) for origin in entered_from):
        raise ModelError(f"{link} leads in a loop.", _OWN_FILES)
    return _Directory(path + "/", target, entered_from)


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _regular_size(entry: os.DirEntry[str], path: str) -> int:
    try:
        status = entry.stat(follow_symlinks=True)
    except OSError as error:
        raise storage_error(error, f"read {printable(path)}") from error
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    kind = next((name for is_kind, name in _SPECIAL if is_kind(status.st_mode)), "not a regular file")
    raise ModelError(f"{printable(path)} is {kind}, which no model can hold.", "Remove it from the model.")


def local_path(uri: str) -> Path:
    """The real path that a `file:` URI or a plain path stands for."""
    if uri.startswith("file:"):
        path = uri.removeprefix("file:")
        # file:///path, file:/path and file://localhost/path are all in use.
        uri = unquote("/" + path.removeprefix("//").partition("/")[2] if path.startswith("//") else path)
    return Path(os.path.realpath(uri))
