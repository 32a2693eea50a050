"""A result is judged in one phrase, which claims no more than what was compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_gate.domain.difference import ENVIRONMENT_SETTING, Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.result import Comparison, IgnoredPath, Outcome
from model_gate.errors import NotFoundError
from model_gate.reporting.judgement import judgement
from tests.support.action_outcomes import check, compare, comparison, difference

REWRITTEN = difference("MLmodel", rewrite_reason="only run_id differs")
SKOPS = difference("model.skops", rewrite_reason="the same members")
REFORMATTED = difference(
    "config.json", explanation=Explanation("JSON", "only its layout differs", has_same_values=True)
)
SAME_WEIGHTS = difference("model.onnx", explanation=Explanation("ONNX", "the same nodes", has_same_values=True))
PACKAGES = difference("requirements.txt", explanation=Explanation("packages", "a 1 → 2", (FieldChange("a", "1", "2"),)))
RANDOM_ID = difference("python_model.pkl", explanation=Explanation("pickle", only_random="random class ids"))
RANDOM_NAME = difference("sparkml/part-00000", explanation=Explanation("bytes", only_random="random file names"))
SETTING = FieldChange("channels", "a", "b", meaning=ENVIRONMENT_SETTING)
CHANNELS = difference("conda.yaml", explanation=Explanation("packages", "channels a → b", (SETTING,)))
CUT_CHANNELS = difference("conda.yaml", explanation=Explanation("packages", "channels a → b", (SETTING,), is_cut=True))
MIXED = difference("conda.yaml", explanation=Explanation("packages", "", (FieldChange("a", "1", "2"), SETTING)))
COMMENT = difference(
    "requirements.txt", explanation=Explanation("packages", "the same packages", lines=("-# a",), has_same_values=True)
)


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
        ([difference("artifacts/notes.csv"), difference("artifacts/a/words.txt")], "only files in artifacts/ differ"),
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
        ([SAME_WEIGHTS], "only the notation of files differs"),
        ([difference("sparkml/_SUCCESS"), difference("sparkml/.a.crc")], "only files that the format adds differ"),
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


NATIVE = replace(comparison(), native_model="model.pkl", right_native_model="model.pkl")
IGNORED = (IgnoredPath("README.md", "*.md", True),)


@pytest.mark.parametrize("result", [NATIVE, replace(comparison(), ignored=IGNORED)])
def test_judgement_of_a_part_of_a_model_claims_nothing_about_the_whole_model(result: Comparison) -> None:
    assert judgement(check(result)) == ""
    packages = replace(result, equals=False, equivalent=False, differences=(PACKAGES,))
    assert judgement(check(packages)) == "packages differ"


def one_sided(path: str, kind: DifferenceKind, reason: str = "") -> Difference:
    return difference(path, kind=kind, rewrite_reason=reason)


LEFT, RIGHT = DifferenceKind.ONLY_LEFT, DifferenceKind.ONLY_RIGHT
DATA = difference("data", kind=DifferenceKind.TYPE, left_type="file", right_type="directory")


@pytest.mark.parametrize(
    "differences, words",
    [
        ([one_sided("requirements.txt", LEFT)], "requirements.txt is missing in the registry model"),
        ([one_sided("code/a.py", RIGHT)], "code/a.py is missing in the run model"),
        ([one_sided("a", LEFT), one_sided("b", LEFT)], "2 files are missing in the registry model"),
        (
            [one_sided("a", LEFT), one_sided("b", RIGHT)],
            "2 files are in only one of the models",
        ),
        (
            [one_sided("a", LEFT), DATA],
            "a is missing in the registry model; data is a file in one model and a directory in the other",
        ),
        ([PACKAGES, one_sided("a", LEFT)], "packages differ; a is missing in the registry model"),
        ([one_sided("registered_model_meta", RIGHT, "written")], "only metadata that MLflow rewrites differs"),
        (
            [DATA],
            "data is a file in one model and a directory in the other",
        ),
    ],
)
def test_judgement_names_the_model_that_lacks_a_file(differences: list[Difference], words: str) -> None:
    assert judgement(check(comparison(*differences))) == words


def test_judgement_names_the_models_of_a_compare_of_which_only_some_differ() -> None:
    assert judgement(compare(comparison(), comparison(PACKAGES))) == "registry models: only packages differ"
    assert judgement(compare(comparison(PACKAGES), comparison(PACKAGES))) == "only packages differ"


def test_difference_with_an_unmet_condition_is_not_called_notation() -> None:
    condition = "a is in neither model"
    unmet = Explanation("JSON", "only its layout differs", unmet_condition=condition, has_same_values=True)
    assert judgement(check(comparison(difference("config.json", explanation=unmet)))) == "only settings differ"


def test_judgement_of_an_error_is_empty_and_one_location_is_not_called_compared() -> None:
    assert judgement(Outcome(None, error=NotFoundError("No."))) == ""
    assert judgement(check(comparison(same=True))) == "one location, nothing to compare"
