"""Where fetched files are kept: a scratch directory that is removed, or the user's download directory."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType

from model_gate.domain.wording import printable
from model_gate.errors import StorageError, storage_error

# Where Linux has a file system in memory. To make and to remove a small file on a disk takes longer than to fetch it.
MEMORY = Path("/dev/shm")  # noqa: S108  # what is made there has a name that cannot be guessed
_SMALL_BYTES = 64 * 1024
# Containers have 64 MiB there. So few small files are under way at once that they take an eighth of it.
_ROOM_BYTES = 32 * 1024 * 1024


class Storage:
    """The files of the models being compared, at `run_model/…`, `reg_model/…`, and so on.

    Small ones that need not be kept are in memory, where there is a place for that. Use it as a context manager:
    whatever the end, what was made is removed, except in the user's download directory.

    Raises:
        StorageError: The download directory cannot be made, or is not empty.
    """

    def __init__(self, download_dir: Path | None) -> None:
        self.keeps = download_dir is not None
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self._is_open = True
        try:
            # Private, since models are: mkdtemp gives it to this user only.
            self._scratch = Path(tempfile.mkdtemp(prefix="model-gate-"))
        except OSError as error:
            raise storage_error(error, "make a scratch directory") from error
        self._memory: Path | None = None
        # Not asked for before there is something to put there.
        self._may_have_memory = not self.keeps
        self._numbers = itertools.count()
        try:
            self._root = self._scratch / "models" if download_dir is None else _empty(download_dir)
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
        """Remove the scratch directories; nothing can be put into them any more."""
        with self._lock:
            self._is_open = False
        for directory in (self._scratch, self._memory):
            if directory is not None:
                remove_tree(directory)

    def directory(self, role: str) -> Path:
        """Where the model that plays this role (`run_model/server_1`) is kept."""
        return self._root / role

    def reserve(self, role: str, path: str, size: int | None = None) -> Path:
        """An empty file, new, for the file at `path` of that model, which will have `size` bytes if that is known.

        Raises:
            StorageError: It cannot be written, or the file system takes two paths for one.
        """
        if size is not None and size <= _SMALL_BYTES and (memory := self._in_memory()):
            with contextlib.suppress(OSError):
                return _made(f"{memory}/{next(self._numbers)}")
        # Text, since to put paths together costs as much as a small file.
        destination = f"{self._root}/{role}/{path}"
        try:
            self._make(os.path.dirname(destination))
            return _made(destination)
        except OSError as error:
            if self.keeps:
                raise _unkept(error, path) from error
            # The name is too long or too like another for this file system; in scratch space any name will do.
            return _made(os.path.join(tempfile.mkdtemp(dir=self._scratch), "file"))

    def release(self, path: Path) -> None:
        """A fetched file that has been judged: it is no longer needed, unless the user wants to keep it."""
        if not self.keeps:
            path.unlink(missing_ok=True)

    def _in_memory(self) -> Path | None:
        """The directory in memory, if there is a place for one."""
        with self._lock:
            if self._may_have_memory and self._is_open:
                self._memory = _directory_in_memory()
            self._may_have_memory = False
        return self._memory

    def _make(self, directory: str) -> None:
        # One level at a time: os.makedirs recurses, and a model may be a thousand levels deep.
        missing = []
        with self._lock:
            if not self._is_open:
                raise FileNotFoundError(errno.ENOENT, "the scratch directory was removed")
            while directory not in self._made and not os.path.isdir(directory):
                missing.append(directory)
                directory = os.path.dirname(directory)
            for each in reversed(missing):
                # Not os.mkdir: where a file is in the way, that is an error.
                Path(each).mkdir(exist_ok=True)
                self._made.add(each)


def prefix_in_memory(process: int) -> str:
    """How the name of the directory begins that a gate, which is this process, has in memory."""
    return f"model-gate-{process}-"


def _directory_in_memory() -> Path | None:
    """A directory in memory, private like the one on the disk; None if there is no place, or no room, for it."""
    with contextlib.suppress(OSError):
        status = os.statvfs(MEMORY)
        if status.f_bavail * status.f_frsize >= _ROOM_BYTES:
            return Path(tempfile.mkdtemp(prefix=prefix_in_memory(os.getpid()), dir=MEMORY))
    return None


def _made(file: str) -> Path:
    """A new file, empty."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    return Path(file)


def _unkept(error: OSError, path: str) -> StorageError:
    if isinstance(error, FileExistsError):
        return StorageError(
            f"The download directory cannot hold {printable(path)} beside another file of nearly the same name.",
            "Its file system does not tell the two names apart: leave --download-dir out.",
        )
    return storage_error(error, f"keep {printable(path)} in the download directory")


def _empty(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise StorageError(
                f"The download directory {directory} is not empty.",
                "Empty it, or name another: what was there before must not be taken for a download.",
            )
        return directory.resolve()
    except OSError as error:
        raise storage_error(error, f"use the download directory {directory}") from error


def remove_tree(root: Path) -> None:
    """Remove a directory of any depth; what cannot be removed is left, without an error.

    Not shutil.rmtree alone: before Python 3.13 it recurses, and fails on a thousand levels.
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
