"""The project's pages as their readers use them: fenced blocks, commands, links, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block and the line on which it begins."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command of a block.

    Attributes:
        text: The command.
        output: What the page shows of its output; None if the page shows none.
        exit_code: What the page says of it; a command that is shown without one succeeds.
    """

    text: str
    output: str | None
    exit_code: int


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """What is not in a fenced block."""
        return _FENCE.sub("", self.text)

    @property
    def blocks(self) -> list[Block]:
        """The fenced blocks."""
        text = self.text
        return [
            Block(match["language"], match["text"], text[: match.start()].count("\n") + 1)
            for match in _FENCE.finditer(text)
        ]

    @property
    def inline(self) -> list[str]:
        """The code in its sentences."""
        return _INLINE.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """The names under which its headings can be linked to."""
        titles = (title.lower() for _, title in _HEADING.findall(self.prose))
        return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """What stands under a heading, up to the next one of its level or above."""
        start = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        assert start is not None, f"{self.path.name} has no section {title!r}"
        rest = self.text[start.end() :]
        end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
        return rest[: end.start()] if end else rest


def commands(block: Block) -> list[Command]:
    """The commands of a `console` block (after `$`, with their output) or a `bash` block (a line each)."""
    if block.language == "bash":
        return [Command(line, None, 0) for line in block.text.splitlines() if line.strip()]
    return list(_console(block.text))


def _console(text: str) -> Iterator[Command]:
    pieces = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not pieces[0], f"there is output before the first command: {pieces[0]!r}"
    found = [piece.partition("\n") for piece in pieces[1:]]
    for (line, _, output), following in zip(found, [*found[1:], ("", "", "")], strict=True):
        if line != "echo $?":
            yield Command(line, output or None, int(following[2]) if following[0] == "echo $?" else 0)


# What differs from run to run: ids and hashes, sizes, offsets, and the commit, which only a clone has.
_VARIABLE = re.compile(r"…|, commit [0-9a-f]{8}|\b[0-9a-f]{8,}\b|(?<=byte )[\d,]+|\b\d[\d,]{2,}\b")


def matched(shown: str, output: str) -> dict[str, str] | None:
    """What the ids and hashes of a page's excerpt are in what a command printed; None if it printed something else.

    `…` stands for anything in a line, and on a line of its own for any lines.
    """
    lines = (r"(?:.*\n)*?" if line == "…" else _pattern(line) + "\n" for line in shown.splitlines())
    match = re.fullmatch("".join(lines), output)
    if match is None:
        return None
    ids = [text for text in _VARIABLE.findall(shown) if _is_id(text)]
    return dict(zip(ids, match.groups(), strict=True))


def _pattern(line: str) -> str:
    fixed, variable = _VARIABLE.split(line), _VARIABLE.findall(line)
    patterns = [*map(_any_such, variable), ""]
    return "".join(re.escape(text) + pattern for text, pattern in zip(fixed, patterns, strict=True))


def _is_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8,}", text) is not None


def _any_such(text: str) -> str:
    if text == "…":
        return ".*"
    if text.startswith(", commit"):
        return "(?:, commit [0-9a-f]{8})?"
    return f"([0-9a-f]{{{len(text)}}})" if _is_id(text) else r"[\d,]+"
