"""Writes lines of text to standard output and standard error."""

from __future__ import annotations

import os


def print_line(text: str, descriptor: int = 1) -> None:
    """Write a text and a line's end to standard output, or to another descriptor."""
    # Names of files and models may hold what the terminal's encoding does not; and a reader may be gone (`| head`) or
    # its disk full, which must not change the exit code.
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text + "\n")
    except OSError:
        pass
