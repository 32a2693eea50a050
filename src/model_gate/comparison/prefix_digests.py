"""Computes the SHA-256 of several files that are read window by window, for the report. It decides nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Generic, TypeVar

from model_gate.regular_files import open_regular

_CHUNK_BYTES = 1024 * 1024
_File = TypeVar("_File")
_Group = tuple[list[_File], Any]


class PrefixDigests(Generic[_File]):
    """The SHA-256 of what was read so far of each file. Use it as a context manager.

    Files with equal bytes so far form a group, of which only one file is hashed.
    """

    def __init__(self, files: Iterable[_File]) -> None:
        self._groups: list[_Group[_File]] = [(list(files), hashlib.sha256())]
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> PrefixDigests[_File]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def hex(self, file: _File) -> str:
        """Return the SHA-256 of what was read of a file, in hex."""
        return next(str(digest.hexdigest()) for members, digest in self._groups if file in members)

    def add(self, window: Mapping[_File, str], compare: Callable[[], Iterable[tuple[_File, _File]]]) -> None:
        """Add the next window of the files.

        Args:
            window: The local path of each file's window. A file that has ended, or is not read any more, has no entry.
            compare: Compares the window, while it is hashed, and returns pairs of files with equal bytes in it. Both
                files of a pair must be of one group, or the pair is ignored.

        Raises:
            OSError: A local file cannot be read.
        """
        ended = [([file for file in members if file not in window], digest) for members, digest in self._groups]
        going = [([file for file in members if file in window], digest.copy()) for members, digest in self._groups]
        ended, going = ([group for group in groups if group[0]] for groups in (ended, going))
        updates = [self._pool.submit(_updated, digest.copy(), window[members[0]]) for members, digest in going]
        equal = set(compare())
        self._groups = ended
        for (members, before), update in zip(going, updates, strict=True):
            first, *others = _classes(members, equal)
            self._groups.append((first, update.result()))
            for other in others:
                self._groups.append((other, _updated(before.copy(), window[other[0]])))


def _classes(files: list[_File], equal: set[tuple[_File, _File]]) -> list[list[_File]]:
    """Return the files in classes that chains of equal pairs connect. The first class has the first file."""
    classes: list[list[_File]] = []
    for file in files:
        connected = [
            members
            for members in classes
            if any((file, member) in equal or (member, file) in equal for member in members)
        ]
        joined = [member for members in connected for member in members] + [file]
        position = classes.index(connected[0]) if connected else len(classes)
        classes = [members for members in classes if members not in connected]
        classes.insert(position, joined)
    return classes


def _updated(digest: Any, path: str) -> Any:
    """Return a digest after adding the bytes of a file to it."""
    with open(path, "rb", buffering=0, opener=open_regular) as file:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
    return digest
