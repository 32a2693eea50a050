"""Writes text to standard output and standard error.

`print_line` escapes its text, so no caller has to. Only `print_command` writes commands that a runner of GitHub
Actions obeys.
"""

from __future__ import annotations

import os

from model_gate.domain.wording import plain_text


def print_line(text: str, descriptor: int = 1) -> None:
    """Write a text and a line break to a file descriptor, by default to standard output.

    The text may be untrusted: control characters and commands to a CI system are escaped. Failures are ignored.
    """
    _write(plain_text(text), descriptor)


def print_command(command: str) -> None:
    """Write a workflow command to standard output. Its message and its properties must be escaped already."""
    # A line break could start a second command.
    _write(command.replace("\r", "%0D").replace("\n", "%0A"), 1)


def _write(text: str, descriptor: int) -> None:
    # The terminal's encoding may lack characters of a file's name. A closed pipe (`| head`) or a full disk must not
    # change the exit code.
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text + "\n")
    except OSError:
        pass
