"""Writes lines of text to standard output and standard error."""

from __future__ import annotations

import os


def print_line(text: str, descriptor: int = 1) -> None:
    """Write a text and a line break to a file descriptor, by default to standard output. Failures are ignored."""
    # The terminal's encoding may lack characters of a file's name. A closed pipe (`| head`) or a full disk must not
    # change the exit code.
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text + "\n")
    except OSError:
        pass
