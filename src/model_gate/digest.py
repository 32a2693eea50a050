r"""SHA-256 of files and of trees: for people's convenience, never for a decision.

A tree's digest can be had with coreutils alone:
`find -L . -type f -printf '%P\0' | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum`
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from model_gate.model import path_key

_FIRST_BYTES = 32 * 1024
# What sha256sum escapes in a name, so that a line stays a line.
_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def file_digest(path: str) -> str:
    """SHA-256 of a file, in hex.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        first = file.read(_FIRST_BYTES)
        if len(first) < _FIRST_BYTES:
            # Most files of a large tree are small, and file_digest's own buffer costs more than they do.
            return hashlib.sha256(first + file.read()).hexdigest()
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(digests: Mapping[str, str]) -> str:
    """SHA-256, in hex, over the sorted `sha256sum` lines of files given as digest by relative path."""
    lines = sorted(_line(path_key(path), digest.encode()) for path, digest in digests.items())
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _line(path: bytes, digest: bytes) -> bytes:
    escaped = path
    for char, escape in _ESCAPES:
        escaped = escaped.replace(char, escape)
    mark = b"\\" if escaped != path else b""
    return mark + digest + b"  " + escaped + b"\n"
