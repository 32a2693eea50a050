"""Wraps Markdown at the maximum line length of the project's pages."""

from __future__ import annotations

import textwrap

_COLUMNS = 120


def wrapped(markdown: str) -> str:
    """Return the text with paragraphs and list items wrapped at 120 columns. Rows of tables are not wrapped."""
    return "\n".join(line if line.startswith("|") else _wrap(line) for line in markdown.splitlines())


def _wrap(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(line, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
