"""File paths as bytes: how they are compared and sorted."""

from __future__ import annotations

import os
from collections.abc import Iterable


def path_key(path: str) -> bytes:
    """The bytes of a path: what it is sorted and told apart by."""
    return os.fsencode(path)


def sorted_paths(paths: Iterable[str]) -> list[str]:
    """Paths by their bytes."""
    ordered = list(paths)
    # In ASCII, text is in the same order as its bytes, and many paths are sorted in half the time.
    ordered.sort(key=None if all(map(str.isascii, ordered)) else path_key)
    return ordered
