"""Small pieces of text for messages: printable names, sizes, counts and lists."""

from __future__ import annotations

import os
from collections.abc import Mapping

from model_gate.domain.paths import sorted_paths


def printable(path: str) -> str:
    """A path as readable text on one line: control characters and bytes that are not UTF-8 become escapes."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def byte_count(size: int) -> str:
    """So many bytes, in words."""
    return "1 byte" if size == 1 else f"{size:,} bytes"


def first_names(names: Mapping[str, object] | set[str] | list[str], most: int = 10) -> str:
    """The first few names, sorted, and how many more there are."""
    ordered = sorted_paths(names)
    text = ", ".join(printable(name) for name in ordered[:most])
    return text if len(ordered) <= most else f"{text} and {len(ordered) - most} more"
