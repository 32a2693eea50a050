"""Finds what the event of a workflow compares a change with, from the event's payload and the checked-out commit.

`actions/checkout` fetches one commit by default. For a pull request, this is GitHub's merge commit: its first parent is
the base branch, and its second parent is the head of the pull request. `fetch-depth: 2` fetches the parents too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from model_gate.domain.wording import printable
from model_gate.inputs.changes import Base, CommitParents, NoBase

_PULL_REQUESTS = frozenset({"pull_request", "pull_request_target"})
_MERGE_GROUP = "merge_group"
# A push has no base: what is on the branch now must hold, so all gates run.
EVENTS_WITH_BASE = _PULL_REQUESTS | {_MERGE_GROUP}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def base_of_event(event_name: str, event: Mapping[str, Any], head: CommitParents) -> Base | NoBase:
    """Return what the change of an event is compared with.

    If the checked-out commit is not the event's own, the result is `NoBase`: a comparison would miss the change.

    Args:
        event_name: The name of the event, as in `GITHUB_EVENT_NAME`.
        event: The payload, as in the file `GITHUB_EVENT_PATH`.
        head: The commit that is checked out.
    """
    if event_name in _PULL_REQUESTS:
        return _base_of_pull_request(event_name, _mapping(event.get("pull_request")), head)
    if event_name == _MERGE_GROUP:
        group = _mapping(event.get("merge_group"))
        return _base_of_commits(
            event_name, group.get("base_sha"), group.get("head_sha"), head, "the base of the merge group"
        )
    return NoBase(f"the event is {printable(event_name) or 'not known'}, which has no base")


def _base_of_pull_request(event_name: str, pull_request: Mapping[str, Any], head: CommitParents) -> Base | NoBase:
    base, tip = _mapping(pull_request.get("base")), _mapping(pull_request.get("head"))
    base_commit, tip_commit = _commit(base.get("sha")), _commit(tip.get("sha"))
    if not base_commit or not tip_commit:
        return _incomplete(event_name)
    label = printable(str(base.get("ref") or base_commit[:12]))
    if head.id == tip_commit:
        return Base(base_commit, label, remedy=_depth(0))
    # The base of the event can be older than the base of the merge commit.
    if len(head.parents) == 2 and head.parents[1] == tip_commit:
        return Base(head.parents[0], label, is_exact=True, remedy=_depth(2))
    return NoBase(
        f"the checked-out commit {head.id[:12]} is neither the head of the pull request nor its merge with the base"
    )


def _base_of_commits(event_name: str, base: object, tip: object, head: CommitParents, label: str) -> Base | NoBase:
    """Return the base of an event that names the commits before and after the change."""
    base_commit, tip_commit = _commit(base), _commit(tip)
    if not base_commit or not tip_commit:
        return _incomplete(event_name)
    if head.id != tip_commit:
        return NoBase(f"the checked-out commit {head.id[:12]} is not the commit of the event {event_name}")
    return Base(base_commit, label, is_exact=True, remedy=_depth(2 if base_commit in head.parents else 0))


def _incomplete(event_name: str) -> NoBase:
    return NoBase(f"the payload of the event {event_name} names no commits")


def _depth(depth: int) -> str:
    """Return what to add to a workflow whose checkout has too few commits."""
    commits = "all commits" if depth == 0 else f"{depth} commits"
    return (
        f"In the workflow, add `fetch-depth: {depth}` below `with:` of the step actions/checkout. It fetches {commits}."
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _commit(value: object) -> str:
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else ""
