"""A text of a model is redacted before it is shortened."""

from __future__ import annotations

import pytest

from model_gate.access.redaction import MASK, Redactor
from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.reporting.naming import SideNames
from model_gate.reporting.phrases import difference_line
from model_gate.reporting.shortening import short_identifier, short_path, short_text

SIGNED = f"copies/https:host/{'d' * 30}?X-Amz-Signature={'0123456789abcdef' * 4}"


@pytest.mark.parametrize("length", range(20, 120, 7))
def test_signature_in_a_path_is_masked_before_the_path_is_shortened(length: int) -> None:
    line = difference_line(Difference(SIGNED, DifferenceKind.ONLY_LEFT), SideNames(), length)
    for shown in (short_path(SIGNED, length), short_text(SIGNED, length), line):
        masked = Redactor().text(shown)
        assert "01234567" not in masked
        assert "cdef" not in masked


@pytest.mark.parametrize("length", range(20, 50, 3))
def test_login_in_a_text_is_masked_before_the_text_is_shortened(length: int) -> None:
    text = "a line of a file with https://t0ken-of-ann@example.com/simple"
    assert "t0k" not in Redactor().text(short_text(text, length))


def test_text_that_is_short_enough_is_unchanged() -> None:
    assert short_path(SIGNED, 200) == short_text(SIGNED, 200) == SIGNED


@pytest.mark.parametrize("shorten", [short_path, short_text])
def test_shortened_text_is_on_one_line_of_at_most_the_given_length(shorten: object) -> None:
    assert callable(shorten)
    shown = shorten("a\nb/" * 50, 40)
    assert "\n" not in shown
    assert len(shown) <= 40


@pytest.mark.parametrize("secret", ["dapi0123456789abcdef", "tok_Zr/9+Ab3dEf6hIj8"])
def test_secret_in_place_of_an_identifier_is_masked(secret: str) -> None:
    assert Redactor([secret]).text(f"run {short_identifier(secret)}, commit") == f"run {MASK}…, commit"
