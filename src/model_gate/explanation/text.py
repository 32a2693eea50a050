"""Text files: a bounded unified diff."""

from __future__ import annotations

import difflib
import re
from pathlib import PurePosixPath

from model_gate.domain.difference import Explanation
from model_gate.domain.wording import plural
from model_gate.explanation.content import Content, ContentPair, read_text
from model_gate.explanation.trees import shorten

KIND = "text"
# Larger files are data rather than text that people read.
MAX_TEXT_BYTES = 1024 * 1024
SUFFIXES = frozenset(
    {".txt", ".yaml", ".yml", ".json", ".py", ".toml", ".cfg", ".ini", ".md", ".csv", ".sql", ".r", ".sh", ".xml"}
)
MAX_LINES = 20
_LICENSE = "LICENSE.txt"
_NO_LICENSE = re.compile(r"A license file could not be found for the '([^'\n]+)' repository\.")
_LICENSE_ADVICE = (
    "MLflow writes the path of the base model into `LICENSE.txt`. Read the base model from the same path whenever it "
    "is logged, or add `LICENSE.txt` to `ignore`."
)
# difflib takes quadratic time.
_MAX_DIFF_LINES = 2_000


def matches(pair: ContentPair) -> bool:
    """Return whether the pair is small enough to be text, or has the suffix of a text file.

    A large file with such a suffix matches too, so that a note reports its size.
    """
    return pair.larger_size <= MAX_TEXT_BYTES or PurePosixPath(pair.path).suffix.lower() in SUFFIXES


def explain(pair: ContentPair) -> Explanation | None:
    """Return an explanation with the first lines that differ, or None if one of the files is binary."""
    left, right = (read_text(content, MAX_TEXT_BYTES) for content in (pair.left, pair.right))
    if left is None or right is None:
        return None
    if left.splitlines() == right.splitlines():
        return Explanation(KIND, "only its line ends differ")
    if _is_only_base_model(pair, left, right):
        lines = line_diff(left, right) or ()
        summary = "only the name of the base model, which MLflow writes if it finds no license"
        return Explanation(
            KIND, summary, lines=lines[:MAX_LINES], is_cut=len(lines) > MAX_LINES, advice=_LICENSE_ADVICE
        )
    diff = line_diff(left, right)
    if diff is None:
        return Explanation(
            KIND, f"{_line_count(left)} → {_line_count(right)} lines, too many to tell which", is_cut=True
        )
    added, removed = (sum(line.startswith(sign) for line in diff) for sign in "+-")
    summary = ", ".join(
        f"{plural(count, 'line')} {word}" for count, word in ((added, "added"), (removed, "removed")) if count
    )
    return Explanation(KIND, summary, lines=diff[:MAX_LINES], is_cut=len(diff) > MAX_LINES)


def _is_only_base_model(pair: ContentPair, left: str, right: str) -> bool:
    """Return whether two licenses are only MLflow's notes that there is none, for base models of different names."""
    notes = [_NO_LICENSE.match(text) for text in (left, right)]
    rests = [text.replace(note[1], "") for text, note in zip((left, right), notes, strict=True) if note]
    return pair.path == _LICENSE and len(rests) == 2 and rests[0] == rests[1]


def describe(content: Content) -> str:
    """Return `text`, or "" if the content is binary or empty."""
    return "text" if read_text(content, MAX_TEXT_BYTES) else ""


def line_diff(left: str, right: str) -> tuple[str, ...] | None:
    """Return the lines of a unified diff, shortened and without header, or None if the texts have too many lines."""
    left_lines, right_lines = left.split("\n"), right.split("\n")
    if len(left_lines) + len(right_lines) > _MAX_DIFF_LINES:
        return None
    diff = list(difflib.unified_diff(left_lines, right_lines, n=0, lineterm=""))
    return tuple(shorten(line) for line in diff[2:])


def _line_count(text: str) -> str:
    return f"{text.count(chr(10)) + 1:,}"
