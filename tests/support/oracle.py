"""The oracle of the tests: an independent comparison of two directories with `find` and by reading whole files.

Tests compare the results of Model Gate with it, so this module imports nothing of Model Gate.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Truth:
    """The correct result for two directories.

    Attributes:
        status: The verdict `equal` or `different`, or `error`.
        differences: Path, kind and offset of each difference. The offset is None unless the kind is `content`.
    """

    status: str
    differences: frozenset[tuple[bytes, str, int | None]] = frozenset()


def truth_of(left: Path, right: Path) -> Truth:
    """Return the correct result of comparing two directories."""
    try:
        left_files, right_files = _files(left), _files(right)
    except (OSError, NotAModelError):
        return Truth("error")
    differences: set[tuple[bytes, str, int | None]] = set()
    for path in left_files.keys() | right_files.keys():
        if _is_below_a_file(path, left_files) or _is_below_a_file(path, right_files):
            continue
        if path not in right_files:
            kind = "type" if _is_directory(path, right_files) else "only_left"
            differences.add((path, kind, None))
        elif path not in left_files:
            kind = "type" if _is_directory(path, left_files) else "only_right"
            differences.add((path, kind, None))
        elif left_files[path] != right_files[path]:
            differences.add((path, "content", _offset(left_files[path], right_files[path])))
    return Truth("different" if differences else "equal", frozenset(differences))


def tree_hash(directory: Path, command: str) -> str:
    """Run a shell command in a directory, and return the hash that it prints first."""
    shell = ["bash", "-o", "pipefail", "-c", command]
    return subprocess.run(shell, cwd=directory, check=True, capture_output=True, text=True).stdout.split()[0]


class NotAModelError(Exception):
    """The directory is missing, empty or unreadable, or has an entry that is neither a file nor a directory."""


def _files(root: Path) -> dict[bytes, bytes]:
    """Return the content of each file, by path."""
    if not root.is_dir():
        raise NotAModelError("missing")
    real_root = os.path.realpath(os.fsencode(root))
    for link in _find(real_root, "-P", "-type", "l", "-printf", r"%p\0"):
        target = os.path.realpath(link)
        if os.path.commonpath([real_root, target]) != real_root:
            raise NotAModelError("a link leaves it")
    files = {}
    for line in _find(real_root, "-L", "-mindepth", "1", "-printf", r"%y%P\0"):
        kind, path = line[:1], line[1:]
        if kind == b"f":
            with open(os.path.join(real_root, path), "rb") as file:
                files[path] = file.read()
        elif kind != b"d":
            raise NotAModelError(f"type {kind!r}")
    if not files:
        raise NotAModelError("empty")
    return files


def _find(root: bytes, follow: str, *expression: str) -> list[bytes]:
    # find exits with 1 on a loop of links or an unreadable entry.
    process = subprocess.run(["find", follow, root, *expression], capture_output=True, check=False)
    if process.returncode:
        raise NotAModelError(process.stderr)
    return process.stdout.split(b"\0")[:-1]


def _offset(left: bytes, right: bytes) -> int:
    offsets = (index for index, (byte, other) in enumerate(zip(left, right, strict=False)) if byte != other)
    return next(offsets, min(len(left), len(right)))


def _is_below_a_file(path: bytes, files: dict[bytes, bytes]) -> bool:
    parts = path.split(b"/")
    return any(b"/".join(parts[:end]) in files for end in range(1, len(parts)))


def _is_directory(path: bytes, files: dict[bytes, bytes]) -> bool:
    return any(file.startswith(path + b"/") for file in files)
