"""Names on another server follow pairs of globs, and lead back to the names that they come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_gate.domain.renaming import Renaming
from model_gate.errors import InputError
from model_gate.formats.glob import Glob

_NAMES = st.text(alphabet="ab.*-", max_size=8).map(lambda text: text.replace("*", "x"))
_LITERALS = st.lists(st.text(alphabet="ab.-", max_size=3), min_size=1, max_size=4)


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two globs with the same number of wildcards."""
    left = draw(_LITERALS)
    right = draw(st.lists(st.text(alphabet="ab.-", max_size=3), min_size=len(left), max_size=len(left)))
    # Two wildcards side by side are one.
    left, right = (
        [literals[0], *(literal or "b" for literal in literals[1:-1]), *literals[1:][-1:]] for literals in (left, right)
    )
    return "*".join(left) or "a", "*".join(right) or "b"


@given(_pairs(), _NAMES)
def test_renamed_name_matches_the_right_glob(pair: tuple[str, str], name: str) -> None:
    renamed = Renaming([pair]).renamed(name)
    if Glob(pair[0]).matches(name):
        assert Glob(pair[1]).matches(renamed)
    else:
        assert renamed == name


@given(st.lists(_pairs(), max_size=3), _NAMES)
def test_each_name_is_among_the_originals_of_its_new_name(pairs: list[tuple[str, str]], name: str) -> None:
    renaming = Renaming(pairs)
    originals = renaming.originals(renaming.renamed(name))
    assert name in originals
    assert {renaming.renamed(original) for original in originals} == {renaming.renamed(name)}


@given(st.lists(_pairs(), max_size=3), st.text(alphabet="ab.-*?", min_size=1, max_size=6), _NAMES)
def test_new_name_of_each_name_that_a_glob_matches_matches_a_renamed_glob(
    pairs: list[tuple[str, str]], glob: str, name: str
) -> None:
    renaming = Renaming(pairs)
    if Glob(glob).matches(name):
        assert any(Glob(each).matches(renaming.renamed(name)) for each in renaming.renamed_globs(glob))


@pytest.mark.parametrize(
    "pairs, name, renamed",
    [
        ([("prod.ml.*", "staging.ml.*")], "prod.ml.wine", "staging.ml.wine"),
        ([("*.ml.*", "dev.*.*")], "prod.ml.wine", "dev.prod.wine"),
        ([("*_v2", "v2.*")], "wine_v2", "v2.wine"),
        ([("Wine", "Wine Imported"), ("W*", "X*")], "Wine", "Wine Imported"),
        ([("Wine", "Wine Imported"), ("W*", "X*")], "Wines", "Xines"),
        ([("prod.*", "staging.*")], "Prod.wine", "Prod.wine"),
        ([("prod.*", "prod.*")], "prod.wine", "prod.wine"),
        ([("a+*", r"\1*")], "a+b", r"\1b"),
    ],
)
def test_first_pair_that_matches_renames(pairs: list[tuple[str, str]], name: str, renamed: str) -> None:
    assert Renaming(pairs).renamed(name) == renamed


@pytest.mark.parametrize(
    "glob, globs",
    [
        ("prod.ml.*", ["staging.ml.*"]),
        ("prod.ml.wine*", ["staging.ml.wine*"]),
        ("prod.m?.*", ["staging.m?.*"]),
        ("*", ["staging.*", "*"]),
        ("dev.*", ["dev.*"]),
    ],
)
def test_other_server_is_searched_no_wider_than_needed(glob: str, globs: list[str]) -> None:
    assert Renaming([("prod.*", "staging.*")]).renamed_globs(glob) == globs


@pytest.mark.parametrize(
    "pair, text",
    [
        (("prod.*", "staging"), "has 1 wildcard, and 'staging' has 0"),
        (("prod", "staging.*.*"), "has 0 wildcards, and 'staging.*.*' has 2"),
        (("prod.?", "staging.?"), "'prod.?' is not a name or a glob with *"),
        (("prod.[ab]", "staging"), "'prod.[ab]' is not a name"),
        (("", ""), "'' is not a name"),
    ],
)
def test_pair_that_does_not_say_how_to_rename_is_an_error(pair: tuple[str, str], text: str) -> None:
    with pytest.raises(InputError) as raised:
        Renaming([pair])
    assert text in raised.value.message
    assert raised.value.remedy


def test_long_hostile_name_is_renamed_in_time() -> None:
    assert Renaming([("*a*a*a*b", "*c*c*c*d")]).renamed("a" * 60_000) == "a" * 60_000
