"""Sorts file paths by their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable


def path_key(path: str) -> bytes:
    """Return the bytes of a path, by which paths are sorted and compared."""
    return os.fsencode(path)


def sorted_paths(paths: Iterable[str]) -> list[str]:
    """Return the paths sorted by their bytes."""
    ordered = list(paths)
    # ASCII paths need no key, because their text sorts like their bytes. Sorting without a key takes half the time.
    ordered.sort(key=None if all(map(str.isascii, ordered)) else path_key)
    return ordered
