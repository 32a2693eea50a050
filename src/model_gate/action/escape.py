"""Names of models and files are hostile text: made harmless here for logs, workflow commands, Markdown and Mermaid."""

from __future__ import annotations

import re

# One line of the log never needs more.
_MAX_LOG_LINE = 4_000
# Everything else may mean something there, so it goes in by number; and so does what would begin a link by itself.
_HTML = re.compile(r"[^0-9A-Za-z ,.'()/\u00a1-\ud7ff\ue000-\U0010ffff-]|(?<=www)\.", re.IGNORECASE)
_MERMAID = re.compile(r"[^0-9A-Za-z ,/\u00a1-\ud7ff\ue000-\U0010ffff]")


def one_line(text: str) -> str:
    """The text with escapes for everything that does not print: no line breaks, terminal codes or reversed text."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text.encode(errors="backslashreplace").decode()
    )


def log_text(text: str) -> str:
    """The lines of a text, none of which the runner takes for a workflow command.

    It reads `::command::` at the start of a line, whatever blanks precede it, and `##[command]` anywhere in one.
    """
    return "\n".join(_log_line(line) for line in text.split("\n"))


def _log_line(line: str) -> str:
    line = cut(one_line(line), _MAX_LOG_LINE).replace("##[", "##\\[")
    stripped = line.lstrip(" ")
    if stripped.startswith("::"):
        return line[: len(line) - len(stripped)] + "\\" + stripped
    return line


def command_data(text: str) -> str:
    """The text as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """The text as a property's value in a workflow command."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def html_text(text: str) -> str:
    """The text as it is to be read, in HTML inside Markdown: no character of it can mean anything there."""
    return _HTML.sub(lambda match: f"&#{ord(match[0])};", one_line(text))


def mermaid_text(text: str) -> str:
    """The text as it is to be read, in a quoted Mermaid label."""
    return _MERMAID.sub(lambda match: f"#{ord(match[0])};", one_line(text))


def fenced(lines: list[str], language: str = "") -> str:
    """A fenced code block of these lines, which cannot end it."""
    body = [one_line(line) for line in lines]
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *body, fence])


def cut(text: str, most: int) -> str:
    """At most that many characters, with its middle left out: both ends of a path tell something."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
