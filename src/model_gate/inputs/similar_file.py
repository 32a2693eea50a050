"""Finds a file whose name resembles the name of a missing file."""

from __future__ import annotations

import difflib
import os
from itertools import islice
from pathlib import Path

# Number of files in the directory of a missing file that are searched for a similar name.
_MAX_NEIGHBOURS = 1_000
# The likeness that names of files need without their suffix, by the ratio of difflib.
_MIN_LIKENESS = 0.6


def neighbours(path: Path) -> list[str]:
    """Return the names of files and directories in the directory of a path, at most 1,000, sorted.

    Raises:
        OSError: The directory cannot be read.
    """
    with os.scandir(path.parent) as entries:
        return sorted(entry.name for entry in islice(entries, _MAX_NEIGHBOURS))


def similar_file(path: Path, names: list[str]) -> Path | None:
    """Return the path with the most similar of these names; None if none is similar.

    A common suffix does not make names similar.

    >>> similar_file(Path("gates/wine.yml"), ["p9i.yml", "wine.yaml"])
    PosixPath('gates/wine.yaml')
    >>> similar_file(Path("promotion.yaml"), ["p9i.yaml"])
    """
    similar = [name for name in names if _likeness(path.stem, Path(name).stem) >= _MIN_LIKENESS]
    near = difflib.get_close_matches(path.name, similar, n=1, cutoff=_MIN_LIKENESS)
    return path.with_name(near[0]) if near else None


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, name, other).ratio()
