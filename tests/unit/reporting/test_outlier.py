"""The one of four models that differs is named only if the digests of whole models tell it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_gate.domain.result import Comparison, IgnoredPath
from model_gate.reporting.judgement import judgement
from model_gate.reporting.outlier import outlier
from tests.support.action_outcomes import compare, comparison, difference

ONE, TWO = "0" * 64, "1" * 64


def with_digests(left: str | None, right: str | None) -> Comparison:
    result = comparison() if left == right else comparison(difference("model.pkl"))
    return replace(result, left=replace(result.left, digest=left), right=replace(result.right, digest=right))


EQUAL = with_digests(ONE, ONE)


@pytest.mark.parametrize(
    "run_models, reg_models, words",
    [
        (EQUAL, with_digests(ONE, TWO), "the registry model of mlflow.example.com v2 is not what its run logged"),
        (EQUAL, with_digests(TWO, ONE), "the registry model of mlflow.example.com v1 is not what its run logged"),
        (with_digests(ONE, TWO), EQUAL, "the run model of mlflow.example.com v2 is not what was registered"),
    ],
)
def test_model_that_differs_from_three_equal_ones_is_named(
    run_models: Comparison, reg_models: Comparison, words: str
) -> None:
    outcome = compare(run_models, reg_models)
    odd = outlier(outcome)
    assert odd is not None
    assert odd.text == words
    assert judgement(outcome) == f"{words}: the weights differ"


@pytest.mark.parametrize(
    "run_models, reg_models",
    [
        (EQUAL, EQUAL),
        (with_digests(ONE, TWO), with_digests(ONE, TWO)),
        (EQUAL, with_digests(TWO, "2" * 64)),
        (EQUAL, with_digests(ONE, None)),
        (with_digests(None, None), with_digests(ONE, TWO)),
        (EQUAL, replace(with_digests(ONE, TWO), ignored=(IgnoredPath("a", "a", True),))),
        (replace(EQUAL, same_location=True), with_digests(ONE, TWO)),
    ],
)
def test_no_model_is_named_if_another_one_can_differ_too(run_models: Comparison, reg_models: Comparison) -> None:
    assert outlier(compare(run_models, reg_models)) is None
