"""Builds HTML whose texts are always escaped.

>>> tag("p", "a < b", tag("code", "x"), class_="note")
'<p class="note">a &lt; b<code>x</code></p>'
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from model_gate.domain.wording import printable

_EMPTY = frozenset({"meta", "input"})


class Html(str):
    """Text that is HTML. Any other text is escaped where it becomes part of HTML."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str) -> Html:
    """Return an element with this content. An underscore at the end of an attribute's name is left out."""
    texts = (f' {_attribute(key)}="{escaped(value)}"' for key, value in attributes.items())
    start = f"<{name}{''.join(texts)}>"
    return Html(start if name in _EMPTY else f"{start}{joined(content)}</{name}>")


def joined(content: Iterable[str]) -> Html:
    """Return parts of a page as one. Parts that are no HTML are escaped."""
    return Html("".join(part if isinstance(part, Html) else escaped(part) for part in content))


def escaped(text: str) -> Html:
    """Return a text as HTML, with its invisible characters escaped. Line breaks stay."""
    return Html(html.escape("\n".join(map(printable, text.split("\n")))))


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
