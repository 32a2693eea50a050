"""Pairs of files with the same modification time and given contents."""

from __future__ import annotations

import os
from pathlib import Path


def two_files(directory: Path, left: bytes, right: bytes) -> tuple[str, str]:
    """Write two files with these contents and the same modification time, and return their paths."""
    paths = str(directory / "left"), str(directory / "right")
    for path, content in zip(paths, (left, right), strict=True):
        Path(path).write_bytes(content)
        os.utime(path, ns=(1, 1))
    return paths
