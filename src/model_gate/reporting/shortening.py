"""Shortens paths and other texts of models for one line.

A text is redacted before it is shortened: a signature or login that is cut could not be recognized later. A text that
is short enough is redacted later as a whole, with the secrets that are known.
"""

from __future__ import annotations

import re

from model_gate.access.redaction import Redactor
from model_gate.domain.wording import printable, truncate, truncate_path

_REDACTOR = Redactor()
# A run of MLflow, and a commit of Git.
_IDENTIFIER = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}")
_MAX_IDENTIFIER = 8


def short_path(path: str, max_length: int) -> str:
    """Return a path on one line, in which "…" replaces directories if it has more than `max_length` characters."""
    shown = printable(path)
    return shown if len(shown) <= max_length else truncate_path(printable(_REDACTOR.path(path)), max_length)


def short_text(text: str, max_length: int) -> str:
    """Return a text on one line, with "…" at its end if it has more than `max_length` characters."""
    shown = printable(text)
    return shown if len(shown) <= max_length else truncate(printable(_REDACTOR.text(text)), max_length)


def short_identifier(identifier: str) -> str:
    """Return the first 8 characters of an identifier. If it may be another text, "…" shows that it was shortened.

    A secret in place of an identifier could not be recognized later without the mark.

    >>> short_identifier("0123456789abcdef" * 2), short_identifier("a-text-of-the-server")
    ('01234567', 'a-text-o…')
    """
    if _IDENTIFIER.fullmatch(identifier):
        return identifier[:_MAX_IDENTIFIER]
    return truncate(identifier, _MAX_IDENTIFIER + 1)
