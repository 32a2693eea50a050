"""A glob matches the same paths as an equivalent regular expression, and takes linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_gate.formats.glob import Glob

_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def regular_expression(pattern: str) -> re.Pattern[str]:
    """Translate a glob without character classes into a regular expression."""
    parts = re.findall(r"\*\*/|\*\*|\*|\?|.", pattern, re.DOTALL)
    return re.compile("".join(_WILDCARDS.get(part) or re.escape(part) for part in parts), re.DOTALL)


@given(st.text("a/*?b", max_size=8), st.text("ab/", max_size=8))
def test_glob_pattern_matches_the_same_paths_as_its_regular_expression(pattern: str, path: str) -> None:
    assert Glob(pattern).matches(path) == bool(regular_expression(pattern).fullmatch(path))


@pytest.mark.parametrize(
    "pattern, path",
    [
        ("*a*a*a*a*b", "a" * 4_000),
        ("**a**a**a**a**b", "a/" * 2_000),
        ("**/" * 30 + "x", "a/" * 2_000),
        ("?" * 50 + "*" * 50 + "b", "a" * 4_000),
    ],
    ids=["stars", "double stars", "directories", "mixed"],
)
def test_glob_with_repeated_wildcards_matches_in_linear_time(pattern: str, path: str) -> None:
    started = time.process_time()
    assert not Glob(pattern).matches(path)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "pattern, paths, others",
    [
        ("[]]", ["]"], ["["]),
        ("[!]]", ["a"], ["]", "/"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("[[]", ["["], ["]"]),
        ("[", ["["], []),
        ("[!a", ["[!a"], ["b"]),
        ("[\\]", ["\\"], ["]"]),
    ],
)
def test_glob_character_class_matches_exactly_one_character(pattern: str, paths: list[str], others: list[str]) -> None:
    glob = Glob(pattern)
    assert [path for path in (*paths, *others) if glob.matches(path)] == paths


@pytest.mark.parametrize("pattern", ["[z-a]", "[!z-a]", "a[9-0]b", "[!]", "[]", "x[!]y"])
def test_glob_with_an_empty_or_reversed_character_class_is_rejected(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is empty|wrong order"):
        Glob(pattern)
