"""Finds secrets and parts of secrets in a decoded text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from model_gate.access.cut_secrets import CutSecrets
from model_gate.access.decoding import DecodedText, folded, joined_lines

# A secret of at least this length is also found where a text splits it over several lines.
_MIN_SPLIT = 16
# Joined lines that are shorter can be a part of many words.
_MIN_JOINED = 6


class SecretSearch:
    """Finds the forms of secrets, also over several lines, and parts of them where a text was shortened.

    Args:
        forms: The secrets in their usual encodings.
        whole_only: Forms of which no part is searched.
        ignores_case: Whether a form is also found in upper case, in lower case and in a mixture of both.
    """

    def __init__(self, forms: Collection[str], whole_only: Collection[str], *, ignores_case: bool) -> None:
        self._ignores_case = ignores_case
        searched = {self._cased(form) for form in forms}
        joined = {joined_lines(form) for form in searched if len(form) >= _MIN_SPLIT}
        self._whole = any_of(searched, "{}")
        self._split = any_of({form for form in joined if len(form) >= _MIN_JOINED}, "{}")
        self._cut = CutSecrets({self._cased(form) for form in forms if form not in whole_only})

    def spans(self, decoded: DecodedText) -> Iterator[tuple[int, int]]:
        """Yield the start and the end of each secret, and of each part of one, in the decoded text."""
        searched = replace(decoded, text=self._cased(decoded.text))
        pattern = self._split if searched.is_joined else self._whole
        if pattern is not None:
            yield from (match.span() for match in pattern.finditer(searched.text))
        yield from self._cut.spans(searched)

    def _cased(self, text: str) -> str:
        return folded(text) if self._ignores_case else text


def any_of(forms: Collection[str], pattern: str) -> re.Pattern[str] | None:
    """Return a regular expression that finds any of the forms, None if there are none.

    Args:
        forms: The texts to find.
        pattern: The expression around them, with `{}` in their place.
    """
    # Longest first: one secret may begin with another.
    ordered = sorted(forms, key=len, reverse=True)
    return re.compile(pattern.format("|".join(map(re.escape, ordered)))) if ordered else None
