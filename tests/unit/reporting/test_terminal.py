"""The terminal shows the verdict on one screen, and errors with a remedy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.domain.difference import Difference, DifferenceKind, Explanation
from model_gate.domain.result import Outcome, RestOfModel
from model_gate.domain.verdict import Require
from model_gate.errors import ModelError
from model_gate.reporting.terminal import error_text, unlisted_differences, verdict_text
from tests.support.outcomes import (
    FIELDS,
    IDENTITY,
    ONE_OF_EACH,
    THREE,
    check_outcome,
    compare_outcome,
    comparison,
    diff_outcome,
)

SCREEN = 24
EQUIVALENT = "DIFFERENT, but equivalent: only what MLflow or the file format rewrites differs"
TWELVE = tuple(
    Difference(f"data/{n:02}.txt", DifferenceKind.CONTENT, 1, 2, offset=0, explanation=FIELDS) for n in range(12)
)


def text_of(outcome: Outcome) -> str:
    return verdict_text(outcome, Path("report.json"))


@pytest.mark.parametrize(
    "differences",
    [THREE, ONE_OF_EACH, TWELVE, THREE[:1], IDENTITY],
    ids=["three", "one of each", "twelve", "one", "identity"],
)
def test_terminal_output_fits_on_one_screen(differences: tuple[Difference, ...]) -> None:
    outcomes = [
        diff_outcome(differences),
        check_outcome(differences, native_model="model.pkl"),
        compare_outcome(comparison(differences), comparison(differences)),
        compare_outcome(
            comparison(differences, native_model="model.pkl"), comparison(differences, native_model="model.pkl")
        ),
        compare_outcome(comparison(differences), comparison()),
    ]
    shared = comparison(differences, native_model="model.pkl")
    outcomes.append(compare_outcome(shared, shared))
    for outcome in outcomes:
        lines = text_of(outcome).splitlines()
        assert len(lines) <= SCREEN, "\n".join(lines)
        assert all(len(line) <= 250 for line in lines)


def test_terminal_output_lists_three_differences_with_details() -> None:
    text = text_of(diff_outcome(THREE))
    for difference in THREE:
        assert f"{difference.path}: content differs (10 → 20 bytes, first at byte 5)" in text
    assert "flavors.sklearn.field_0: 1 → (none)" in text
    assert "-line 0" in text
    assert "more, in the report" not in text


def test_terminal_output_has_no_detail_that_the_phrase_of_its_difference_has() -> None:
    coefficients, part_of_a_number = "coef_: 1 of 39 elements changed", "7 of 1,04"
    explanation = Explanation(
        "pickle", f"7 of 1,043 bytes differ, {coefficients}", lines=(coefficients, part_of_a_number)
    )
    pickle = Difference("model.pkl", DifferenceKind.CONTENT, explanation=explanation)
    text = text_of(diff_outcome((pickle,)))
    assert text.count(coefficients) == 1
    assert f"\n      {part_of_a_number}\n" in text


def test_terminal_output_shows_how_many_differences_it_omits() -> None:
    text = text_of(diff_outcome(TWELVE))
    assert "12 of 12 compared files differ" in text
    assert "data/00.txt" in text
    assert "… and 6 more, in the report" in text


def test_differences_are_either_in_the_terminal_output_or_unlisted() -> None:
    for outcome in (diff_outcome(TWELVE), diff_outcome(THREE), compare_outcome(comparison(TWELVE), comparison(THREE))):
        text = text_of(outcome)
        unlisted = [difference.path for difference, _ in unlisted_differences(outcome)]
        listed = [
            d.path for _, each in outcome.distinct_comparisons for d in each.differences if f"  {d.path}: " in text
        ]
        assert len(listed) + len(unlisted) == outcome.difference_count
        assert not set(listed) & set(unlisted)


def test_terminal_output_names_what_was_not_compared() -> None:
    paths = tuple(f"part-{number:02}" for number in range(12))
    text = text_of(compare_outcome(replace(comparison(THREE), not_compared=paths), comparison()))
    assert f"  not compared, so they may differ too: {', '.join(paths[:10])} and 2 more" in text


def test_terminal_output_describes_each_kind_of_difference() -> None:
    text = text_of(diff_outcome(ONE_OF_EACH))
    assert "a: only in left (1 byte)" in text
    assert "b: only in right (2,000 bytes)" in text
    assert "c: a file in left, a directory in right" in text
    assert "d: content differs (10 bytes)" in text


def test_files_that_mlflow_only_rewrote_come_last_in_the_terminal_output() -> None:
    text = text_of(diff_outcome((*IDENTITY, Difference("z", DifferenceKind.ONLY_LEFT, 1, None))))
    assert text.index("  z: ") < text.index("  MLmodel: ")


@pytest.mark.parametrize(
    "outcome, verdict",
    [
        (diff_outcome(), "EQUAL"),
        (diff_outcome(THREE), "DIFFERENT"),
        (diff_outcome(THREE, Require.EQUIVALENT), "DIFFERENT (equivalent is required)"),
        (
            diff_outcome(IDENTITY),
            f"{EQUIVALENT} (not passed: identical is required, see --require equivalent)",
        ),
        (
            diff_outcome(IDENTITY, Require.EQUIVALENT),
            f"{EQUIVALENT} (passed)",
        ),
    ],
)
def test_terminal_output_ends_with_the_verdict_and_the_report_path(outcome: Outcome, verdict: str) -> None:
    assert text_of(outcome).splitlines()[-2:] == [verdict, "Report: report.json"]


def test_terminal_output_says_that_not_all_files_were_compared_if_only_rewrites_differ() -> None:
    for differences, words in ((IDENTITY, "is known to differ, but not all files were compared"), (THREE, "DIFFERENT")):
        stopped = replace(comparison(differences), equivalent=False, not_compared=("a", "b"))
        assert text_of(compare_outcome(stopped, stopped)).splitlines()[-2].endswith(words)


def test_terminal_output_names_both_native_models() -> None:
    run_models = replace(comparison(THREE, native_model="model.pkl"), right_native_model="conda.yaml")
    text = text_of(compare_outcome(run_models, comparison()))
    assert "only model.pkl and conda.yaml affect the verdict" in text
    same = replace(comparison(native_model="model.pkl"), right_native_model="model.pkl")
    assert "run models: equal in model.pkl only" in text_of(compare_outcome(same, comparison()))


def test_terminal_output_of_check_starts_with_the_resolved_version() -> None:
    first = text_of(check_outcome()).splitlines()[0]
    assert first == (
        "check    Wine version 7 (Production, @best, @champion) on http://example.com, run 0a1b2c3d, commit c0ffee00"
    )


def test_terminal_output_of_compare_shows_both_versions_and_both_comparisons() -> None:
    text = text_of(compare_outcome(comparison(), comparison(THREE)))
    assert "compare  Wine version 7" in text
    assert "with     Wine_Imported version 7" in text
    assert "run models: equal (3 files, 30 bytes, sha256 0123456789ab…)" in text
    assert "registry models: different (3 of 3 compared files differ; 1 file was not compared)" in text


def test_password_in_a_host_is_not_shown() -> None:
    assert "s3cret" not in text_of(compare_outcome(comparison(), comparison()))


def test_terminal_output_says_that_both_models_have_the_same_location() -> None:
    same = replace(comparison(), same_location=True)
    assert "run models: the same files (one location, nothing to compare)" in text_of(
        compare_outcome(same, comparison())
    )


@pytest.mark.parametrize(
    "rest, words",
    [
        (RestOfModel(True, ()), "equal"),
        (RestOfModel(None, ()), "not all files were compared"),
        (RestOfModel(False, THREE), "different in MLmodel, conda.yaml, requirements.txt"),
        (
            RestOfModel(False, tuple(Difference(name, DifferenceKind.ONLY_LEFT, 1, None) for name in "abcdef")),
            "different in a, b, c, d and 2 more",
        ),
    ],
)
def test_terminal_output_says_whether_files_outside_the_native_model_are_equal(rest: RestOfModel, words: str) -> None:
    run_models = replace(comparison(native_model="model.pkl"), rest=rest)
    text = text_of(compare_outcome(run_models, comparison()))
    assert "run models: equal in model.pkl only" in text
    assert f"  the rest of the MLflow model: {words}" in text


def test_hostile_paths_are_escaped_and_long_paths_are_truncated() -> None:
    names = ["a\n::error::b", "\x1b[2J", "\udcff", "d/" * 1_000 + "f"]
    text = text_of(diff_outcome(tuple(Difference(name, DifferenceKind.ONLY_LEFT, 1, None) for name in names)))
    assert "\x1b" not in text
    assert "\\n::error::b" in text
    assert "\\xff" in text
    assert all(not line.startswith("::") and len(line) < 200 for line in text.splitlines())


def test_error_is_shown_as_message_and_remedy() -> None:
    assert error_text(ModelError("It is empty.", "Fill it.")) == "error: It is empty.\n  Fill it."
    assert error_text(ModelError("It is empty.")) == "error: It is empty."


def test_line_breaks_in_names_and_messages_are_escaped() -> None:
    outcome = check_outcome(THREE, native_model="model.pkl\nEQUAL\n")
    assert "EQUAL" not in text_of(outcome).splitlines()
    assert error_text(ModelError("a\nb", "c\r\nd")) == "error: a\\nb\n  c\\r\\nd"
