"""The sentence about predictions claims no more than what was compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.domain.difference import DIGEST, Difference, DifferenceKind, Explanation
from model_gate.domain.request import ModelRequest, SealRequest
from model_gate.domain.result import Comparison, IgnoredPath, Outcome, RestOfModel
from model_gate.errors import NotFoundError
from model_gate.reporting.predictions import predictions
from tests.support.action_outcomes import check, compare, comparison, difference, version
from tests.support.outcomes import diff_outcome

REWRITTEN = difference("MLmodel", rewrite_reason="only run_id differs")
PACKAGES = difference("requirements.txt")
HASH = difference("MLmodel", explanation=Explanation(DIGEST, "other bytes"))
REFORMATTED = difference("config.json", explanation=Explanation("JSON", "only its layout differs"))
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
            "can differ: other packages are installed (requirements.txt), which does not affect the verdict",
        ),
        (
            ignored(ignored_difference(difference("model.pkl"))),
            "can differ: the weights differ (model.pkl), which does not affect the verdict",
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
            "can differ: the weights differ; requirements.txt differs too, but not counted",
        ),
    ],
)
def test_predictions_are_the_same_only_if_every_file_is(result: Comparison, words: str) -> None:
    assert predictions(check(result)).startswith(words)


def test_predictions_of_a_compare_are_those_of_the_models_that_differ() -> None:
    assert predictions(compare(comparison(), comparison(difference("model.pkl")))) == "can differ: the weights differ"


def test_predictions_are_not_known_after_an_error() -> None:
    assert predictions(Outcome(None, error=NotFoundError("No."))) == "not known: nothing was compared"
    assert predictions(Outcome(SealRequest(ModelRequest(version()), Path("s.json")), error=NotFoundError("No."))) == ""


def test_nothing_is_said_about_predictions_of_directories() -> None:
    assert predictions(diff_outcome()) == ""
