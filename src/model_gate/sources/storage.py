"""Stores fetched files in a temporary scratch directory, or in the user's download directory."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from model_gate.domain.wording import byte_count, printable
from model_gate.errors import TEMPORARY_REMEDY, StorageError, storage_error
from model_gate.symbolic_links import PathBeneath, is_uri

# An in-memory file system of Linux. On a disk, creating and removing a small file takes longer than fetching it.
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # the names of directories there cannot be guessed
_SMALL_BYTES = 64 * 1024
# In the file of an earlier window, so many bytes are overwritten at the start of each stretch of this length.
_SAMPLE_BYTES, _SAMPLE_DISTANCE = 16, 64 * 1024


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    # Some file systems do not report their size.
    return status.f_bavail * status.f_frsize if status.f_blocks else sys.maxsize


def _missing_bytes(file: Path, size: int) -> int:
    """Return how many more bytes of space a file needs until all its `size` bytes are written; 0 if it is removed."""
    try:
        # The parts of a file are written in any order, so its length does not show how many bytes are written.
        return max(0, size - os.stat(file).st_blocks * 512)
    except FileNotFoundError:
        return 0


@dataclass(frozen=True)
class MemoryDirectory:
    """Settings of the in-memory directory for small files.

    Attributes:
        parent: Directory of an in-memory file system, in which the in-memory directory is made. It may be missing.
        min_free_bytes: Free space in bytes without which no in-memory directory is made. /dev/shm of a container has
            64 MiB by default, and the small files in progress at once take at most 8 MiB.
    """

    parent: Path = SHARED_MEMORY
    min_free_bytes: int = 32 * 1024 * 1024

    def make(self) -> Path | None:
        """Make a private directory and return its path, or None if `parent` is missing or has too little free space."""
        with contextlib.suppress(OSError):
            if _free_bytes(self.parent) >= self.min_free_bytes:
                return Path(tempfile.mkdtemp(prefix=memory_prefix(os.getpid()), dir=self.parent))
        return None


_DEFAULT_MEMORY = MemoryDirectory()


class Storage:
    """The directories for the fetched files of the compared models.

    Each model has a directory with the name of its role, such as `run_model/server_1`. Without a download directory,
    files of up to 64 KiB are stored in memory if possible. Use the storage as a context manager: its exit removes
    everything except the user's download directory. Only `make_download_dir` makes the download directory, because it
    must not be inside a model, and the models are not known earlier.

    Args:
        download_dir: The user's download directory, None to store files in the scratch directory.
        memory: Settings of the in-memory directory for small files.
        free_bytes: Returns the free space in bytes on the file system of a directory.

    Raises:
        StorageError: The scratch directory cannot be made, or the download directory cannot be used or is not empty.
    """

    def __init__(
        self,
        download_dir: Path | None,
        memory: MemoryDirectory = _DEFAULT_MEMORY,
        free_bytes: Callable[[Path], int] = _free_bytes,
    ) -> None:
        _require_temporary_directory(os.environ.get("TMPDIR", ""))
        if download_dir is not None and is_uri(download_dir):
            raise StorageError(
                f"The download directory {download_dir} is a URI, but the files are written to this machine.",
                "Name a directory as --download-dir.",
            )
        self._free_bytes = free_bytes
        # Sizes of the larger files whose content has not arrived yet.
        self._incoming: dict[Path, int] = {}
        # Files of earlier windows, and their sizes. To overwrite one takes the system half as long as a new file.
        self._free_windows: list[tuple[Path, int]] = []
        self.keeps = download_dir is not None
        self._made: set[str] = set()
        self._lock = threading.Lock()
        self._is_open = True
        try:
            # mkdtemp makes a directory that only this user can access.
            self._scratch = Path(tempfile.mkdtemp(prefix="model-gate-"))
        except OSError as error:
            raise storage_error(error, "make a scratch directory") from error
        # The in-memory directory is made for the first small file. These settings are None after that attempt, or if no
        # in-memory directory is used.
        self._unmade_memory = None if self.keeps else memory
        self._memory: Path | None = None
        self._numbers = itertools.count()
        try:
            self._download_dir = None if download_dir is None else PathBeneath.of_input(download_dir)
            if self._download_dir is not None:
                _require_empty(self._download_dir, makes=False)
            self._root = self._scratch / "models" if self._download_dir is None else self._download_dir.path
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
        """Remove the scratch directory and the in-memory directory. Later calls of `reserve` fail."""
        with self._lock:
            self._is_open = False
        for directory in (self._scratch, self._memory):
            if directory is not None:
                remove_tree(directory)

    def require_outside(self, inputs: Iterable[Path]) -> None:
        """Verify that the download directory is not inside an input directory and contains no input.

        Raises:
            StorageError: The downloads would change an input.
        """
        if self._download_dir is None:
            return
        real_dir = Path(os.path.realpath(self._download_dir.path))
        for path in inputs:
            real_path = Path(os.path.realpath(path))
            if real_dir.is_relative_to(real_path) or real_path.is_relative_to(real_dir):
                raise StorageError(
                    f"The download directory {self._download_dir.path} would change an input, {path}.",
                    "Name another --download-dir.",
                )

    def make_download_dir(self) -> None:
        """Make the user's download directory, if there is one.

        Raises:
            StorageError: The directory cannot be made, or is not empty any more.
        """
        if self._download_dir is not None:
            _require_empty(self._download_dir, makes=True)

    def directory(self, role: str) -> Path:
        """Return the directory for the files of one model. `role` identifies the model, as in `run_model/server_1`."""
        return self._root / role

    def reserve(self, role: str, path: str, size: int | None = None) -> Path:
        """Make an empty file that receives the content of a model's file, and return its path.

        Args:
            role: The role of the model, such as `run_model/server_1`.
            path: Path of the model's file relative to the model's root.
            size: Size of the model's file in bytes, None if unknown.

        Raises:
            StorageError: The file cannot be made in the download directory. For example, its file system treats the
                path like the path of another file. Or the file is larger than the free space.
        """
        if size is not None and size <= _SMALL_BYTES and (memory := self._memory_directory()):
            with contextlib.suppress(OSError):
                return _make_file(f"{memory}/{next(self._numbers)}")
        if size is None or size <= _SMALL_BYTES:
            return self._make_model_file(role, path)
        self._require_space(f"{printable(path)}: its listed size is", size, self._root if self.keeps else self._scratch)
        file = self._make_model_file(role, path)
        with self._lock:
            self._incoming[file] = size
        return file

    def reserve_window(self, path: str, size: int) -> Path:
        """Return the path of a scratch file that receives a window of a model's file.

        The file is empty, or it has `size` bytes of an earlier window. In this case, each 64 KiB begin with random
        bytes, and the file ends with them. The reader of a window overwrites all bytes. If it left out 64 KiB, the
        random bytes would make the window unequal to any other.

        Args:
            path: Path of the model's file, for error messages.
            size: Size of the window in bytes.

        Raises:
            StorageError: The free space is not enough.
        """
        with self._lock:
            fitting = [window for window in self._free_windows if window[1] >= size]
            free = min(fitting, key=lambda window: window[1], default=None)
            if free is not None:
                self._free_windows.remove(free)
        if free is not None and (file := _prepared(*free, size)) is not None:
            return file
        try:
            self._require_space(f"a part of {printable(path)}: it has", size, self._scratch)
            self._make_directory(f"{self._scratch}/windows")
            file = _make_file(f"{self._scratch}/windows/{next(self._numbers)}")
        except OSError as error:
            raise storage_error(error, f"make a scratch file for {printable(path)}") from error
        with self._lock:
            self._incoming[file] = size
        return file

    def give_back_window(self, path: Path) -> None:
        """Keep the file of a window for a later window. Nothing may write to it any more."""
        # A signal can remove the scratch directory at any time.
        with contextlib.suppress(FileNotFoundError):
            size = path.stat().st_size
            with self._lock:
                self._free_windows.append((path, size))

    def discard_window(self, path: Path) -> None:
        """Remove the file of a window that no later window may use."""
        self.arrived(path)
        path.unlink(missing_ok=True)

    def discard_free_windows(self) -> None:
        """Remove the files that are kept for later windows."""
        with self._lock:
            windows, self._free_windows = self._free_windows, []
        for path, _ in windows:
            path.unlink(missing_ok=True)

    def arrived(self, path: Path) -> None:
        """Record that the content of a reserved file is complete."""
        with self._lock:
            self._incoming.pop(path, None)

    def _require_space(self, what: str, size: int, directory: Path) -> None:
        """Verify that a file of `size` bytes fits beside the files that are still arriving in `directory`.

        `what` is what errors call the file; its size follows.

        Raises:
            StorageError: There is not enough free space.
        """
        with self._lock:
            incoming = dict(self._incoming)
        if self._free_bytes(directory) - sum(incoming.values()) >= size:
            return
        # The incoming files already occupy a part of their space, so only their missing bytes are subtracted.
        free = self._free_bytes(directory) - sum(_missing_bytes(file, total) for file, total in incoming.items())
        if free < size:
            raise StorageError(
                f"No space left on device for {what} {byte_count(size)}, but {directory} has only"
                f" {byte_count(max(0, free))} of free space.",
                "Free some disk space, or point TMPDIR or --download-dir at a larger disk.",
            )

    def _make_model_file(self, role: str, path: str) -> Path:
        # The path is text, because joining Path objects takes as long as fetching a small file.
        destination = f"{self._root}/{role}/{path}"
        try:
            self._make_directory(os.path.dirname(destination))
            return _make_file(destination)
        except OSError as error:
            if self.keeps:
                raise _download_dir_error(error, path) from error
            # The file system rejects this name or confuses it with another name. A scratch file may have any name.
            return _make_file(os.path.join(tempfile.mkdtemp(dir=self._scratch), "file"))

    def release(self, path: Path) -> None:
        """Remove a file after its comparison, unless the user keeps the downloads."""
        if not self.keeps:
            path.unlink(missing_ok=True)

    def _memory_directory(self) -> Path | None:
        """Return the in-memory directory for small files, None if there is none."""
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
                # `exist_ok` accepts only an existing directory. A file with this name is still an error.
                Path(path).mkdir(exist_ok=True)
                self._made.add(path)


def memory_prefix(process: int) -> str:
    """Return the name prefix of the in-memory directory of the process with the ID `process`."""
    return f"model-gate-{process}-"


def _prepared(file: Path, old_size: int, size: int) -> Path | None:
    """Prepare the file of an earlier window for a window of `size` bytes. Return None if that fails.

    A few bytes of every 64 KiB, and the last bytes, are overwritten with bytes that no other file has.
    """
    sample = os.urandom(_SAMPLE_BYTES)
    try:
        if old_size > size:
            os.truncate(file, size)
        descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            for start in (*range(0, size, _SAMPLE_DISTANCE), max(0, size - _SAMPLE_BYTES)):
                os.pwrite(descriptor, sample[: size - start], start)
        finally:
            os.close(descriptor)
    except OSError:
        # A new file may succeed, or says what is wrong.
        with contextlib.suppress(OSError):
            file.unlink()
        return None
    return file


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


def _require_temporary_directory(path: str) -> None:
    """Require that the directory in TMPDIR can be used, if there is one. Python would use another one silently.

    Raises:
        StorageError: It is not a directory that can be written.
    """
    if not path:
        return
    try:
        os.rmdir(tempfile.mkdtemp(dir=path))
    except OSError as error:
        raise StorageError(
            f"TMPDIR is {printable(path)}, which is not a directory that can be written.", TEMPORARY_REMEDY
        ) from error


def _require_empty(target: PathBeneath, *, makes: bool) -> None:
    """Verify that the download directory is empty. If it is missing, make it if `makes` is true.

    Raises:
        StorageError: The directory cannot be made, or is not empty.
    """
    try:
        is_empty = not (target.make_directory() if makes else target.list_directory())
    except OSError as error:
        raise storage_error(error, f"use the download directory {target.path}") from error
    if not is_empty:
        raise StorageError(
            f"The download directory {target.path} is not empty.",
            "Empty it or name another one, so that old files are not taken for downloads.",
        )


def remove_tree(root: Path) -> None:
    """Remove a directory of any depth. If a file cannot be removed, no error is raised.

    shutil.rmtree is not enough: before Python 3.13, it recurses and fails on a thousand levels.
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
