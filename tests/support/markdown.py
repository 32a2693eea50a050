"""Parses the project's Markdown pages: fenced blocks, commands, links and headings."""

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
    """A fenced block and the number of its first line."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A command of a block.

    Attributes:
        text: The command.
        output: The output on the page; None if the page has none.
        exit_code: The exit code on the page; 0 if the page has none.
    """

    text: str
    output: str | None
    exit_code: int


@dataclass(frozen=True)
class Page:
    """A Markdown page."""

    path: Path

    @property
    def text(self) -> str:
        """The whole text."""
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """The text without fenced blocks."""
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
        """The inline code."""
        return _INLINE.findall(self.prose)

    @property
    def links(self) -> list[str]:
        """The targets of the links."""
        return _LINK.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """The anchors of the headings."""
        titles = (title.lower() for _, title in _HEADING.findall(self.prose))
        return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """Return the text below a heading, up to the next heading of the same or a higher level."""
        start = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        assert start is not None, f"{self.path.name} has no section {title!r}"
        rest = self.text[start.end() :]
        end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
        return rest[: end.start()] if end else rest


def commands(block: Block) -> list[Command]:
    """Return the commands of a `console` block (after `$`, with output) or a `bash` block (one a line)."""
    if block.language == "bash":
        return [Command(line, None, 0) for line in block.text.splitlines() if line.strip()]
    return list(_console(block.text))


def _console(text: str) -> Iterator[Command]:
    pieces = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not pieces[0], f"there is output before the first command: {pieces[0]!r}"
    entries = [piece.partition("\n") for piece in pieces[1:]]
    for (line, _, output), following in zip(entries, [*entries[1:], ("", "", "")], strict=True):
        if line != "echo $?":
            yield Command(line, output or None, int(following[2]) if following[0] == "echo $?" else 0)


# Values that differ between runs: ids, hashes, sizes, offsets, and the commit, which is only known in a Git clone.
_VARIABLE = re.compile(r"…|, commit [0-9a-f]{8}|\b[0-9a-f]{8,}\b|(?<=byte )[\d,]+|\b\d[\d,]{2,}\b")


def matched(shown: str, output: str) -> dict[str, str] | None:
    """Compare the output that a page shows with the real output of a command.

    In the shown output, `…` stands for any text within a line. A line that is only `…` stands for any lines.

    Returns:
        For each id or hash on the page, the id or hash at the same place in the real output. None if the outputs do not
        match.
    """
    lines = (r"(?:.*\n)*?" if line == "…" else _pattern(line) + "\n" for line in shown.splitlines())
    match = re.fullmatch("".join(lines), output)
    if match is None:
        return None
    ids = [text for text in _VARIABLE.findall(shown) if _is_id(text)]
    return dict(zip(ids, match.groups(), strict=True))


def _pattern(line: str) -> str:
    fixed, variable = _VARIABLE.split(line), _VARIABLE.findall(line)
    patterns = [*map(_variable_pattern, variable), ""]
    return "".join(re.escape(text) + pattern for text, pattern in zip(fixed, patterns, strict=True))


def _is_id(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8,}", text) is not None


def _variable_pattern(text: str) -> str:
    if text == "…":
        return ".*"
    if text.startswith(", commit"):
        return "(?:, commit [0-9a-f]{8})?"
    return f"([0-9a-f]{{{len(text)}}})" if _is_id(text) else r"[\d,]+"
