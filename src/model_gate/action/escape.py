"""Escapes untrusted text, such as names of models and files, for workflow commands, Markdown and Mermaid.

>>> html_text("a|b")
'a&#124;b'
"""

from __future__ import annotations

import re

from model_gate.domain.wording import printable

# Any character outside this set can have a meaning in Markdown or HTML, so it becomes a numeric character reference.
# The dot after "www" becomes one too, because GitHub would turn the text into a link.
_HTML = re.compile(r"[^0-9A-Za-z ,.'()/\u00a1-\ud7ff\ue000-\U0010ffff-]|(?<=www)\.", re.IGNORECASE)
_MERMAID = re.compile(r"[^0-9A-Za-z ,/\u00a1-\ud7ff\ue000-\U0010ffff]")


def command_data(text: str) -> str:
    """Escape the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """Escape the value of a workflow command's property."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")


def html_text(text: str) -> str:
    """Escape text so that none of its characters has a special meaning in Markdown or HTML."""
    return _HTML.sub(lambda match: f"&#{ord(match[0])};", printable(text))


def mermaid_text(text: str) -> str:
    """Escape text for a quoted Mermaid label."""
    return _MERMAID.sub(lambda match: f"#{ord(match[0])};", printable(text))


def fenced(lines: list[str], language: str = "") -> str:
    """Return a fenced code block. The fence is longer than any run of backticks in the lines, so no line ends it."""
    body = [printable(line) for line in lines]
    longest = max((len(run) for line in body for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *body, fence])
