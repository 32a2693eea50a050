"""A result is judged in one phrase, which claims no more than what was compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_gate.domain.difference import ENVIRONMENT_SETTING, Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.result import IgnoredPath, Outcome, RestOfModel
from model_gate.errors import NotFoundError
from model_gate.reporting.judgement import judgement
from tests.support.action_outcomes import check, comparison, difference

REWRITTEN = difference("MLmodel", rewrite_reason="only run_id differs")
SKOPS = difference("model.skops", rewrite_reason="the same members")
REFORMATTED = difference("config.json", explanation=Explanation("JSON", "only its layout differs"))
PACKAGES = difference("requirements.txt", explanation=Explanation("packages", "a 1 → 2", (FieldChange("a", "1", "2"),)))
RANDOM_ID = difference("python_model.pkl", explanation=Explanation("pickle", only_random="random class ids"))
RANDOM_NAME = difference("sparkml/part-00000", explanation=Explanation("bytes", only_random="random file names"))
SETTING = FieldChange("channels", "a", "b", meaning=ENVIRONMENT_SETTING)
CHANNELS = difference("conda.yaml", explanation=Explanation("packages", "channels a → b", (SETTING,)))
CUT_CHANNELS = difference("conda.yaml", explanation=Explanation("packages", "channels a → b", (SETTING,), is_cut=True))
MIXED = difference("conda.yaml", explanation=Explanation("packages", "", (FieldChange("a", "1", "2"), SETTING)))
COMMENT = difference("requirements.txt", explanation=Explanation("packages", "the same packages", lines=("-# a",)))


def missing(path: str) -> Difference:
    return difference(path, kind=DifferenceKind.ONLY_LEFT, right_size=None, offset=None)


def added(path: str, **more: object) -> Difference:
    return difference(path, kind=DifferenceKind.ONLY_RIGHT, left_size=None, offset=None, **more)


RANDOM_FILE = added("sparkml/part-00001", explanation=Explanation("bytes", only_random="random file names"))


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
            [difference(name) for name in ("a.pkl", "b.json", "c.py", "conda.yaml")],
            "the weights, settings, code and more differ",
        ),
        ([difference("artifacts/notes.csv"), difference("artifacts/a/words.txt")], "only artifacts differ"),
        ([difference("artifacts/model.pkl")], "the weights differ"),
        ([difference("data/table.dat")], "the file data/table.dat differs"),
        ([difference("a"), difference("b")], "files of unknown kind differ"),
        ([difference("a"), difference("model.pkl"), PACKAGES], "the weights, the file a and packages differ"),
        ([RANDOM_ID, REWRITTEN], "only random class ids differ"),
        ([RANDOM_ID, RANDOM_NAME], "only random class ids and random file names differ"),
        ([RANDOM_ID, PACKAGES], "only packages and random class ids differ"),
        ([RANDOM_ID, difference("model.pkl")], "the weights and random class ids differ"),
        ([CHANNELS], "only settings of the environment differ"),
        ([MIXED], "only packages differ"),
        ([CHANNELS, PACKAGES], "only packages and settings of the environment differ"),
        ([CUT_CHANNELS], "only packages differ"),
        ([COMMENT], "only the notation of files differs"),
        ([REWRITTEN], "only metadata that MLflow rewrites differs"),
        ([REWRITTEN, SKOPS], "only what MLflow or the file format rewrites differs"),
        ([REFORMATTED], "only the notation of files differs"),
        ([REFORMATTED, PACKAGES], "only packages differ"),
        ([missing("model.pkl")], "model.pkl is in one model only"),
        ([missing("MLmodel"), added("MLmodel.orig")], "2 files are in one model only"),
        ([added("requirements.txt"), REWRITTEN], "requirements.txt is in one model only"),
        ([added("code/a.py"), PACKAGES], "packages differ and code/a.py is in one model only"),
        ([missing("conda.yaml"), difference("model.pkl")], "the weights differ and conda.yaml is in one model only"),
        ([missing("conda.yaml"), REFORMATTED], "conda.yaml is in one model only"),
        ([RANDOM_FILE, PACKAGES], "only packages and random file names differ"),
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


def test_judgement_says_whether_what_is_left_out_differs() -> None:
    native = replace(comparison(), native_model="model.pkl", rest=RestOfModel(False, (PACKAGES,)))
    assert judgement(check(native)) == "model.pkl only, the rest differs"
    ignored = tuple(IgnoredPath(path, "*", equals) for path, equals in (("a", False), ("b", None), ("c", False)))
    assert judgement(check(replace(comparison(), ignored=ignored))) == "3 paths ignored, of which 2 differ"
    assert judgement(check(replace(comparison(), ignored=ignored[:2]))) == "2 paths ignored, of which 1 differs"


def test_judgement_of_an_error_is_empty_and_one_location_is_not_called_compared() -> None:
    assert judgement(Outcome(None, error=NotFoundError("No."))) == ""
    assert judgement(check(comparison(same=True))) == "EQUAL, nothing compared: one location"
