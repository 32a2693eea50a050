"""Building blocks of the step's summary: escaped text, code, tables and collapsible sections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model_gate.access.redaction import Redactor
from model_gate.action.escape import html_text
from model_gate.domain.wording import printable, truncate_middle, truncate_path

_MAX_CELL = 160
_MAX_PATH = 80
_MAX_TEXT = 2_000
# A browser may break a longer word after each of these characters, and a run of other characters after 13 of them.
_LONG_WORD = re.compile(r"(\S{21,})")
_PIECE = re.compile(r"[^/_.,:;=@+-]{1,13}[/_.,:;=@+-]*|[/_.,:;=@+-]+")


@dataclass(frozen=True)
class Markdown:
    """Formats untrusted text as Markdown: redacted, shortened and escaped.

    Attributes:
        redactor: Removes secrets.
    """

    redactor: Redactor

    def text(self, text: str) -> str:
        """Return the text as Markdown, shortened to 2,000 characters before it is escaped."""
        return self.breakable(text, _MAX_TEXT)

    def cell(self, text: str) -> str:
        """Return the text as the content of a table cell, shortened to 160 characters."""
        return self.breakable(text)

    def code(self, text: str, max_length: int = _MAX_CELL) -> str:
        """Return a name, path or value in a code font; "" if `text` is empty."""
        return f"<code>{self.breakable(text, max_length)}</code>" if text else ""

    def path(self, path: str, max_length: int = _MAX_PATH) -> str:
        """Return the path of a file in a code font. A long path keeps the name of the file and loses directories."""
        shortened = truncate_path(printable(self.redactor.text(path)), max_length)
        return f"<code>{_breakable(shortened)}</code>"

    def address(self, address: str) -> str:
        """Return the address of a server in a code font. A browser may break it after each dot, also if it is short."""
        shown = printable(truncate_middle(self.redactor.text(address), _MAX_CELL))
        return f"<code>{'<wbr>'.join(map(html_text, _PIECE.findall(shown)))}</code>"

    def breakable(self, text: str, max_length: int = _MAX_CELL) -> str:
        """Return the text as Markdown with places where a browser may break long words, so that no table overflows."""
        return _breakable(printable(truncate_middle(self.redactor.text(text), max_length)))


def _breakable(text: str) -> str:
    """Return the text as Markdown with places where a browser may break long words."""
    words = _LONG_WORD.split(text)
    # Every second part is a long word.
    words[1::2] = ["<wbr>".join(map(html_text, _PIECE.findall(word))) for word in words[1::2]]
    words[::2] = map(html_text, words[::2])
    return "".join(words)


def join_sections(sections: Iterable[str]) -> str:
    """Join sections with a blank line between them. Empty sections are left out."""
    return "\n\n".join(section for section in sections if section) + "\n"


def size_in_bytes(sections: Iterable[str]) -> int:
    """Return the number of bytes of the joined sections in UTF-8."""
    return len(join_sections(sections).encode())


def collapsible(title: str, sections: Iterable[str]) -> str:
    """Return sections that GitHub hides until a person clicks on their title."""
    return f"<details><summary>{title}</summary>\n\n{join_sections(sections)}\n</details>"


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], alignment: str) -> str:
    """Return a Markdown table. `alignment` has a letter for each column: `l` for left or `r` for right."""
    ruler = ("--:" if letter == "r" else "---" for letter in alignment)
    return "\n".join([table_row(head), table_row(tuple(ruler)), *(table_row(cells) for cells in rows)])


def table_row(cells: tuple[str, ...]) -> str:
    """Return the line of a Markdown table that has these cells."""
    return f"| {' | '.join(cells)} |"
