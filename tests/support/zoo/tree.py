"""Directory trees as data, and a function that creates them on disk."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class FileWithTime:
    """A file with a modification time, in nanoseconds."""

    content: bytes
    mtime: int


@dataclass(frozen=True)
class FileWithMode:
    """A file with permission bits."""

    content: bytes
    mode: int


@dataclass(frozen=True)
class Sparse:
    """A sparse file. It has the given contents at their offsets, and holes elsewhere."""

    size: int
    content: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class HardLink:
    """A hard link to a file that comes earlier in the tree."""

    path: str


@dataclass(frozen=True)
class Link:
    """A symbolic link. An `@` at the start of its target stands for the absolute path of the tree."""

    target: str | bytes


@dataclass(frozen=True)
class EmptyDirectory:
    """An empty directory with permission bits."""

    mode: int = 0o755


class Fifo:
    """A named pipe without a writer."""


class Socket:
    """A socket without a listener."""


Entry = bytes | FileWithTime | FileWithMode | Sparse | HardLink | Link | EmptyDirectory | Fifo | Socket
Tree = Mapping[str | bytes, Entry]


def make_tree(root: Path, tree: Tree) -> None:
    """Create a tree at `root`, with all missing parent directories."""
    root.mkdir(parents=True, exist_ok=True)
    for path, entry in tree.items():
        *parents, name = os.fsencode(path).split(b"/")
        directory = _open_directory(root, parents)
        try:
            _make(entry, name, directory, root)
        finally:
            os.close(directory)


def _open_directory(root: Path, parents: list[bytes]) -> int:
    # The directories are opened level by level, because the whole path may be longer than the system allows.
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for name in parents:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=directory)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = below
    return directory


def _make(entry: Entry, name: bytes, directory: int, root: Path) -> None:
    match entry:
        case bytes():
            _write(entry, name, directory)
        case FileWithTime(content, mtime):
            _write(content, name, directory)
            os.utime(name, ns=(mtime, mtime), dir_fd=directory)
        case FileWithMode(content, mode):
            _write(content, name, directory)
            os.chmod(name, mode, dir_fd=directory)
        case Sparse(size, content):
            _write_sparse(size, content, name, directory)
        case HardLink(path):
            os.link(root / path, name, dst_dir_fd=directory)
        case Link(target):
            os.symlink(os.fsencode(target).replace(b"@", os.fsencode(root), 1), name, dir_fd=directory)
        case EmptyDirectory(mode):
            os.mkdir(name, mode, dir_fd=directory)
        case Fifo():
            os.mkfifo(name, dir_fd=directory)
        case Socket():
            os.mknod(name, stat.S_IFSOCK | 0o600, dir_fd=directory)


def _write(content: bytes, name: bytes, directory: int) -> None:
    with open(name, "xb", opener=lambda path, flags: os.open(path, flags, dir_fd=directory)) as file:
        file.write(content)


def _write_sparse(size: int, content: Mapping[int, bytes], name: bytes, directory: int) -> None:
    with open(name, "xb", opener=lambda path, flags: os.open(path, flags, dir_fd=directory)) as file:
        file.truncate(size)
        for offset, part in content.items():
            file.seek(offset)
            file.write(part)
