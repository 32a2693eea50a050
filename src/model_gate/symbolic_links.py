"""Opens files and directories beneath the working directory without following symbolic links.

The working directory may be a checked-out repository, whose authors can put links into it. A path beneath the working
directory must therefore have no link in any part. Any other path was written by the user, who may name links. Each part
of a path is opened relative to the directory before it, so a link that is created meanwhile is not followed either.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from model_gate.regular_files import open_regular

# With O_PATH, Linux also opens a directory that this user may not list.
_DIRECTORY_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


# A URI that is read as a path has a directory of this name.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def is_uri(path: Path) -> bool:
    """Return whether a path was written as a URI, such as `s3://bucket/report.json`, unless there is a directory `s3:`.

    >>> is_uri(Path("s3://bucket/report.json")), is_uri(Path("reports/a:/b")), is_uri(Path("a"))
    (True, False, False)
    """
    first = path.parts[0] if len(path.parts) > 1 else ""
    return _SCHEME.fullmatch(first) is not None and not os.path.lexists(first)


@dataclass(frozen=True)
class PathBeneath:
    """A path as a root directory and the names below it, none of which may be a symbolic link.

    Attributes:
        root: The working directory, or `/` for a path outside the working directory.
        names: The names below `root`, () for `root` itself.
    """

    root: str
    names: tuple[str, ...]

    @classmethod
    def of_output(cls, path: str | os.PathLike[str]) -> PathBeneath:
        """Return the `PathBeneath` of an output file. Outside the working directory, its parents may be links."""
        head, tail = os.path.split(os.fspath(path))
        is_name = tail not in {"", ".", ".."}
        return cls._of(path, os.path.join(os.path.realpath(head), tail) if is_name else os.path.realpath(path))

    @classmethod
    def of_input(cls, path: str | os.PathLike[str]) -> PathBeneath:
        """Return the `PathBeneath` of an input file. Outside the working directory, any part may be a symbolic link."""
        return cls._of(path, os.path.realpath(path))

    @classmethod
    def _of(cls, path: str | os.PathLike[str], real_path: str) -> PathBeneath:
        directory = os.getcwd()
        # "a/../b" is "b" here, even if "a" is a link: the parts before ".." are not opened.
        names = _names_below(directory, os.path.normpath(os.path.join(directory, path)))
        if names is None or (directory == "/" and os.path.isabs(path)):
            return cls("/", tuple(real_path.strip("/").split("/")))
        return cls(directory, names)

    @property
    def path(self) -> Path:
        """The absolute path."""
        return Path(self.root, *self.names)

    def status(self) -> os.stat_result | None:
        """Return the result of `os.stat` for the file, None if the file does not exist.

        Raises:
            OSError: A parent directory is a symbolic link, is not a directory, or cannot be opened.
        """
        if not self.names:
            return os.stat(self.root)
        with suppress(FileNotFoundError), self.open_parent() as directory:
            return os.stat(self.names[-1], dir_fd=directory, follow_symlinks=False)
        return None

    @contextmanager
    def open_parent(self, *, makes: bool = False) -> Iterator[int]:
        """Yield a descriptor of the file's directory. With `makes`, missing directories are made first.

        Raises:
            OSError: A parent directory is a symbolic link, is not a directory, or cannot be opened or made.
        """
        with self._open_directory(self.names[:-1], makes=makes) as directory:
            yield directory

    def open_regular(self) -> int:
        """Open a regular file for reading, and return its descriptor.

        Raises:
            OSError: The file cannot be opened, is not a regular file, or its path has a link.
        """
        if not self.names:
            return open_regular(self.root)
        with self.open_parent() as directory:
            _require_no_link(self.names[-1], directory)
            return open_regular(self.names[-1], dir_fd=directory)

    def make_directory(self) -> list[str]:
        """Make the directory and its missing parents, and return the names of its entries.

        Raises:
            OSError: A part of the path is a symbolic link or not a directory, or a directory cannot be made or read.
        """
        with self._open_directory(self.names, makes=True) as directory:
            return _names_in(directory)

    def list_directory(self) -> list[str]:
        """Return the names of the entries of the directory, [] if the directory is missing but can be made.

        Raises:
            OSError: A part of the path is a symbolic link or not a directory, or the directory cannot be made or read.
        """
        try:
            with self._open_directory(self.names) as directory:
                return _names_in(directory)
        except FileNotFoundError:
            self.require_writable()
            return []

    def require_writable(self) -> None:
        """Verify that the permissions of the directories allow a file to be made at the path.

        Raises:
            OSError: A parent directory is a symbolic link, is not a directory, or is not writable.
        """
        end = len(self.names) - 1
        while True:
            try:
                with self._open_directory(self.names[:end]) as directory:
                    if not os.access(".", os.W_OK | os.X_OK, dir_fd=directory):
                        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                    return
            except FileNotFoundError:
                if end <= 0:
                    raise
                end -= 1

    def replace(self, text: str) -> None:
        """Write a text to the file, or leave the file unchanged if that fails.

        Raises:
            OSError: The file cannot be written, or a parent directory is a symbolic link.
        """
        with self.staged((text,)) as put:
            put()

    @contextmanager
    def staged(self, pieces: Iterable[str]) -> Iterator[Callable[[], None]]:
        """Write a text to a temporary file in the same directory, and yield a function that renames it to the path.

        The pieces of the text are written one after the other, so that a long text takes little memory.

        The temporary file is removed at the end of the block, unless the function was called.

        Raises:
            OSError: The file cannot be written, or a parent directory is a symbolic link.
        """
        name = self.names[-1]
        with self.open_parent(makes=True) as directory:
            temporary, descriptor = _temporary_file(name, directory)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.writelines(pieces)
                    file.flush()
                    os.fsync(file.fileno())
                    os.fchmod(file.fileno(), 0o666 & ~_umask())
                yield partial(os.replace, temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)

    def unlink(self) -> None:
        """Remove the file, or the link in its place.

        Raises:
            OSError: The file cannot be removed, or a parent directory is a symbolic link.
        """
        with suppress(FileNotFoundError), self.open_parent() as directory:
            os.unlink(self.names[-1], dir_fd=directory)

    @contextmanager
    def _open_directory(self, names: tuple[str, ...], *, makes: bool = False) -> Iterator[int]:
        descriptor = os.open(self.root, _DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
        try:
            for name in names:
                if makes:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                below = _open_below(name, descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


def open_input(path: str, _: int) -> int:
    """Open a regular file for reading, and return its descriptor. This function is an `opener` of `open`.

    Beneath the working directory, no part of the path may be a symbolic link.

    Raises:
        OSError: The file cannot be opened, is not a regular file, or its path has a link that is not allowed.
    """
    return PathBeneath.of_input(path).open_regular()


def _names_below(directory: str, path: str) -> tuple[str, ...] | None:
    """Return the names between a directory and a normalized path, None if the path is not below the directory.

    The path may name the directory in another way, for example through a link outside of it.
    """
    own = os.stat(directory)
    names = tuple(filter(None, path.split("/")))
    for count in range(len(names) + 1):
        try:
            if os.path.samestat(os.stat("/" + "/".join(names[:count])), own):
                return names[count:]
        except OSError:
            return None
    return None


def _names_in(directory: int) -> list[str]:
    """Return the names of the entries of an open directory, whose descriptor itself may not allow listing (O_PATH)."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(descriptor)
    finally:
        os.close(descriptor)


def _open_below(name: str, directory: int) -> int:
    try:
        return os.open(name, _DIRECTORY_FLAGS, dir_fd=directory)
    except OSError:
        _require_no_link(name, directory)
        raise


def _require_no_link(name: str, directory: int) -> None:
    if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        raise OSError(errno.ELOOP, f"{name} is a symbolic link", name)


def _temporary_file(name: str, directory: int) -> tuple[str, int]:
    """Make a file that only this user can access, and return its name and descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    # A long name is cut, since the longer temporary name could exceed the file system's limit.
    temporary = f".{name[:32]}.{secrets.token_hex(8)}"
    return temporary, os.open(temporary, flags, 0o600, dir_fd=directory)


def _umask() -> int:
    # The umask can be read only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
