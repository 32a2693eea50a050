"""Decodes text while each character keeps its place in the original.

A secret can then be found however a text writes it: with escapes of JSON or of a URL, or split over several lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

# A text inside of JSON inside of a URL, or the reverse, is decoded. So is a text that was encoded twice.
_MAX_ROUNDS = 3
_ESCAPE = re.compile(
    r"""\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[\\"'/bfnrt])"""
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_LINE_BREAK = re.compile(r"[ \t]*[\r\n]\s*")


@dataclass(frozen=True)
class DecodedText:
    """A text, with the places of its characters in the original.

    Attributes:
        text: The decoded text.
        starts: Where each character starts in the original.
        ends: Where each character ends in the original.
        is_joined: Whether the text has no line breaks because its lines were joined.
    """

    text: str
    starts: list[int]
    ends: list[int]
    is_joined: bool = False

    def span(self, match: re.Match[str]) -> tuple[int, int]:
        """Return the start and the end of a match in the original."""
        return self.starts[match.start()], self.ends[match.end() - 1]


def decodings(text: str) -> Iterator[DecodedText]:
    """Yield the text and every decoding that differs from it, with and without its line breaks.

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
    """Replace each match by what `decode` returns: characters, and the length of each in the match."""
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
