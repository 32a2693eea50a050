r"""Computes the SHA-256 of files and of directory trees for the report. The verdict does not depend on these digests.

This shell command prints the digest of the tree in the current directory:
`find -L . -type f -printf '%P\0' | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum`
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from model_gate.regular_files import open_regular

_FIRST_BYTES = 32 * 1024
# sha256sum escapes these characters in file names, so that its output has one line for each file.
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    # Creating a file object takes longer than hashing a small file, and most files of a large tree are small.
    descriptor = open_regular(path)
    try:
        content = os.read(descriptor, _FIRST_BYTES)
        while len(content) < _FIRST_BYTES and (more := os.read(descriptor, _FIRST_BYTES)):
            content += more
        if len(content) < _FIRST_BYTES:
            return hashlib.sha256(content).hexdigest()
        os.lseek(descriptor, 0, os.SEEK_SET)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        os.close(descriptor)


def tree_digest(digests: Mapping[str, str]) -> str:
    """Return the SHA-256 of a directory tree, in hex.

    The digest covers the sorted lines that `sha256sum` prints for the files of the tree.

    Args:
        digests: SHA-256 of each file in hex, by path relative to the root of the tree.
    """
    lines = [_line(path, digest) for path, digest in digests.items()]
    # The newline is added after sorting, because `sort` ignores it. With it, a tab in a file name would come first.
    lines.sort()
    return hashlib.sha256(b"".join([line + b"\n" for line in lines])).hexdigest()


def _line(path: str, digest: str) -> bytes:
    line = escaped = os.fsencode(f"{digest}  {path}")
    for char, escape in _ESCAPES:
        escaped = escaped.replace(char, escape)
    return line if line == escaped else b"\\" + escaped
