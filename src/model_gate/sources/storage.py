"""Keeps fetched files: in a scratch directory that is removed, or in the user's download directory."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from model_gate.domain.wording import printable
from model_gate.errors import StorageError, storage_error

# An in-memory file system of Linux. On a disk, creating and removing a small file takes longer than fetching it.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the names of directories there cannot be guessed
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True)
class MemoryDirectory:
    """Where a storage makes its directory for small files.

    Attributes:
        parent: A directory of an in-memory file system. It need not exist.
        min_free_bytes: The directory is made only if this much space is free. Containers have 64 MiB, and the small
            files in progress at once take at most 8 MiB.
    """

    parent: Path = SHARED_MEMORY
    min_free_bytes: int = 32 * 1024 * 1024

    def make(self) -> Path | None:
        """Make a private directory, and return None if its file system is missing or too full."""
        with contextlib.suppress(OSError):
            status = os.statvfs(self.parent)
            if status.f_bavail * status.f_frsize >= self.min_free_bytes:
                return Path(tempfile.mkdtemp(prefix=memory_prefix(os.getpid()), dir=self.parent))
        return None


_DEFAULT_MEMORY = MemoryDirectory()


class Storage:
    """The fetched files of the compared models, at `run_model/…`, `reg_model/…`, and so on.

    Small files that are not kept are in memory if possible. Use it as a context manager: at the end everything is
    removed except the user's download directory.

    Args:
        download_dir: The user's download directory, None for a scratch directory.
        memory: Where small files are kept.

    Raises:
        StorageError: The download directory cannot be made, or is not empty.
    """

    def __init__(self, download_dir: Path | None, memory: MemoryDirectory = _DEFAULT_MEMORY) -> None:
        self.keeps = download_dir is not None
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self._is_open = True
        try:
            # mkdtemp gives access to this user only.
            self._scratch = Path(tempfile.mkdtemp(prefix="model-gate-"))
        except OSError as error:
            raise storage_error(error, "make a scratch directory") from error
        # The directory in memory is made for the first small file. None if there can be none.
        self._unmade_memory = None if self.keeps else memory
        self._memory: Path | None = None
        self._numbers = itertools.count()
        try:
            self._root = self._scratch / "models" if download_dir is None else _empty_directory(download_dir)
            self.home = self._scratch / "home"
            self.home.mkdir()
        except BaseException:
            self.remove()
            raise

    def __enter__(self) -> Storage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the scratch directories. Later calls of `reserve` fail."""
        with self._lock:
            self._is_open = False
        for directory in (self._scratch, self._memory):
            if directory is not None:
                remove_tree(directory)

    def directory(self, role: str) -> Path:
        """Return the directory of the model with this role, such as `run_model/server_1`."""
        return self._root / role

    def reserve(self, role: str, path: str, size: int | None = None) -> Path:
        """Make a new, empty file for the file at `path` of a model.

        Args:
            role: The role of the model, such as `run_model/server_1`.
            path: Relative to the model's root.
            size: Bytes the file will have, None if unknown.

        Raises:
            StorageError: The file cannot be made, or the file system takes two paths for one.
        """
        if size is not None and size <= _SMALL_BYTES and (memory := self._memory_directory()):
            with contextlib.suppress(OSError):
                return _make_file(f"{memory}/{next(self._numbers)}")
        # Joining Path objects takes as long as fetching a small file.
        destination = f"{self._root}/{role}/{path}"
        try:
            self._make_directory(os.path.dirname(destination))
            return _make_file(destination)
        except OSError as error:
            if self.keeps:
                raise _download_dir_error(error, path) from error
            # The file system does not allow this name, or confuses it with another. Scratch files may have any name.
            return _make_file(os.path.join(tempfile.mkdtemp(dir=self._scratch), "file"))

    def release(self, path: Path) -> None:
        """Remove a compared file, unless the user keeps the downloads."""
        if not self.keeps:
            path.unlink(missing_ok=True)

    def _memory_directory(self) -> Path | None:
        """Return the directory in memory, None if there can be none."""
        with self._lock:
            if self._unmade_memory is not None and self._is_open:
                self._memory = self._unmade_memory.make()
            self._unmade_memory = None
        return self._memory

    def _make_directory(self, directory: str) -> None:
        # os.makedirs recurses and fails on a thousand levels, so the levels are made in a loop.
        missing = []
        with self._lock:
            if not self._is_open:
                raise FileNotFoundError(errno.ENOENT, "the scratch directory was removed")
            while directory not in self._made and not os.path.isdir(directory):
                missing.append(directory)
                directory = os.path.dirname(directory)
            for path in reversed(missing):
                # `exist_ok` accepts a directory only, so a file that blocks the directory is an error.
                Path(path).mkdir(exist_ok=True)
                self._made.add(path)


def memory_prefix(process: int) -> str:
    """Return the prefix of a process's directory in memory."""
    return f"model-gate-{process}-"


def _make_file(file: str) -> Path:
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    return Path(file)


def _download_dir_error(error: OSError, path: str) -> StorageError:
    if isinstance(error, FileExistsError):
        return StorageError(
            f"The download directory cannot hold {printable(path)} beside another file of nearly the same name.",
            "Its file system does not tell the two names apart: leave --download-dir out.",
        )
    return storage_error(error, f"keep {printable(path)} in the download directory")


def _empty_directory(directory: Path) -> Path:
    """Make the download directory if necessary, and return its real path.

    Raises:
        StorageError: The directory cannot be made, or is not empty.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise StorageError(
                f"The download directory {directory} is not empty.",
                "Empty it or name another one, so that old files are not taken for downloads.",
            )
        return directory.resolve()
    except OSError as error:
        raise storage_error(error, f"use the download directory {directory}") from error


def remove_tree(root: Path) -> None:
    """Remove a directory of any depth. Files that cannot be removed are left without an error.

    Before Python 3.13, shutil.rmtree recurses and fails on a thousand levels.
    """
    directories = [str(root)]
    for directory in directories:
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    else:
                        os.unlink(entry.path)
        except OSError:
            continue
    for directory in reversed(directories):
        try:
            os.rmdir(directory)
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
