"""Finds the parts of secrets beside the places where a text was shortened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from model_gate.access.decoding import CUT, DecodedText, joined_lines, lengths_of_parts, without_part_of_escape

# A shorter part of a secret is not masked: it can be a part of many words.
_MIN_PART = 6


class CutSecrets:
    """Finds the start of a secret before a cut, its end after a cut, and its middle between two cuts.

    A cut can also go through an escape: of `p%2Fw`, it can leave `p%2`.

    Args:
        forms: The secrets in their usual encodings.
    """

    def __init__(self, forms: Iterable[str]) -> None:
        self._forms = sorted(form for form in forms if len(form) >= _MIN_PART)
        joined = {joined_lines(form) for form in self._forms}
        self._joined = sorted(form for form in joined if len(form) >= _MIN_PART)

    def spans(self, decoded: DecodedText) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each part of a secret in the decoded text.

        No secret contains a cut, so only the text between two cuts is searched for a part. This keeps the time linear.
        """
        text = decoded.text
        if CUT not in text:
            return
        forms = self._joined if decoded.is_joined else self._forms
        heads = [form for form in forms if form[:_MIN_PART] in text]
        tails = [form for form in forms if form[-_MIN_PART:] in text]
        for piece in re.finditer(f"[^{CUT}]{{{_MIN_PART},}}", text):
            is_before, is_after = piece.end() < len(text), piece.start() > 0
            if is_before and (length := _longest(piece[0], heads, _length_of_head)):
                yield piece.end() - length, piece.end()
            if is_after and (length := _longest(piece[0], tails, _length_of_tail)):
                yield piece.start(), piece.start() + length
            if is_before and is_after and _is_in_any(piece[0], forms):
                yield piece.span()


def _longest(piece: str, forms: Iterable[str], length_of: Callable[[str, str], int]) -> int:
    return max((length_of(piece, form) for form in forms), default=0)


def _length_of_head(piece: str, form: str) -> int:
    """Return how many characters at the end of a piece are the start of a form, with a part of an escape."""
    for text in (piece, without_part_of_escape(piece)):
        start = text.find(form[:_MIN_PART], max(0, len(text) - len(form)))
        while start >= 0 and not form.startswith(text[start:]):
            start = text.find(form[:_MIN_PART], start + 1)
        if start >= 0:
            return len(piece) - start
    return 0


def _length_of_tail(piece: str, form: str) -> int:
    """Return how many characters at the start of a piece are the end of a form, with a part of an escape."""
    for length in lengths_of_parts(piece):
        text = piece[length:]
        end = text.rfind(form[-_MIN_PART:], 0, len(form))
        while end >= 0 and not form.endswith(text[: end + _MIN_PART]):
            end = text.rfind(form[-_MIN_PART:], 0, end + _MIN_PART - 1)
        if end >= 0:
            return length + end + _MIN_PART
    return 0


def _is_in_any(piece: str, forms: Iterable[str]) -> bool:
    ends = {piece, without_part_of_escape(piece)}
    texts = {text[length:] for text in ends for length in lengths_of_parts(piece)}
    return any(text in form for text in texts if len(text) >= _MIN_PART for form in forms)
