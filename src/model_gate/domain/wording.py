"""Small pieces of text for messages: printable paths, counts, sizes, lists and truncation."""

from __future__ import annotations

import os
from collections.abc import Mapping

from model_gate.domain.paths import sorted_paths


def printable(path: str) -> str:
    """Return a path as readable text on one line: control characters and bytes that are not UTF-8 are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "file"), plural(2_000, "file")
    ('1 file', '2,000 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def byte_count(size: int) -> str:
    """Return a number of bytes with its unit, as in `2,000 bytes`."""
    return plural(size, "byte")


def truncate(text: str, limit: int) -> str:
    """Return a text shortened to at most `limit` characters, including the "…" at the end of a shortened text.

    >>> truncate("scikit-learn", 8), truncate("numpy", 8)
    ('scikit-…', 'numpy')
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def first_names(names: Mapping[str, object] | set[str] | list[str], limit: int = 10) -> str:
    """Return the first `limit` of the sorted names and the number of the other names, as in `a, b and 3 more`."""
    ordered = sorted_paths(names)
    text = ", ".join(printable(name) for name in ordered[:limit])
    return text if len(ordered) <= limit else f"{text} and {len(ordered) - limit} more"
