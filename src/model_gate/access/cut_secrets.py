"""Finds the parts of secrets beside the places where a text was shortened."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator

from model_gate.access.decoding import (
    CUT,
    MAX_PART_OF_ESCAPE,
    OTHER_CUT,
    OTHER_CUT_SIGNS,
    DecodedText,
    joined_lines,
    lengths_of_parts,
    without_part_of_escape,
)

_CUT = re.compile(CUT)
_ANY_CUT = re.compile(rf"{CUT}|(?:{OTHER_CUT}) ?")
# A shorter part of a secret is not masked: it can be a part of many words.
_MIN_PART = 6
# The other marks also have other meanings, such as three dots at the end of a sentence. A part beside them is longer.
_MIN_PART_BESIDE_OTHER = 8


class CutSecrets:
    """Finds the start of a secret before a cut, its end after a cut, and its middle between two cuts.

    A cut can also go through an escape: of `p%2Fw`, it can leave `p%2`.

    Args:
        forms: The secrets in their usual encodings.
    """

    def __init__(self, forms: Collection[str]) -> None:
        self._forms = sorted(forms)
        self._joined = sorted({joined_lines(form) for form in forms})

    def spans(self, decoded: DecodedText) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each part of a secret in the decoded text.

        No secret contains a cut, so only the text between two cuts is searched for a part. This keeps the time linear.
        """
        text = decoded.text
        forms = self._joined if decoded.is_joined else self._forms
        if CUT in text:
            yield from _spans(text, _CUT, forms, _MIN_PART)
        # To look for the signs is faster than to search with the pattern.
        if any(sign in text for sign in OTHER_CUT_SIGNS):
            yield from _spans(text, _ANY_CUT, forms, _MIN_PART_BESIDE_OTHER)


def _spans(text: str, cut: re.Pattern[str], all_forms: Iterable[str], least: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each part of a form, of at least some length, beside a cut."""
    forms = [form for form in all_forms if len(form) >= least]
    heads = [form for form in forms if form[:least] in text]
    tails = [form for form in forms if form[-least:] in text]
    longest = max(map(len, forms), default=0) + 2 * MAX_PART_OF_ESCAPE
    # No piece contains a cut, so a piece that is in this text is in one of the forms.
    joined_forms = CUT.join(forms)
    for start, end in _pieces(text, cut, least):
        piece = text[start:end]
        is_before, is_after = end < len(text), start > 0
        if is_before and (length := _longest(piece, heads, _length_of_head, least)):
            yield end - length, end
        if is_after and (length := _longest(piece, tails, _length_of_tail, least)):
            yield start, start + length
        if is_before and is_after and len(piece) <= longest and _is_part(piece, joined_forms, least):
            yield start, end


def _pieces(text: str, cut: re.Pattern[str], least: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each text between two cuts that has at least some length.

    A blank before a cut is no part of the text.
    """
    start = 0
    for match in cut.finditer(text):
        end = match.start() - text.endswith(" ", start, match.start())
        if end - start >= least:
            yield start, end
        start = match.end()
    if len(text) - start >= least:
        yield start, len(text)


def _longest(piece: str, forms: Iterable[str], length_of: Callable[[str, str, int], int], least: int) -> int:
    return max((length_of(piece, form, least) for form in forms), default=0)


def _length_of_head(piece: str, form: str, least: int) -> int:
    """Return how many characters at the end of a piece are the start of a form, with a part of an escape."""
    for text in (piece, without_part_of_escape(piece)):
        start = text.find(form[:least], max(0, len(text) - len(form)))
        while start >= 0 and not form.startswith(text[start:]):
            start = text.find(form[:least], start + 1)
        if start >= 0:
            return len(piece) - start
    return 0


def _length_of_tail(piece: str, form: str, least: int) -> int:
    """Return how many characters at the start of a piece are the end of a form, with a part of an escape."""
    for length in lengths_of_parts(piece):
        text = piece[length:]
        end = text.rfind(form[-least:], 0, len(form))
        while end >= 0 and not form.endswith(text[: end + least]):
            end = text.rfind(form[-least:], 0, end + least - 1)
        if end >= 0:
            return length + end + least
    return 0


def _is_part(piece: str, joined_forms: str, least: int) -> bool:
    ends = {piece, without_part_of_escape(piece)}
    texts = {text[length:] for text in ends for length in lengths_of_parts(piece)}
    return any(len(text) >= least and text in joined_forms for text in texts)
