"""The sentence about predictions claims no more than what was compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.domain.difference import DIGEST, Difference, DifferenceKind, Explanation, FieldChange
from model_gate.domain.request import ModelRequest, SealRequest
from model_gate.domain.result import Comparison, IgnoredPath, Outcome, RestOfModel
from model_gate.errors import NotFoundError
from model_gate.reporting.predictions import predictions
from tests.support.action_outcomes import check, compare, comparison, difference, version
from tests.support.outcomes import diff_outcome

REWRITTEN = difference("MLmodel", rewrite_reason="only run_id differs")
PACKAGES = difference("requirements.txt")
HASH = difference("MLmodel", explanation=Explanation(DIGEST, "other bytes"))
REFORMATTED = difference(
    "config.json", explanation=Explanation("JSON", "only its layout differs", has_same_values=True)
)
SAME = "the same files, so the same predictions"


def ignored(*paths: IgnoredPath, result: Comparison | None = None) -> Comparison:
    return replace(result or comparison(), ignored=paths)


def native(rest: RestOfModel) -> Comparison:
    return replace(comparison(), rest=rest, native_model="model.pkl", right_native_model="model.pkl")


def ignored_difference(changed: Difference) -> IgnoredPath:
    return IgnoredPath(changed.path, changed.path, False, changed)


@pytest.mark.parametrize(
    "result, words",
    [
        (comparison(), SAME),
        (comparison(same=True), SAME),
        (ignored(IgnoredPath("README.md", "*.md", True)), SAME),
        (native(RestOfModel(True, ())), SAME),
        (native(RestOfModel(None, (), ("conda.yaml",))), "not known: not all files outside the verdict were compared"),
        (ignored(IgnoredPath("conda.yaml", "*.yaml", None)), "not known: not all files outside the verdict were"),
        (
            native(RestOfModel(False, (PACKAGES,))),
            "can differ: other packages are installed (requirements.txt), outside the verdict",
        ),
        (
            ignored(ignored_difference(difference("model.pkl"))),
            "can differ: the weights differ (model.pkl), outside the verdict",
        ),
        (
            ignored(ignored_difference(difference("README.md"))),
            "not known: README.md differs, and the code of the model can read it",
        ),
        (
            ignored(ignored_difference(REWRITTEN)),
            "not affected: outside the verdict, only what MLflow or the file format rewrites differs",
        ),
        (
            comparison(REWRITTEN, equivalent=True),
            "not affected: only metadata that MLflow rewrites differs",
        ),
        (comparison(difference("model.pkl")), "can differ: the weights differ"),
        (comparison(PACKAGES, REWRITTEN), "can differ: other packages are installed"),
        (comparison(REFORMATTED), "not known: only the notation of files differs"),
        (comparison(difference("LICENSE")), "not known: only documents differ, and the code of the model can read"),
        (
            comparison(difference("requirements.txt", kind=DifferenceKind.ONLY_LEFT)),
            "can differ: requirements.txt is missing in the registry model, and it lists the packages to install",
        ),
        (
            replace(comparison(REWRITTEN), not_compared=("model.pkl",)),
            "not known: metadata that MLflow rewrites differs; model.pkl was not compared",
        ),
        (
            replace(comparison(HASH), is_by_digest=True),
            "not known: only MLmodel differs, and a seal has only hashes",
        ),
        (
            ignored(ignored_difference(PACKAGES), result=comparison(difference("model.pkl"))),
            "can differ: the weights differ; requirements.txt differs too, outside the verdict",
        ),
    ],
)
def test_predictions_claim_no_more_than_was_compared(result: Comparison, words: str) -> None:
    assert predictions(check(result)).startswith(words)


def test_predictions_of_a_compare_are_those_of_the_models_that_differ() -> None:
    assert predictions(compare(comparison(), comparison(difference("model.pkl")))) == "can differ: the weights differ"


def test_predictions_can_differ_if_a_file_is_only_rewritten_in_one_of_two_comparisons() -> None:
    changed = difference("MLmodel", explanation=Explanation("MLmodel", "signature changed"))
    run_models, reg_models = (native(RestOfModel(False, (found,))) for found in (REWRITTEN, changed))
    for pair in ((run_models, reg_models), (reg_models, run_models)):
        assert predictions(compare(*pair)) == "can differ: fields of MLmodel differ (MLmodel), outside the verdict"


@pytest.mark.parametrize(
    "uris, words",
    [
        (["/b/a.txt"], "MLmodel names a file outside of the model (/a/a.txt → /b/a.txt), which was not compared"),
        (["/b/a.txt", "/b/b.txt"], "MLmodel names files outside of the models, which were not compared"),
    ],
)
def test_predictions_name_a_file_outside_of_the_model(uris: list[str], words: str) -> None:
    fields = tuple(FieldChange(f"uri{number}", "/a/a.txt", uri) for number, uri in enumerate(uris))
    explanation = Explanation("MLmodel", "uri", fields, unmet_condition="artifacts/a.txt is in neither model")
    unmet = difference("MLmodel", explanation=explanation)
    assert predictions(check(comparison(unmet))) == f"can differ: {words}"
    assert "outside of" not in predictions(check(comparison(unmet, PACKAGES)))
    assert "outside of" not in predictions(check(replace(comparison(unmet), not_compared=("model.pkl",))))


def test_predictions_are_not_known_after_an_error() -> None:
    assert predictions(Outcome(None, error=NotFoundError("No."))) == "not known: nothing was compared"
    assert predictions(Outcome(SealRequest(ModelRequest(version()), Path("s.json")), error=NotFoundError("No."))) == ""


def test_nothing_is_said_about_predictions_of_directories() -> None:
    assert predictions(diff_outcome()) == ""
