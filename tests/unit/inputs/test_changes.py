"""A change is what the texts of gates files mean before and after it, and not how they are written."""

from __future__ import annotations

import pytest

from model_gate.domain.gates import LeftOut
from model_gate.errors import ConfigError
from model_gate.inputs.changes import Changes, FileChange, GatesText, all_changed, changes_between, seal_paths, union

SERVER = "{server: prod, model: Wine, version_or_stage: %s}"
WINE = "wine: {check: " + SERVER % 1 + "}"
WINE_2 = "wine: {check: " + SERVER % 2 + "}"
BEER = "beer: {check: {server: prod, model: Beer, version_or_stage: 1}}"


def gates(*entries: str, defaults: str = "") -> str:
    """Return a gates file with these entries."""
    return "gates:\n" + "".join(f"  {entry}\n" for entry in entries) + defaults


def change(before: str | None, after: str, seals: dict[str, str] | None = None) -> Changes:
    return changes_between([FileChange(GatesText("gates.yaml", after), before)], "main", seals or {})


def test_an_unchanged_file_has_no_changes() -> None:
    changes = change(gates(WINE, BEER), gates(WINE, BEER))
    assert changes == Changes(
        "main",
        frozenset(),
        (LeftOut("wine", "not changed since main"), LeftOut("beer", "not changed since main")),
    )


@pytest.mark.parametrize(
    "after",
    [
        gates(BEER, WINE),
        gates(WINE, BEER).replace("\n", "\r\n"),
        "# A comment\n" + gates(WINE, BEER).replace("wine: ", "'wine':   "),
        gates("wine:\n    check:\n      model: 'Wine'\n      version_or_stage: \"1\"\n      server: prod", BEER),
    ],
    ids=["order", "line breaks", "comment", "layout"],
)
def test_a_file_that_is_only_reformatted_has_no_changes(after: str) -> None:
    assert change(gates(WINE, BEER), after).changed == frozenset()


def test_added_altered_and_removed_entries_are_named() -> None:
    assert change(gates(WINE, BEER), gates(WINE_2, "ale" + BEER[4:])) == Changes(
        "main", frozenset({"wine", "ale"}), (), ("beer",), ("Removed since main: beer.",)
    )


def test_a_default_alters_the_entries_that_it_reaches() -> None:
    own = "own: {check: {server: prod, model: Wine, version_or_stage: 1}, require: equivalent}"
    changes = change(gates(WINE, own), gates(WINE, own, defaults="defaults: {require: equivalent}\n"))
    assert changes.changed == {"wine"}
    assert changes.left_out == (LeftOut("own", "not changed since main"),)


def test_a_new_file_has_only_changes() -> None:
    assert change(None, gates(WINE, BEER)).changed == {"wine", "beer"}


def test_an_entry_that_moves_between_files_is_not_changed() -> None:
    files = [
        FileChange(GatesText("a.yaml", gates(BEER)), gates(WINE, BEER)),
        FileChange(GatesText("b.yaml", gates(WINE)), None),
    ]
    changes = changes_between(files, "main", {})
    assert (changes.changed, changes.removed, changes.notices) == (frozenset(), (), ())


def test_an_entry_that_moves_and_alters_is_changed() -> None:
    files = [
        FileChange(GatesText("a.yaml", gates(BEER)), gates(WINE, BEER)),
        FileChange(GatesText("b.yaml", gates(WINE_2)), None),
    ]
    assert changes_between(files, "main", {}).changed == {"wine"}


def test_a_name_with_two_meanings_at_the_base_is_changed() -> None:
    files = [
        FileChange(GatesText("a.yaml", gates(WINE)), gates(WINE)),
        FileChange(GatesText("b.yaml", gates(BEER)), gates(WINE_2, BEER)),
    ]
    assert changes_between(files, "main", {}).changed == {"wine"}


@pytest.mark.parametrize(
    "before", ["gates: [", "", "- a list\n", "gates: {wine: 1}\n", "version https://example.com\n"]
)
def test_a_file_that_was_not_valid_counts_as_changed(before: str) -> None:
    changes = change(before, gates(WINE, BEER))
    assert changes.changed == {"wine", "beer"}
    assert changes.notices == ("gates.yaml was not a valid gates file at main, so all its entries count as changed.",)


def test_a_file_whose_text_is_not_known_counts_as_changed() -> None:
    files = [
        FileChange(GatesText("a.yaml", gates(WINE)), None, "was not a regular file"),
        FileChange(GatesText("b.yaml", gates(BEER)), gates(WINE, BEER)),
    ]
    changes = changes_between(files, "main", {})
    assert changes.changed == {"wine"}
    assert changes.notices == ("a.yaml was not a regular file at main, so all its entries count as changed.",)


def test_a_file_that_is_not_valid_now_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"gates\.yaml"):
        change(gates(WINE), "gates: [")


def test_a_changed_seal_alters_its_entries() -> None:
    sealed = [
        "wine: {check: " + SERVER % 1 + ", seal: seals/wine.json}",
        "beer: {select: {server: prod, models: '*', version_or_stage: latest}, against: {seals: 'seals/{model}.json'}}",
        BEER.replace("beer", "ale"),
    ]
    changes = change(gates(*sealed), gates(*sealed), {"seals/wine.json": "changed"})
    assert changes.changed == {"wine"}
    assert changes.notices == ("The seal seals/wine.json changed, so these entries count as changed: wine.",)
    assert change(gates(*sealed), gates(*sealed), {"seals/{model}.json": "changed"}).changed == {"beer"}


def test_seals_of_all_kinds_of_entries_are_found() -> None:
    text = gates(
        "a: {check: " + SERVER % 1 + ", seal: s/a.json}",
        "b: {tracking_server_1: {seal: s/b.json}, tracking_server_2: " + SERVER % 1 + "}",
        "c: {select: {server: prod, models: '*', version_or_stage: latest, tags: {seal: other}},"
        " against: {seals: 's/{model}.json'}}",
        BEER,
    )
    assert list(seal_paths(GatesText("gates.yaml", text))) == [
        ("a", "s/a.json"),
        ("b", "s/b.json"),
        ("c", "s/{model}.json"),
    ]


def test_the_seal_of_a_compare_file_is_found() -> None:
    text = f"tracking_server_1: {{seal: s/b.json}}\ntracking_server_2: {SERVER % 1}\n"
    assert list(seal_paths(GatesText("ci/promotion.yaml", text))) == [("promotion", "s/b.json")]


def test_without_a_base_every_entry_is_changed() -> None:
    files = [GatesText("a.yaml", gates(WINE)), GatesText("b.yaml", gates(BEER))]
    changes = all_changed(files, "the event has no base")
    assert changes == Changes("", frozenset({"wine", "beer"}), notices=("All entries run: the event has no base.",))


def test_an_entry_that_differs_from_one_of_several_bases_is_changed() -> None:
    first = change(gates(WINE, BEER), gates(WINE, BEER))
    second = change(gates(WINE_2, BEER, "ale" + BEER[4:]), gates(WINE, BEER))
    assert union([first, second]) == Changes(
        "main",
        frozenset({"wine"}),
        (LeftOut("beer", "not changed since main"),),
        ("ale",),
        ("Removed since main: ale.",),
    )
