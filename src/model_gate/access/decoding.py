"""Decodes text, and records the position of each character in the original text.

A secret can then be found and replaced even if it is escaped, as in JSON or a URL, or split over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

# Several rounds decode JSON inside a URL, a URL inside JSON, and text that was encoded twice.
_MAX_ROUNDS = 3
_ESCAPE = re.compile(
    r"""\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[\\"'/bfnrt])"""
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
# A run of blanks is read once only, from its start, so that the time is linear.
_LINE_BREAK = re.compile(r"(?:(?<![ \t])[ \t]++)?[\r\n]\s*")


@dataclass(frozen=True)
class DecodedText:
    """A decoded text, with the positions of its characters in the original text.

    Attributes:
        text: The decoded text.
        starts: For each character, the index in the original text at which its encoded form starts.
        ends: For each character, the index in the original text at which its encoded form ends.
        is_joined: Whether the text has no line breaks because its lines were joined.
    """

    text: str
    starts: list[int]
    ends: list[int]
    is_joined: bool = False

    def span(self, match: re.Match[str]) -> tuple[int, int]:
        """Return the indexes in the original text at which a match in the decoded text starts and ends."""
        return self.starts[match.start()], self.ends[match.end() - 1]


def decodings(text: str) -> Iterator[DecodedText]:
    """Yield the text itself and each decoding that differs from it, each with and without its line breaks.

    >>> [decoded.text for decoded in decodings("p%2fw")]
    ['p%2fw', 'p/w']
    """
    current = DecodedText(text, list(range(len(text))), list(range(1, len(text) + 1)))
    yield from _with_joined(current)
    for _ in range(_MAX_ROUNDS):
        before = current
        for pattern, decode in ((_ESCAPE, _decode_escape), (_PERCENT, _decode_percent)):
            decoded = _decoded(current, pattern, decode)
            if decoded is not current:
                current = decoded
                yield from _with_joined(current)
        if current is before:
            return


def joined_lines(text: str) -> str:
    """Return the text without its line breaks and the white space around them."""
    return _LINE_BREAK.sub("", text)


def _with_joined(text: DecodedText) -> Iterator[DecodedText]:
    yield text
    joined = _decoded(text, _LINE_BREAK, lambda _: ())
    if joined is not text:
        yield DecodedText(joined.text, joined.starts, joined.ends, is_joined=True)


def _decoded(
    source: DecodedText, pattern: re.Pattern[str], decode: Callable[[str], Iterable[tuple[str, int]]]
) -> DecodedText:
    """Return the text in which each match of the pattern is replaced by the characters that it encodes.

    Args:
        source: The text.
        pattern: Finds encoded characters.
        decode: Returns the characters that a match encodes, each with the length of its encoded form.
    """
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    end = 0
    for match in pattern.finditer(source.text):
        pieces.append(source.text[end : match.start()])
        starts += source.starts[end : match.start()]
        ends += source.ends[end : match.start()]
        position = match.start()
        for char, length in decode(match[0]):
            pieces.append(char)
            starts.append(source.starts[position])
            position += length
            ends.append(source.ends[position - 1])
        end = match.end()
    if end == 0:
        return source
    return DecodedText(
        "".join(pieces) + source.text[end:], starts + source.starts[end:], ends + source.ends[end:], source.is_joined
    )


def _decode_escape(escape: str) -> Iterator[tuple[str, int]]:
    kind = escape[1]
    if kind in "ux":
        units = [int(unit, 16) for unit in re.findall("[ux]([0-9a-fA-F]+)", escape)]
        code = units[0] if len(units) == 1 else 0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00)
        yield chr(code), len(escape)
    else:
        yield _CONTROLS.get(kind, kind), len(escape)


def _decode_percent(escapes: str) -> Iterator[tuple[str, int]]:
    for char in unquote_to_bytes(escapes).decode("utf-8", "surrogateescape"):
        # Each byte of the character is an escape of three characters.
        yield char, 3 * len(char.encode("utf-8", "surrogateescape"))
