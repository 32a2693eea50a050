"""Decodes text, and records the position of each character in the original text.

A secret can then be found and replaced even if it is escaped, as in JSON, a URL or HTML, or split over several lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html.entities import html5
from urllib.parse import unquote_to_bytes

# A shortened text has this character in place of what is left out.
CUT = "…"
# What other programs write in that place: regular expressions, and for each some texts of which every match contains
# one. No expression begins within a run of one character, so that the time is linear.
_OTHER_MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        rf"[(\[<](?:[{CUT}⋯]|\.{{3,}}+|[tT]runcated|TRUNCATED|snip(?:ped)?|SNIP)[)\]>]",
        (*(f"{CUT}{bracket}" for bracket in ")]>"), "runcated", "RUNCATED", "snip", "SNIP"),
    ),
    (r"[(\[<][0-9]{1,9} more(?: [a-zA-Z]{1,20})?[)\]>]", (" more",)),
    (r"⋯|\.{3,}+", ("⋯", "...")),
    # Two dots also begin the path of a parent directory.
    (r"(?<=\w)\.\.(?![\w./\\])", ("..",)),
    # Model Gate's own mask is not a cut beside a character that separates it from another text, as in `https://***@`.
    (r"(?<=\w)(?:\*{3,}+|•{3,}+)|(?<![*•])(?:\*{3,}+|•{3,}+)(?=\w)", ("***", "•••")),
    (r"(?<!x)x{4,}+|(?<!X)X{4,}+", ("xxxx", "XXXX")),
    # The lines around a key in PEM have five hyphens.
    (r"(?<=\w)-{2,4}(?![\w-])", ("--",)),
)
OTHER_CUT = "|".join(mark for mark, _ in _OTHER_MARKS)
# Without one of these texts, a text has no other cut.
OTHER_CUT_SIGNS = tuple(sign for _, signs in _OTHER_MARKS for sign in signs)
# Several rounds decode JSON inside a URL, a URL inside JSON, and text that was encoded twice.
_MAX_ROUNDS = 3
_ESCAPE = re.compile(
    r"""\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-3][0-7]{2}|[\\"'/bfnrt])"""
)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
# Bytes as in a URL, and units of UTF-16 as from escape() of JavaScript.
_PERCENT = re.compile(r"%(?:[0-9a-fA-F]{2}(?:%[0-9a-fA-F]{2})*|[uU][0-9a-fA-F]{4}(?:%[uU][0-9a-fA-F]{4})*)")
# Bytes and line breaks in quoted-printable, and what a cut leaves of them.
_QUOTED = re.compile(rf"=(?:[0-9a-fA-F]{{2}}(?:=[0-9a-fA-F]{{2}})*|\r?\n|[0-9a-fA-F]?(?={CUT}|{OTHER_CUT}))")
# Browsers read a number without its semicolon too. Before a cut, it can be a part of a number.
_ENTITY = re.compile(rf"&(?:#(?:[0-9]++|[xX][0-9a-fA-F]++)(?:;|(?!{CUT}|{OTHER_CUT}))|[a-zA-Z][a-zA-Z0-9]{{0,31}};)")
_MAX_DIGITS = 7
# Line breaks and the other control characters, and characters without a width. None of them is a part of a secret.
_BREAK = r"\x00-\x08\n-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff"
_BREAK_TAG = r"<[wW]?[bB][rR] ?/?>"
# A run of blanks is read once only, from its start, so that the time is linear. A cut can leave the blanks of a line
# without its break.
_LINE_BREAK = re.compile(
    rf"(?:(?<![ \t])[ \t]++)?(?:[{_BREAK}]|{_BREAK_TAG})(?:[\s{_BREAK}]++|{_BREAK_TAG})*+|(?<={CUT})[ \t]+"
)
# What a cut leaves of an escape: at the end of the text before the cut, and at the start of the text after it. A
# surrogate is a part of a character of which the other part is missing.
_PART_BEFORE_CUT = re.compile(
    r"[\ud800-\udfff]{0,3}(?:%(?:[0-9a-fA-F]|[uU][0-9a-fA-F]{0,3})?|\\(?:[0-3][0-7]?|u[0-9a-fA-F]{0,3}|u\{[0-9a-fA-F]{0,6}|x[0-9a-fA-F]?)?|&#?[a-zA-Z0-9]{0,8})?\Z"
)
_PART_AFTER_CUT = re.compile(
    r"(?:[ux]?[0-9a-fA-F]{1,6}|u?\{?[0-9a-fA-F]{0,6}\}|#?[a-zA-Z0-9]{0,8};|#[xX]?[0-9a-fA-F]{1,6}|[\ud800-\udfff]{1,3})?[\ud800-\udfff]{0,3}"
)
MAX_PART_OF_ESCAPE = 10


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

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the indexes in the original text at which a part of the decoded text starts and ends."""
        return self.starts[start], self.ends[end - 1]


def decodings(text: str) -> Iterator[DecodedText]:
    """Yield the text itself and each decoding that differs from it, each with and without its line breaks.

    >>> [decoded.text for decoded in decodings("p%2fw")]
    ['p%2fw', 'p/w']
    """
    current = DecodedText(text, list(range(len(text))), list(range(1, len(text) + 1)))
    yield from _with_joined(current)
    # The query of a URL can look like quoted-printable, so the other decodings do not build on this one.
    quoted = _decoded(current, _QUOTED, _decode_quoted)
    if quoted is not current:
        yield from _with_joined(quoted)
    for _ in range(_MAX_ROUNDS):
        before = current
        for pattern, decode in ((_ESCAPE, _decode_escape), (_PERCENT, _decode_percent), (_ENTITY, _decode_entity)):
            decoded = _decoded(current, pattern, decode)
            if decoded is not current:
                current = decoded
                yield from _with_joined(current)
        if current is before:
            return


def joined_lines(text: str) -> str:
    """Return the text without its line breaks, the white space around them, and characters that nobody sees.

    >>> joined_lines("a<br>b<br/> c")
    'abc'
    """
    return _LINE_BREAK.sub("", text)


def folded(text: str) -> str:
    """Return the text in lower case. Each character stays one character, so that its position stays the same.

    >>> folded("İ-TOKEN")
    'i-token'
    """
    # The lower case of İ has two characters, and the one of Σ depends on the characters around it.
    return text.replace("İ", "i").lower().replace("ς", "σ")


def without_part_of_escape(text: str) -> str:
    """Return the text before a cut without the part of an escape at its end.

    >>> without_part_of_escape("secret%2")
    'secret'
    """
    return text[:-MAX_PART_OF_ESCAPE] + _PART_BEFORE_CUT.sub("", text[-MAX_PART_OF_ESCAPE:])


def lengths_of_parts(text: str) -> list[int]:
    """Return how many characters at the start of the text after a cut may be the rest of an escape.

    >>> lengths_of_parts("2fsecret")
    [0, 1, 2]
    """
    return [
        length for length in range(min(MAX_PART_OF_ESCAPE, len(text)) + 1) if _PART_AFTER_CUT.fullmatch(text, 0, length)
    ]


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
    if kind in "uUx":
        units = [int(unit, 16) for unit in re.findall(r"[uUx]\{?([0-9a-fA-F]+)", escape)]
        code = units[0] if len(units) == 1 else 0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00)
        yield chr(code) if code <= sys.maxunicode else "\ufffd", len(escape)
    elif kind in "0123":
        yield chr(int(escape[1:], 8)), len(escape)
    else:
        yield _CONTROLS.get(kind, kind), len(escape)


def _decode_percent(escapes: str) -> Iterator[tuple[str, int]]:
    if escapes[1] in "uU":
        units = bytes.fromhex(escapes.replace("%u", "").replace("%U", ""))
        for char in units.decode("utf-16-be", "surrogatepass"):
            yield char, 6 * (len(char.encode("utf-16-be", "surrogatepass")) // 2)
        return
    for char in unquote_to_bytes(escapes).decode("utf-8", "surrogateescape"):
        # Each byte of the character is an escape of three characters.
        yield char, 3 * len(char.encode("utf-8", "surrogateescape"))


def _decode_quoted(escapes: str) -> Iterator[tuple[str, int]]:
    if len(escapes) >= len("=53") and escapes[1] != "\r":
        yield from _decode_percent(escapes.replace("=", "%"))


def _decode_entity(entity: str) -> Iterator[tuple[str, int]]:
    name = entity[1:].removesuffix(";")
    if name.startswith("#"):
        # A number can start with any count of zeros. Python refuses to convert a text of thousands of digits.
        digits = name.lstrip("#xX0")[: _MAX_DIGITS + 1]
        code = int(digits or "0", 16 if name[1] in "xX" else 10)
        yield chr(code) if code <= sys.maxunicode else "\ufffd", len(entity)
        return
    char = html5.get(f"{name};", "")
    # A few names stand for two characters, which no program writes for text.
    yield from [(char, len(entity))] if len(char) == 1 else [(char, 1) for char in entity]
