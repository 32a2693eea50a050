"""What a gate found, read from its report: the same words as in its own outputs, without the outcome."""

from __future__ import annotations

import pytest

from model_gate.domain.difference import Difference, DifferenceKind
from model_gate.domain.result import Outcome
from model_gate.reporting.run_details import compared_versions, comparison_details
from tests.support.action_outcomes import check, compare, comparison
from tests.support.outcomes import IDENTITY, ONE_OF_EACH, check_outcome, diff_outcome
from tests.support.rows import row

EQUAL, REWRITTEN = comparison(), comparison(*IDENTITY, equivalent=True)


def lines(outcome: Outcome, limit: int = 10) -> list[str]:
    return [f"{found.title}: {found.result}" for found in comparison_details(row(outcome).report, limit)]


@pytest.mark.parametrize(
    "outcome, expected",
    [
        (check(EQUAL), ["run model and registry model: equal: 3 files"]),
        (
            check(comparison(same=True)),
            ["run model and registry model: the same files: one location, nothing to compare"],
        ),
        (check(REWRITTEN), ["run model and registry model: different, but equivalent: 1 of 4 files rewritten"]),
        (
            compare(EQUAL, comparison(*ONE_OF_EACH)),
            ["run models: equal: 3 files", "registry models: different: 5 of 8 files differ"],
        ),
        (compare(EQUAL, EQUAL), ["run models and registry models: equal: 3 files"]),
        (
            check_outcome(ONE_OF_EACH),
            ["run model and registry model: different: 5 of 5 files differ, 1 file not compared"],
        ),
    ],
)
def test_result_of_each_comparison_is_named(outcome: Outcome, expected: list[str]) -> None:
    assert lines(outcome) == expected


def test_differences_are_sorted_and_name_the_models() -> None:
    (found,) = comparison_details(row(check_outcome(ONE_OF_EACH)).report, 10)
    assert {difference.path: difference.phrase for difference in found.differences} == {
        "MLmodel": "content differs (10 → 20 bytes)",
        "a": "only in the run model (1 byte)",
        "b": "only in the registry model (2,000 bytes)",
        "c": "a file in the run model, a directory in the registry model",
        "d": "content differs (10 bytes)",
    }
    assert len(found.differences[-1].lines) == 12
    (found,) = comparison_details(row(check_outcome(ONE_OF_EACH)).report, 2)
    assert (len(found.differences), found.hidden) == (2, 3)


def test_models_of_two_versions_have_the_names_of_their_servers() -> None:
    one_sided = comparison(Difference("a", DifferenceKind.ONLY_RIGHT, None, 1))
    found = comparison_details(row(compare(EQUAL, one_sided)).report, 10)[1]
    assert found.differences[0].phrase == "only in https://mlflow.example.com v2 (1 byte)"


def test_directories_are_left_and_right() -> None:
    (found,) = comparison_details(row(diff_outcome(ONE_OF_EACH)).report, 10)
    assert "only in the left model (1 byte)" in [difference.phrase for difference in found.differences]


def test_versions_have_their_model_their_server_and_their_run() -> None:
    assert compared_versions(row(compare(EQUAL, EQUAL)).report) == [
        "Wine version 1 on https://mlflow.example.com, run ffffffff",
        "Wine version 2 on https://mlflow.example.com, run ffffffff",
    ]
