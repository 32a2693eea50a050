"""Escapes untrusted text, such as names of models and files, for logs, workflow commands, Markdown and Mermaid.

>>> html_text("a|b")
'a&#124;b'
"""

from __future__ import annotations

import re

_MAX_LOG_LINE = 4_000
# Any character outside this set can have a meaning in Markdown or HTML, so it becomes a numeric character reference.
# The dot after "www" becomes one too, because GitHub would turn the text into a link.
_HTML = re.compile(r"[^0-9A-Za-z ,.'()/\u00a1-\ud7ff\ue000-\U0010ffff-]|(?<=www)\.", re.IGNORECASE)
_MERMAID = re.compile(r"[^0-9A-Za-z ,/\u00a1-\ud7ff\ue000-\U0010ffff]")


def one_line(text: str) -> str:
    """Return the text with unprintable characters escaped: line breaks, terminal codes, bidirectional overrides."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text.encode(errors="backslashreplace").decode()
    )


def log_text(text: str) -> str:
    """Return the text with every line escaped that the runner would read as a workflow command.

    The runner reads `::command::` at the start of a line, after any white space, and `##[command]` anywhere in a line.
    """
    return "\n".join(_log_line(line) for line in text.split("\n"))


def _log_line(line: str) -> str:
    line = truncate_middle(one_line(line), _MAX_LOG_LINE).replace("##[", "##\\[")
    stripped = line.lstrip(" ")
    if stripped.startswith("::"):
        return line[: len(line) - len(stripped)] + "\\" + stripped
    return line


def command_data(text: str) -> str:
    """Escape the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """Escape the value of a workflow command's property."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def html_text(text: str) -> str:
    """Escape text so that none of its characters has a special meaning in Markdown or HTML."""
    return _HTML.sub(lambda match: f"&#{ord(match[0])};", one_line(text))


def mermaid_text(text: str) -> str:
    """Escape text for a quoted Mermaid label."""
    return _MERMAID.sub(lambda match: f"#{ord(match[0])};", one_line(text))


def fenced(lines: list[str], language: str = "") -> str:
    """Return a fenced code block. The fence is longer than any run of backticks in the lines, so no line ends it."""
    body = [one_line(line) for line in lines]
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *body, fence])


def truncate_middle(text: str, max_length: int) -> str:
    """Return the text with at most `max_length` characters. "…" replaces the middle, since both ends of a path matter.

    >>> truncate_middle("models/wine/model.pkl", 11)
    'model…l.pkl'
    """
    if len(text) <= max_length:
        return text
    head = (max_length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (max_length - 1 - head) :]}"
