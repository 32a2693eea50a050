"""Text: a unified diff, bounded."""

from __future__ import annotations

import difflib
from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation
from model_gate.explanation.content import ContentPair, text_of
from model_gate.explanation.trees import shortened

KIND = "text"
# What is read to be explained; a longer file is data, not something to read.
MAX_TEXT_BYTES = 1024 * 1024
SUFFIXES = frozenset(
    {".txt", ".yaml", ".yml", ".json", ".py", ".toml", ".cfg", ".ini", ".md", ".csv", ".sql", ".r", ".sh", ".xml"}
)
MAX_LINES = 20
# difflib is quadratic: beyond this, lines are not worth the wait.
_MAX_DIFF_LINES = 2_000


def matches(pair: ContentPair) -> bool:
    """Anything short enough may turn out to be text; what is called text is said to be too long if it is."""
    return pair.largest <= MAX_TEXT_BYTES or PurePosixPath(pair.path).suffix.lower() in SUFFIXES


def explain(pair: ContentPair) -> Explanation | None:
    """The first lines that differ; None if it is no text."""
    left, right = (text_of(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    if left.splitlines() == right.splitlines():
        return Explanation(KIND, "only its line ends differ")
    diff = line_diff(left, right)
    if diff is None:
        return Explanation(KIND, f"{_count(left)} → {_count(right)} lines, too many to tell which", is_cut=True)
    added, removed = (sum(line.startswith(sign) for line in diff) for sign in "+-")
    summary = ", ".join(
        f"{count:,} line{'' if count == 1 else 's'} {word}"
        for count, word in ((added, "added"), (removed, "removed"))
        if count
    )
    return Explanation(KIND, summary, lines=diff[:MAX_LINES], is_cut=len(diff) > MAX_LINES)


def line_diff(left: str, right: str) -> tuple[str, ...] | None:
    """A unified diff without its header and with shortened lines; None if it would take too long."""
    before, after = left.split("\n"), right.split("\n")
    if len(before) + len(after) > _MAX_DIFF_LINES:
        return None
    diff = list(difflib.unified_diff(before, after, n=0, lineterm=""))
    return tuple(shortened(line) for line in diff[2:])


def _count(text: str) -> str:
    return f"{text.count(chr(10)) + 1:,}"
