"""A result is judged in one phrase, which claims no more than what was compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_gate.domain.difference import Difference, Explanation, FieldChange
from model_gate.domain.result import IgnoredPath, Outcome
from model_gate.errors import NotFoundError
from model_gate.reporting.judgement import judgement
from tests.support.action_outcomes import check, comparison, difference

REWRITTEN = difference("MLmodel", rewrite_reason="only run_id differs")
SKOPS = difference("model.skops", rewrite_reason="the same members")
REFORMATTED = difference("config.json", explanation=Explanation("JSON", "only its layout differs"))
PACKAGES = difference("requirements.txt", explanation=Explanation("packages", "a 1 → 2", (FieldChange("a", "1", "2"),)))


@pytest.mark.parametrize(
    "differences, words",
    [
        ([difference("model.pkl"), REWRITTEN], "the weights differ"),
        ([PACKAGES, REWRITTEN], "only packages differ"),
        ([difference("model.pkl"), PACKAGES, difference("LICENSE")], "the weights, packages and documents differ"),
        ([difference("code/a.py")], "only code differs"),
        ([difference("code/a.py"), PACKAGES], "only code and packages differ"),
        ([difference("MLmodel")], "only fields of MLmodel differ"),
        ([difference("input_example.json")], "only examples differ"),
        (
            [difference(name) for name in ("a", "b.json", "c.py", "conda.yaml")],
            "the weights, settings, code and more differ",
        ),
        ([REWRITTEN], "only metadata that MLflow rewrites differs"),
        ([REWRITTEN, SKOPS], "only what MLflow or the file format rewrites differs"),
        ([REFORMATTED], "only the notation of files differs"),
        ([REFORMATTED, PACKAGES], "only packages differ"),
        ([], "the same files with the same bytes"),
    ],
)
def test_judgement_says_what_differs(differences: list[Difference], words: str) -> None:
    assert judgement(check(comparison(*differences))) == words


@pytest.mark.parametrize(
    "paths, words",
    [
        (("model.pkl",), "packages differ; model.pkl was not compared"),
        (("a", "b"), "packages differ; 2 files were not compared"),
    ],
)
def test_judgement_names_what_was_not_compared_and_does_not_say_only(paths: tuple[str, ...], words: str) -> None:
    assert judgement(check(replace(comparison(PACKAGES), not_compared=paths))) == words


def test_judgement_of_a_part_of_a_model_claims_nothing_about_the_whole_model() -> None:
    native = replace(comparison(), native_model="model.pkl", right_native_model="model.pkl")
    assert judgement(check(native)) == "model.pkl only"
    ignored = (IgnoredPath("README.md", "*.md", True),)
    assert judgement(check(replace(comparison(), ignored=ignored))) == "1 path ignored"
    assert judgement(check(replace(comparison(PACKAGES), ignored=ignored))) == "packages differ"


def test_judgement_of_an_error_is_empty_and_one_location_is_not_called_compared() -> None:
    assert judgement(Outcome(None, error=NotFoundError("No."))) == ""
    assert judgement(check(comparison(same=True))) == "EQUAL, nothing compared: one location"
