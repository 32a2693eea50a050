"""The base of a change is known only if the event's own commit is checked out."""

from __future__ import annotations

from typing import Any

import pytest

from model_gate.action.event import base_of_event
from model_gate.inputs.changes import Base, CommitParents, NoBase

BASE, OLD_BASE, TIP, MERGE = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
PULL_REQUEST = {"pull_request": {"base": {"sha": OLD_BASE, "ref": "main"}, "head": {"sha": TIP, "ref": "topic"}}}
MERGED = CommitParents(MERGE, (BASE, TIP))
DEPTH = "In the workflow, add `fetch-depth: {}` below `with:` of the step actions/checkout. It fetches {}."
DEPTH_2, DEPTH_0 = DEPTH.format(2, "2 commits"), DEPTH.format(0, "all commits")
PULL_REQUEST_EVENTS = ["pull_request", "pull_request_target"]


@pytest.mark.parametrize("event", PULL_REQUEST_EVENTS)
def test_the_base_of_a_merge_commit_is_its_first_parent(event: str) -> None:
    assert base_of_event(event, PULL_REQUEST, MERGED) == Base(BASE, "main", is_exact=True, remedy=DEPTH_2)


@pytest.mark.parametrize("event", PULL_REQUEST_EVENTS)
def test_the_base_of_the_head_is_the_common_ancestor(event: str) -> None:
    head = CommitParents(TIP, (OLD_BASE,))
    assert base_of_event(event, PULL_REQUEST, head) == Base(OLD_BASE, "main", remedy=DEPTH_0)


@pytest.mark.parametrize("event", PULL_REQUEST_EVENTS)
@pytest.mark.parametrize(
    "head",
    [
        CommitParents(BASE, ()),
        CommitParents(OLD_BASE, ()),
        CommitParents(MERGE, (BASE, "e" * 40)),
        CommitParents(MERGE, (TIP, BASE)),
        CommitParents(MERGE, (TIP,)),
    ],
    ids=["base", "old base", "merge of another head", "merge in the other order", "later commit"],
)
def test_a_checkout_without_the_pull_request_has_no_base(event: str, head: CommitParents) -> None:
    base = base_of_event(event, PULL_REQUEST, head)
    assert isinstance(base, NoBase)
    assert head.id[:12] in base.reason


def test_the_base_of_a_merge_group_is_the_commit_before_it() -> None:
    event = {"merge_group": {"base_sha": BASE, "head_sha": MERGE}}
    assert base_of_event("merge_group", event, MERGED) == Base(
        BASE, "the base of the merge group", is_exact=True, remedy=DEPTH_2
    )
    several = CommitParents(MERGE, (TIP,))
    assert base_of_event("merge_group", event, several) == Base(
        BASE, "the base of the merge group", is_exact=True, remedy=DEPTH_0
    )
    assert isinstance(base_of_event("merge_group", event, CommitParents(TIP, ())), NoBase)


@pytest.mark.parametrize(
    "event",
    ["push", "pull_request_review", "schedule", "workflow_dispatch", "release", "workflow_run", "", "x\n::error::"],
)
def test_an_event_without_a_change_has_no_base(event: str) -> None:
    base = base_of_event(event, PULL_REQUEST, MERGED)
    assert isinstance(base, NoBase)
    assert base.reason.isprintable()


@pytest.mark.parametrize("name", ["pull_request", "merge_group"])
@pytest.mark.parametrize(
    "event",
    [
        {},
        {"pull_request": None, "merge_group": [], "before": 1, "after": []},
        {"pull_request": {"base": {"sha": "--option"}, "head": {"sha": TIP}}, "before": "HEAD", "after": MERGE},
        {"pull_request": {"base": {"sha": BASE}, "head": "topic"}, "merge_group": {"base_sha": BASE}},
    ],
    ids=["empty", "other types", "no commits", "half"],
)
def test_a_payload_without_commits_has_no_base(name: str, event: dict[str, Any]) -> None:
    assert isinstance(base_of_event(name, event, MERGED), NoBase)


def test_the_name_of_the_base_branch_is_printable() -> None:
    event = {"pull_request": {"base": {"sha": BASE, "ref": "a\x1b[31m\nb"}, "head": {"sha": TIP}}}
    base = base_of_event("pull_request", event, MERGED)
    assert isinstance(base, Base)
    assert base.label.isprintable()
