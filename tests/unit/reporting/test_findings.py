"""The verdict in sentences: they name what was compared, and never say equal without what does not count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.domain.difference import DIGEST, DifferenceKind, Explanation
from model_gate.domain.request import CheckRequest, CompareRequest, ModelRequest, SealRequest, VerifyRequest
from model_gate.domain.result import Comparison, IgnoredPath, Outcome, RestOfModel
from model_gate.domain.roles import ComparisonName
from model_gate.domain.seal import SealedVersion
from model_gate.domain.verdict import Require
from model_gate.errors import NotFoundError
from model_gate.reporting.findings import cause, findings, requirement, seal_remarks
from model_gate.reporting.naming import heading
from model_gate.reporting.terminal import summary_line, verdict_text
from tests.support.action_outcomes import check, compare, comparison, difference, resolved, version
from tests.support.outcomes import diff_outcome
from tests.support.seals import FILES, seal_of

REWRITTEN = comparison(difference("MLmodel", rewrite_reason="only run_id differs"), equivalent=True)
DIFFERENT = comparison(difference("model.pkl"))
SEAL = seal_of(FILES, file="seals/wine-12.json")
V1, V2 = "mlflow.example.com v1", "mlflow.example.com v2"


def ignored(*equals: bool | None, result: Comparison | None = None) -> Comparison:
    paths = tuple(IgnoredPath(str(number), "*", each) for number, each in enumerate(equals))
    return replace(result or comparison(), ignored=paths)


def native(*, equals: bool | None, result: Comparison | None = None) -> Comparison:
    rest = RestOfModel(equals, (difference("conda.yaml"),) if equals is False else ())
    return replace(result or comparison(), rest=rest, native_model="model.pkl", right_native_model="model.pkl")


def sentences(outcome: Outcome) -> list[str]:
    return [finding.text for _, found in findings(outcome) for finding in found]


@pytest.mark.parametrize(
    "result, words",
    [
        (comparison(), "equal (all 3 files have the same bytes)"),
        (replace(comparison(), is_by_digest=True), "equal (all 3 files have the same SHA-256)"),
        (ignored(True, True), "equal, except 2 ignored files"),
        (ignored(False), "equal, except 1 ignored file (it differs)"),
        (ignored(None), "equal, except 1 ignored file (not compared)"),
        (ignored(False, True, False), "equal, except 3 ignored files (2 of them differ)"),
        (ignored(False, None), "equal, except 2 ignored files (1 of them differs, 1 was not compared)"),
        (native(equals=True), "equal in model.pkl only (the other files are equal too)"),
        (native(equals=False), "equal in model.pkl only (conda.yaml differs, outside the verdict)"),
        (native(equals=None), "equal in model.pkl only (not all other files were compared)"),
        (
            ignored(False, result=native(equals=False)),
            "equal in model.pkl only (conda.yaml differs, outside the verdict), except 1 ignored file (it differs)",
        ),
        (comparison(same=True), "the same files (one location, nothing to compare)"),
        (ignored(None, result=comparison(same=True)), "the same files (one location, nothing to compare)"),
        (REWRITTEN, "different, but equivalent (1 of 4 files rewritten)"),
        (DIFFERENT, "different (1 of 4 files differs)"),
        (
            replace(DIFFERENT, compared=1, not_compared=("a", "b")),
            "different (1 of 1 compared file differs; 2 files were not compared)",
        ),
        (
            ignored(False, True, result=DIFFERENT),
            "different (1 of 4 files differs; 2 ignored files (1 of them differs) are outside the verdict)",
        ),
        (
            native(equals=False, result=replace(DIFFERENT, compared=1)),
            "different (model.pkl differs; only model.pkl affects the verdict, conda.yaml differs)",
        ),
        (
            native(equals=True, result=replace(DIFFERENT, compared=1)),
            "different (model.pkl differs; only model.pkl affects the verdict, all other files are equal)",
        ),
    ],
)
def test_finding_names_files_outside_the_verdict(result: Comparison, words: str) -> None:
    assert sentences(check(result)) == [f"The run model and the registry model of {V1} are {words}"]


def test_sentences_of_a_compare_name_both_versions_and_both_kinds_of_models() -> None:
    assert sentences(compare(comparison(), DIFFERENT)) == [
        f"The run models of {V1} and {V2} are equal (all 3 files have the same bytes)",
        f"The registry models of {V1} and {V2} are different (1 of 4 files differs)",
    ]
    assert sentences(compare(DIFFERENT, DIFFERENT)) == [
        f"The run models of {V1} and {V2} are different (1 of 4 files differs)",
        "The registry models are different too (the same location as the run models)",
    ]
    same = comparison(same=True)
    assert sentences(compare(same, same))[1] == "The registry models are the same files too"


def seal_outcomes() -> list[tuple[Outcome, str, list[str]]]:
    sealed = replace(DIFFERENT, is_by_digest=True)
    checked = Outcome(
        CheckRequest(version(), SEAL),
        {"model_version": resolved()},
        {ComparisonName.COMPARISON: comparison(), ComparisonName.SEAL: sealed},
        seal=SEAL,
    )
    compared = Outcome(
        CompareRequest(SealedVersion(SEAL), version()),
        {"tracking_server_2": resolved()},
        {ComparisonName.RUN_MODELS: sealed, ComparisonName.REG_MODELS: sealed},
        seal=SEAL,
    )
    verified = Outcome(VerifyRequest(ModelRequest(uri="./wine"), SEAL), {}, {ComparisonName.SEAL: sealed}, seal=SEAL)
    different = "are different (1 of 4 files differs)"
    return [
        (
            checked,
            f"Wine: {V1} ≠ seal of v1; run model = registry model",
            [
                f"The run model and the registry model of {V1} are equal (all 3 files have the same bytes)",
                f"The seal seals/wine-12.json and the registry model of {V1} {different}",
            ],
        ),
        (
            compared,
            f"Wine: {V1} ≠ seal of v1",
            [
                f"The seal seals/wine-12.json and the run model of {V1} {different}",
                "The registry model is different too (the same location as the run model)",
            ],
        ),
        (
            verified,
            "seals/wine-12.json ≠ ./wine",
            [f"The seal seals/wine-12.json and the model ./wine {different}"],
        ),
    ]


@pytest.mark.parametrize("outcome, head, words", seal_outcomes(), ids=["check", "compare", "verify"])
def test_heading_and_sentences_name_each_comparison_of_a_gate_with_a_seal(
    outcome: Outcome, head: str, words: list[str]
) -> None:
    assert heading(outcome) == head
    assert sentences(outcome) == words


RUN_MODEL_NOT_COMPARED = "The run model was not compared with the seal"


@pytest.mark.parametrize(
    "number, remarks",
    [(0, [RUN_MODEL_NOT_COMPARED]), (1, []), (2, [])],
    ids=["check", "compare", "verify a directory"],
)
def test_remarks_name_the_model_that_was_not_compared_with_the_seal(number: int, remarks: list[str]) -> None:
    assert seal_remarks(seal_outcomes()[number][0]) == remarks


def test_remarks_do_not_call_a_run_model_at_the_location_of_the_registry_model_not_compared() -> None:
    checked = seal_outcomes()[0][0]
    at_one_location = {**checked.comparisons, ComparisonName.COMPARISON: comparison(same=True)}
    assert seal_remarks(replace(checked, comparisons=at_one_location)) == []


def verify(result: Comparison, number: str = "1") -> Outcome:
    request = VerifyRequest(ModelRequest(version(number=number)), SEAL)
    versions = {"model_version": resolved(number=number)}
    return Outcome(request, versions, {ComparisonName.SEAL: replace(result, is_by_digest=True)}, seal=SEAL)


def test_remarks_name_the_version_of_the_seal_and_what_a_seal_does_not_tell() -> None:
    digests = difference("model.pkl", explanation=Explanation(DIGEST, "other bytes"))
    made_of = "The seal was made of v1 (the seal does not say on which server)"
    assert seal_remarks(verify(comparison(digests), "2")) == [
        made_of,
        f"A difference is expected unless {V2} is a copy of v1",
        RUN_MODEL_NOT_COMPARED,
        "A seal has only hashes, so what changed in a file is not known",
    ]
    outcome = verify(comparison(digests), "2")
    assert SEAL.facts is not None
    facts = replace(SEAL.facts, tracking_server="https://staging.example.com")
    (first, *_) = seal_remarks(replace(outcome, seal=replace(SEAL, facts=facts)))
    assert first == "The seal was made of v1 on 'https://staging.example.com'"
    missing = difference("model.pkl", kind=DifferenceKind.ONLY_LEFT, explanation=Explanation(DIGEST, "a pickle"))
    assert seal_remarks(verify(comparison(missing))) == [RUN_MODEL_NOT_COMPARED]


def test_copy_that_equals_the_seal_of_another_version_gets_no_remark_about_that_version() -> None:
    assert seal_remarks(verify(comparison(), "2")) == [RUN_MODEL_NOT_COMPARED]


def test_remarks_are_in_the_text_on_the_terminal() -> None:
    outcome = verify(DIFFERENT, "2")
    assert "".join(f"\n{remark}." for remark in seal_remarks(outcome)) in verdict_text(outcome, None)


def test_gates_without_a_seal_have_no_remarks() -> None:
    assert seal_remarks(check(comparison())) == seal_remarks(compare(DIFFERENT, DIFFERENT)) == []


def test_line_of_a_check_with_a_seal_says_what_differs_after_the_comparison_that_differs() -> None:
    checked = seal_outcomes()[0][0]
    equal, different = comparison(), comparison(difference("a", kind=DifferenceKind.ONLY_LEFT))

    def line(run_and_registry: Comparison, seal: Comparison) -> str:
        comparisons: dict[str, Comparison] = {
            ComparisonName.COMPARISON: run_and_registry,
            ComparisonName.SEAL: seal,
        }
        return summary_line(replace(checked, comparisons=comparisons)).removeprefix(f"Wine: {V1}")

    missing = "(a is missing in the registry model)"
    assert line(equal, different) == f" ≠ seal of v1 {missing}; run model = registry model"
    assert line(different, equal) == f", run model ≠ registry model {missing}; registry model = seal of v1"
    assert line(different, replace(different)) == f", run model ≠ registry model; registry model ≠ seal of v1 {missing}"
    assert line(equal, replace(equal)) == (
        ", run model = registry model; registry model = seal of v1 (the same files with the same bytes)"
    )


def test_seal_without_facts_has_no_version_in_the_heading() -> None:
    outcome = seal_outcomes()[0][0]
    anonymous = replace(SEAL, facts=None)
    assert heading(replace(outcome, seal=anonymous)) == f"Wine: {V1} ≠ seal; run model = registry model"
    # A number of a version is digits only: other text of a seal stays out of the heading.
    assert SEAL.facts is not None
    imitating = replace(SEAL, facts=replace(SEAL.facts, model_version="1 = seal"))
    assert heading(replace(outcome, seal=imitating)) == f"Wine: {V1} ≠ seal; run model = registry model"


def test_sentence_of_a_diff_names_both_models() -> None:
    assert sentences(diff_outcome()) == ["The models left and right are equal (all 3 files have the same bytes)"]


@pytest.mark.parametrize("result", [ignored(False, True, None), native(equals=False)])
def test_one_line_and_terminal_never_say_equal_without_what_is_outside_the_verdict(result: Comparison) -> None:
    limits = sentences(check(result))[0].partition(" equal")[2]
    assert limits
    for outcome, line in (
        (check(result), f"Wine: {V1}, run model = registry model{limits}"),
        (compare(result, result), f"Wine: {V1} = {V2}{limits}"),
    ):
        assert summary_line(outcome) == line
        assert f"\nEQUAL{limits}" in verdict_text(outcome, None)


def test_requirement_says_whether_the_gate_passed() -> None:
    assert requirement(check(comparison())) == ("Passed", " (required: identical)")
    assert requirement(check(DIFFERENT)) == ("Failed", " (required: identical)")
    assert requirement(compare(REWRITTEN, REWRITTEN, require=Require.EQUIVALENT)) == (
        "Passed",
        " (required: equivalent)",
    )
    assert requirement(check(comparison(same=True))) == ("Passed", ", but nothing was compared")


@pytest.mark.parametrize(
    "message, line",
    [
        ("There is no version 99 of 'Wine'.", "There is no version 99 of 'Wine': nothing was compared"),
        ("a.yaml, line 1: no. Also line 2.", "a.yaml, line 1: no: nothing was compared"),
        ("x" * 200, f"Wine: {V1}: nothing was compared"),
    ],
)
def test_cause_of_an_error_is_one_short_line(message: str, line: str) -> None:
    outcome = Outcome(check(comparison()).request, error=NotFoundError(message))
    assert cause(outcome) == line


def test_cause_of_a_failed_seal_does_not_speak_of_a_comparison() -> None:
    outcome = Outcome(SealRequest(ModelRequest(version()), Path("s.json")), error=NotFoundError("No."))
    assert cause(outcome) == "No: nothing was sealed"
    assert cause(Outcome(None, error=NotFoundError("x" * 200))) == "Nothing was compared"
