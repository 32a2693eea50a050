"""Untrusted text is printed without control characters, invisible characters and commands to a CI system."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_gate.domain.wording import plain_text, printable, truncate_middle

# Cc: control, Cf: format (zero-width, bidirectional), Cs: surrogate, Zl and Zp: separators of lines and paragraphs.
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(st.text())
def test_printable_text_is_one_line_without_control_and_format_characters(text: str) -> None:
    shown = printable(text)
    assert [char for char in shown if unicodedata.category(char) in UNSAFE] == []


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31m",
        "\r",
        "\x9b2J",
        "\u202e",
        "\u2066",
        "\u200b",
        "\ufeff",
        "\u2028",
        "\u00ad",
        "\u3164",
        "\u034f",
        "\U000e0041",
        "\U000e0100",
        "\ud800",
    ],
)
def test_invisible_character_is_shown_as_ascii(text: str) -> None:
    assert f"a{printable(text)}b".isascii()
    assert "\\" in printable(text)


@pytest.mark.parametrize("text", ["Wine", "größe", "模型", "модель ✓", "a → b", "❤\ufe0f"])
def test_visible_text_is_unchanged(text: str) -> None:
    assert printable(text) == text
    assert plain_text(text) == text


def test_byte_that_is_not_utf8_is_shown_as_a_hexadecimal_escape() -> None:
    assert printable("a\udcffb") == "a\\xffb"


@given(st.text())
@pytest.mark.parametrize("around", ["{}", "::{}", "##{}", "##vso[{}", " \t::{}\n##[{}"])
def test_plain_text_has_no_command_to_a_ci_system(around: str, text: str) -> None:
    shown = plain_text(around.format(text, text))
    lines = re.split(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", shown)
    assert [line for line in lines if line.strip().startswith("::") or re.search(r"##\w*\[", line)] == []


@given(st.text())
def test_line_breaks_of_plain_text_are_not_removed(text: str) -> None:
    assert plain_text(f"{text}\nb").count("\n") == text.count("\n") + 1


def test_shortening_a_long_line_creates_no_command_to_a_ci_system() -> None:
    line = plain_text("a" * 1999 + "#" * 2000 + "#[error]" + "b" * 1992)
    assert len(line) <= 4_010
    assert "##[" not in line


@given(st.text(), st.integers(1, 50))
def test_truncated_text_has_the_beginning_and_end_of_the_original(text: str, max_length: int) -> None:
    shortened = truncate_middle(text, max_length)
    assert len(shortened) <= max_length
    assert shortened == text or (shortened[0] in {text[0], "…"} and shortened[-1] in {text[-1], "…"})
