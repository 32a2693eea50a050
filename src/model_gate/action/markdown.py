"""The parts a page of the step's summary is made of: text, names, tables and sections that fold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model_gate.access.redaction import Redactor
from model_gate.action.escape import cut, html_text

_MAX_CELL = 160
_MAX_TEXT = 2_000


@dataclass(frozen=True)
class Markdown:
    """Makes text from outside fit to be shown: without secrets, cut, and meaning nothing in Markdown."""

    redactor: Redactor

    def text(self, text: str, most: int = _MAX_TEXT) -> str:
        """Prose that quotes names."""
        return html_text(cut(self.redactor.text(text), most))

    def cell(self, text: str) -> str:
        """The same, as short as a cell of a table."""
        return self.text(text, _MAX_CELL)

    def code(self, text: str, most: int = _MAX_CELL) -> str:
        """A name, path or value."""
        return f"<code>{self.text(text, most)}</code>" if text else ""


def joined(sections: Iterable[str]) -> str:
    """Sections with a blank line between them; empty ones are left out."""
    return "\n\n".join(section for section in sections if section) + "\n"


def size_of(sections: Iterable[str]) -> int:
    """Bytes of these sections on the page."""
    return len(joined(sections).encode())


def folded(title: str, sections: Iterable[str]) -> str:
    """Sections behind a title that opens them."""
    return f"<details><summary>{title}</summary>\n\n{joined(sections)}\n</details>"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], alignment: str) -> str:
    """A table; `alignment` has `l` or `r` for each column."""
    ruler = ("--:" if each == "r" else "---" for each in alignment)
    return "\n".join([row(head), row(tuple(ruler)), *(row(each) for each in rows)])


def row(cells: tuple[str, ...]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"
