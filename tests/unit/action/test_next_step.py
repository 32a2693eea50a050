"""The next step in the summary fits what was compared and what differs."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from model_gate.access.redaction import Redactor
from model_gate.action.markdown import Markdown
from model_gate.action.next_step import next_step
from model_gate.domain.difference import Difference, DifferenceKind, Explanation
from model_gate.domain.request import CheckRequest, ModelRequest, VerifyRequest
from model_gate.domain.result import Comparison, IgnoredPath, Outcome
from model_gate.domain.roles import ComparisonName
from tests.support.action_outcomes import check, compare, comparison, difference, resolved, version
from tests.support.paths import ROOT
from tests.support.seals import FILES, seal_of

PACKAGES = difference("requirements.txt")
NOT_THE_SAME = "If both versions must be the same, replace mlflow.example.com v2 with a copy of mlflow.example.com v1"
REGISTER_AGAIN = "The registry's copy is not what the run logged"
NOT_SEALED = "v1 is not what was sealed: find out who changed its files."


def step(outcome: Outcome) -> str:
    return next_step(outcome, Markdown(Redactor()))


def step_after(*differences: Difference, result: Comparison | None = None) -> str:
    changed = comparison(*differences) if result is None else result
    return step(compare(changed, changed))


@pytest.mark.parametrize(
    "differences, words",
    [
        ([PACKAGES], "they run with other packages"),
        (
            [difference("LICENSE"), difference("input_example.json")],
            "Only examples and documents differ. To allow that, list these files under ignore in the compare file.",
        ),
        (
            [difference("a", kind=DifferenceKind.ONLY_LEFT)],
            "mlflow.example.com v2 lacks files that mlflow.example.com v1 has&#58; copy",
        ),
        ([difference("model.pkl"), PACKAGES], NOT_THE_SAME),
        ([PACKAGES, difference("a", kind=DifferenceKind.ONLY_LEFT)], NOT_THE_SAME),
        ([PACKAGES, difference("MLmodel", rewrite_reason="only run_id differs")], "they run with other packages"),
    ],
)
def test_next_step_depends_on_the_kinds_of_changed_files(differences: list[Difference], words: str) -> None:
    assert words in step_after(*differences)


@pytest.mark.parametrize(
    "result",
    [
        replace(comparison(PACKAGES), not_compared=("model.pkl",)),
        replace(comparison(PACKAGES), native_model="requirements.txt"),
        replace(comparison(PACKAGES), ignored=(IgnoredPath("model.pkl", "*.pkl", False),)),
    ],
)
def test_next_step_claims_the_same_model_only_if_all_other_files_are_equal(result: Comparison) -> None:
    assert step_after(result=result).startswith(NOT_THE_SAME)


@pytest.mark.parametrize(
    "run_and_registry, seal, words, others",
    [
        (comparison(), comparison(PACKAGES), [NOT_SEALED], [REGISTER_AGAIN]),
        (comparison(PACKAGES), comparison(), [REGISTER_AGAIN], [NOT_SEALED]),
        (comparison(PACKAGES), comparison(PACKAGES), [REGISTER_AGAIN, NOT_SEALED], []),
    ],
)
def test_next_step_after_a_check_with_a_seal_is_about_the_comparison_that_differs(
    run_and_registry: Comparison, seal: Comparison, words: list[str], others: list[str]
) -> None:
    sealed = seal_of(FILES)
    outcome = Outcome(
        CheckRequest(version(), sealed),
        {"model_version": resolved()},
        {ComparisonName.COMPARISON: run_and_registry, ComparisonName.SEAL: replace(seal, is_by_digest=True)},
        seal=sealed,
    )
    text = unescape(step(outcome))
    assert [word for word in words if word in text] == words
    assert [word for word in others if word in text] == []
    assert "A seal has no files." in text


def test_next_step_after_the_seal_of_another_version_asks_whether_the_version_is_its_copy() -> None:
    sealed = seal_of(FILES)
    different = replace(comparison(PACKAGES), is_by_digest=True)
    request = VerifyRequest(ModelRequest(version(number="2")), sealed)
    versions = {"model_version": resolved(number="2")}
    text = unescape(step(Outcome(request, versions, {ComparisonName.SEAL: different}, seal=sealed)))
    assert "v2 is not what was sealed. Is it a copy of v1? If yes, copy v1 again. If no, set the input seal to" in text
    assert "who changed" not in text


def test_next_step_after_an_unmet_condition_copies_the_version_that_is_logged_again() -> None:
    advice = "Log the model again with a.txt in it."
    unmet = Explanation("MLmodel", "uri a → b", unmet_condition="a.txt is in neither model", advice=advice)
    text = step_after(difference("MLmodel", explanation=unmet))
    assert text.startswith(f"{advice} Then copy that version instead of logging it twice.")
    assert NOT_THE_SAME not in text


def test_next_step_after_rewrites_names_the_version_to_copy() -> None:
    rewritten = comparison(difference("MLmodel", rewrite_reason="only run_id differs"), equivalent=True)
    text = step(compare(rewritten, rewritten))
    assert "If not, replace mlflow.example.com v2 with a copy of mlflow.example.com v1 (a new version) instead" in text


def test_link_to_how_to_copy_a_version_leads_to_a_section_of_the_documentation() -> None:
    rewritten = comparison(difference("MLmodel", rewrite_reason="only run_id differs"), equivalent=True)
    (page, anchor) = re.findall(r"blob/main/(docs/\S+?)#(\S+?)\)", step(compare(rewritten, rewritten)))[0]
    titles = re.findall(r"^## (.*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert anchor in [title.lower().replace(" ", "-") for title in titles]


def test_next_step_after_registering_again_says_that_the_new_version_is_to_be_gated() -> None:
    assert "That makes a new version&#58; gate it, then move the stage or alias." in step(check(comparison(PACKAGES)))


def test_names_of_inputs_in_the_next_step_do_not_break_at_their_hyphen() -> None:
    assert "the input download\N{NON-BREAKING HYPHEN}dir" in step_after(PACKAGES)


def test_next_step_after_a_check_does_not_speak_of_the_compare_file() -> None:
    assert step(check(comparison(PACKAGES))).startswith(REGISTER_AGAIN)
    assert "compare file" not in step(check(comparison(PACKAGES)))
