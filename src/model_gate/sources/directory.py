"""Lists the files of a model in a directory on this machine.

Symbolic links are followed. A link that leads out of the directory is an error.
"""

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

_SPECIAL_FILES = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
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


def list_directory(root: Path, max_files: int = MAX_FILES) -> Listing:
    """Return the path and the size in bytes of each file below `root`. Empty directories are not listed.

    Raises:
        ModelError: `root` is not a directory or contains more than `max_files` files. Or a link points to nothing,
            leads in a loop or leaves the model. Or a file is a FIFO, a socket or a device.
        StorageError: A directory cannot be read.
    """
    real_root = _real_root(root)
    files: dict[str, int] = {}
    pending = [_Directory("", real_root)]
    linked = 0
    while pending:
        directory = pending.pop()
        linked += bool(directory.entered_from)
        if linked > _MAX_LINKED_DIRECTORIES:
            raise ModelError(
                f"Symbolic links in {printable(real_root)} lead to more than {_MAX_LINKED_DIRECTORIES:,} directories.",
                _LINK_REMEDY,
            )
        for entry in _entries(directory):
            path = directory.path + entry.name
            subdirectory = None
            if entry.is_symlink():
                subdirectory = _linked_directory(entry, path, directory, real_root)
            elif entry.is_dir(follow_symlinks=False):
                real_path = os.path.join(directory.real_path, entry.name)
                subdirectory = _Directory(path + "/", real_path, directory.entered_from)
            if subdirectory is not None:
                pending.append(subdirectory)
                continue
            files[path] = _regular_file_size(entry, path)
            if len(files) > max_files:
                raise ModelError(f"There are more than {max_files:,} files in {root}.", "Check that it is a model.")
    return Listing(files)


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


def _entries(directory: _Directory) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory.real_path) as entries:
            return list(entries)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            shown = printable(directory.path)[:200]
            raise ModelError(f"The path {shown}… is longer than this system can open.", "Shorten it.") from error
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


def _regular_file_size(entry: os.DirEntry[str], path: str) -> int:
    try:
        status = entry.stat(follow_symlinks=True)
    except OSError as error:
        raise storage_error(error, f"read {printable(path)}") from error
    if stat.S_ISREG(status.st_mode):
        return status.st_size
    kind = next((name for is_kind, name in _SPECIAL_FILES if is_kind(status.st_mode)), "not a regular file")
    raise ModelError(f"{printable(path)} is {kind}: a model can contain only files.", "Remove it from the model.")


def local_path(uri: str) -> Path:
    """Return the absolute path, without symbolic links, that a `file:` URI or a plain path names."""
    if uri.startswith("file:"):
        path = uri.removeprefix("file:")
        # The forms file:///path, file:/path and file://localhost/path are all in use.
        uri = unquote("/" + path.removeprefix("//").partition("/")[2] if path.startswith("//") else path)
    return Path(os.path.realpath(uri))
