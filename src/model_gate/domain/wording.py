"""Small pieces of text for messages: escapes of untrusted text, counts, sizes, lists and truncation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from model_gate.domain.paths import sorted_paths

# Characters that Python counts as printable but that have no width or no ink: fillers, joiners, variation selectors.
# The selectors of text and emoji style (U+FE0E, U+FE0F) are common in names, so they are not escaped.
_INVISIBLE = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
            *range(0x180B, 0x1810),
            *range(0xFE00, 0xFE0E),
            *range(0xE0100, 0xE01F0),
        ),
    )
)
# os.fsdecode represents a byte that is not UTF-8 as 0xdc00 plus the byte.
_BYTE_CODES = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    r"""Return a name, path or message as visible text on one line.

    Line breaks, terminal codes, bidirectional overrides, invisible characters and bytes that are not UTF-8 are escaped.

    >>> printable("a\x1b[31m\nb\u202e\udcff")
    'a\\x1b[31m\\nb\\u202e\\xff'
    """
    is_visible = text.isprintable() and (text.isascii() or _INVISIBLE.isdisjoint(text))
    return text if is_visible else "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char.isprintable() and char not in _INVISIBLE:
        return char
    if ord(char) in _BYTE_CODES:
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


# A longer line is shortened in its middle.
_MAX_LINE = 4_000
# CI systems read these commands anywhere in a line: `##[error]` on GitHub, `##vso[task.setvariable]` on Azure,
# `##teamcity[message]`.
COMMAND_IN_LINE = re.compile(r"(##\w*)\[")


def plain_text(text: str) -> str:
    r"""Return a text of several lines in which commands to a CI system and control characters are escaped.

    Line breaks are the only control characters that are not escaped.

    GitHub's runner reads `::command::` at the start of a line, after any white space, and `##[command]` anywhere in a
    line. Programs without the runner's variables write to its log too, such as a container in a workflow, so commands
    are always escaped.

    >>> print(plain_text("::error::no\n a ##[error]no"))
    \::error::no
     a ##\[error]no
    """
    return "\n".join(map(_plain_line, text.split("\n")))


def _plain_line(line: str) -> str:
    line = COMMAND_IN_LINE.sub(r"\1\\[", truncate_middle(printable(line), _MAX_LINE))
    stripped = line.lstrip(" ")
    if stripped.startswith("::"):
        return line[: len(line) - len(stripped)] + "\\" + stripped
    return line


def truncate_middle(text: str, max_length: int) -> str:
    """Return the text with at most `max_length` characters. "…" replaces the middle, since both ends of a path matter.

    >>> truncate_middle("models/wine/model.pkl", 11)
    'model…l.pkl'
    """
    if len(text) <= max_length:
        return text
    head = (max_length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (max_length - 1 - head) :]}"


def truncate_path(path: str, max_length: int) -> str:
    """Return a path with at most `max_length` characters. "…" replaces a part of its directories.

    The name of the file is whole unless it alone is too long. Then "…" replaces the middle of the name too, since
    both of its ends can distinguish it from other names.

    >>> truncate_path("artifacts/tokenizers/german/vocabulary.txt", 30)
    'artifac…/german/vocabulary.txt'
    >>> truncate_path("artifacts/tokenizers/part-00001-of-00002-of-the-table.parquet", 30)
    'art…ers/part-00001…ble.parquet'
    """
    if len(path) <= max_length:
        return path
    directory, slash, name = path.rpartition("/")
    if not slash:
        return truncate_middle(name, max_length)
    name = truncate_middle(name, max_length - min(len(directory), max_length // 4) - 1)
    return f"{truncate_middle(directory, max_length - len(name) - 1)}/{name}"


def capitalized(text: str) -> str:
    """Return the text with its first letter in upper case. The other letters do not change.

    >>> capitalized("the run model of MLflow")
    'The run model of MLflow'
    """
    return text[:1].upper() + text[1:]


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "file"), plural(2_000, "file")
    ('1 file', '2,000 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def byte_count(size: int) -> str:
    """Return a number of bytes with its unit, as in `2,000 bytes`."""
    return plural(size, "byte")


def truncate(text: str, limit: int) -> str:
    """Return a text shortened to at most `limit` characters, including the "…" at the end of a shortened text.

    >>> truncate("scikit-learn", 8), truncate("numpy", 8)
    ('scikit-…', 'numpy')
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def first_names(names: Mapping[str, object] | set[str] | list[str], limit: int = 10) -> str:
    """Return the first `limit` of the sorted names and the number of the other names, as in `a, b and 3 more`."""
    ordered = sorted_paths(names)
    text = ", ".join(printable(name) for name in ordered[:limit])
    return text if len(ordered) <= limit else f"{text} and {len(ordered) - limit} more"
