"""Headings and columns name the model, the versions and the servers as people do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_gate.access.hosts import parse_host
from model_gate.domain.request import CheckRequest, CompareRequest, DiffRequest, VersionRequest
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ComparisonName
from model_gate.errors import NotFoundError
from model_gate.reporting.naming import SideNames, heading, open_question, side_names
from tests.support.action_outcomes import comparison, difference, resolved

RUN = ComparisonName.RUN_MODELS
DIFFERENT = comparison(difference("model.pkl"))


def named(host: str, model: str = "Wine", version: str = "@candidate", server: str = "") -> VersionRequest:
    return VersionRequest(replace(parse_host(host), server=server), model, version)


def outcome(left: VersionRequest, right: VersionRequest, result: Comparison = DIFFERENT) -> Outcome:
    versions = {"tracking_server_1": resolved(left.model, "12"), "tracking_server_2": resolved(right.model, "7")}
    return Outcome(CompareRequest(left, right), versions, {RUN: result})


@pytest.mark.parametrize(
    "left, right, names",
    [
        (
            named("https://a.example.com", server="staging"),
            named("https://b.example.com", server="production"),
            ("staging v12", "production v7"),
        ),
        (named("https://a.example.com"), named("https://b.example.com"), ("a.example.com v12", "b.example.com v7")),
        (named("http://localhost:5000"), named("http://localhost:5001"), ("localhost:5000 v12", "localhost:5001 v7")),
        (named("sqlite:////x/staging.db"), named("sqlite:////x/prod.db"), ("staging v12", "prod v7")),
        (
            named("sqlite:////a/mlflow.db"),
            named("sqlite:////b/mlflow.db"),
            ("sqlite:////a/mlflow.db v12", "sqlite:////b/mlflow.db v7"),
        ),
        (
            named("http://ann:one@example.com"),
            named("http://bob:two@example.com"),
            ("server 1 v12", "server 2 v7"),
        ),
        (
            named("https://a.example.com", server="prod"),
            named("https://a.example.com", server="prod"),
            ("prod v12", "prod v7"),
        ),
    ],
)
def test_heading_and_columns_name_both_versions_and_servers(
    left: VersionRequest, right: VersionRequest, names: tuple[str, str]
) -> None:
    result = outcome(left, right)
    assert heading(result) == f"Wine: {names[0]} ≠ {names[1]}"
    assert side_names(result, RUN) == SideNames(*names, "")


def test_heading_names_both_models_if_they_have_two_names() -> None:
    result = outcome(
        named("https://a.example.com", "Wine", server="staging"),
        named("https://b.example.com", "Wine_Imported", server="production"),
    )
    assert heading(result) == "staging Wine v12 ≠ production Wine_Imported v7"


@pytest.mark.parametrize(
    "result, sign",
    [
        (comparison(), "="),
        (comparison(difference("MLmodel", rewrite_reason="only run_id differs"), equivalent=True), "≈"),
        (DIFFERENT, "≠"),
    ],
)
def test_heading_of_a_check_names_the_version_once(result: Comparison, sign: str) -> None:
    request = CheckRequest(named("https://a.example.com", server="prod"))
    checked = Outcome(request, {"model_version": resolved("Wine", "12")}, {"comparison": result})
    assert heading(checked) == f"Wine: prod v12, run model {sign} registry model"


def test_heading_of_an_error_names_the_versions_as_requested_and_claims_nothing() -> None:
    left, right = named("https://a.example.com", server="staging"), named("https://b.example.com", version="7")
    failed = Outcome(CompareRequest(left, right), {}, {}, NotFoundError("No."))
    assert heading(failed) == "Wine: staging @candidate and b.example.com v7"
    assert heading(Outcome(None, error=NotFoundError("No."))) == ""


@pytest.mark.parametrize(
    "left, right, names",
    [
        ("wine-1", "wine-2", SideNames("wine-1", "wine-2", "")),
        ("runs:/a/model", "./model", SideNames("left model", "right model")),
    ],
)
def test_columns_of_a_diff_have_the_last_parts_of_the_locations_if_these_differ(
    left: str, right: str, names: SideNames
) -> None:
    result = Outcome(DiffRequest(left, right), {}, {"comparison": DIFFERENT})
    assert side_names(result, "comparison") == names
    assert heading(result) == f"{left} ≠ {right}"


def test_long_names_in_a_heading_are_shortened() -> None:
    result = outcome(named(f"https://{'a' * 60}.example.com", "W" * 500), named("https://b.example.com", "W" * 500))
    assert len(heading(result)) < 250


@pytest.mark.parametrize(
    "right",
    [
        "s3://models/wine?X-Amz-Signature={secret}",
        "https://account.blob.core.windows.net/models/wine?sv=2026&sig={secret}&se=2027",
        "s3://models/" + "directory/" * 9 + "wine?sig={secret}",
        "https://ann:{secret}@example.com/" + "directory/" * 9 + "wine",
    ],
)
def test_name_that_is_shortened_has_no_part_of_a_secret(right: str) -> None:
    secret = "q7Zp+2xKd9" * 8
    request = DiffRequest("s3://models/old", right.format(secret=secret))
    question = open_question(Outcome(request, {}, {}, error=NotFoundError("It does not exist.")))
    for text in (question, heading(Outcome(request, {}, {RUN: DIFFERENT}))):
        assert "wine" in text
        assert not any(secret[start : start + 4] in text for start in range(10))
