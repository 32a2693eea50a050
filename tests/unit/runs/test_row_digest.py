"""What a row depends on: a resumed run keeps it only if all of this is the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model_gate.domain.gates import Entry, Gate
from model_gate.domain.host import Host, HostKind
from model_gate.domain.ignore import Ignore
from model_gate.domain.request import CheckRequest, CompareRequest, GateOptions, VersionRequest
from model_gate.domain.verdict import Require
from model_gate.runs.row_digest import has_fixed_versions, is_recent, row_digest
from tests.support.action_outcomes import check, comparison
from tests.support.rows import gate as row_gate
from tests.support.rows import row

HOST = Host(HostKind.HTTP, "http://127.0.0.1:5000", "http://127.0.0.1:5000")
VERSION = VersionRequest(HOST, "Wine", "7")
REQUEST = CompareRequest(VERSION, replace(VERSION, version_or_stage="8"))
GATE = Gate("wine", Entry("wine", "gates.yaml", 3, "0" * 64), REQUEST)


def changed(**fields: Any) -> Gate:
    return replace(GATE, request=replace(REQUEST, **fields))


CHANGES: dict[str, Callable[[], Gate]] = {
    "name": lambda: replace(GATE, name="other"),
    "entry": lambda: replace(GATE, entry=replace(GATE.entry, digest="1" * 64)),
    "version": lambda: changed(tracking_server_1=replace(VERSION, version_or_stage="6")),
    "model": lambda: changed(tracking_server_1=replace(VERSION, model="Beer")),
    "server": lambda: changed(tracking_server_1=replace(VERSION, host=replace(HOST, address="http://127.0.0.1:5001"))),
    "native model": lambda: changed(tracking_server_1=replace(VERSION, native_model="model.pkl")),
    "sides": lambda: changed(tracking_server_1=REQUEST.tracking_server_2, tracking_server_2=REQUEST.tracking_server_1),
    "comparisons": lambda: changed(compare_run_models=False),
    "requirement": lambda: changed(options=GateOptions(require=Require.EQUIVALENT)),
    "ignore": lambda: changed(options=GateOptions(ignore=Ignore(("*.md",)))),
    "option": lambda: changed(options=GateOptions(fail_fast=True)),
    "command": lambda: replace(GATE, request=CheckRequest(VERSION)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_row_depends_on_all_that_the_gate_compares(change: str) -> None:
    assert row_digest(CHANGES[change](), {}) not in {"", row_digest(GATE, {})}


def test_row_does_not_depend_on_the_place_of_the_entry() -> None:
    moved = replace(GATE, entry=replace(GATE.entry, file="other.yaml", line=9))
    assert row_digest(moved, {}) == row_digest(GATE, {})


def test_row_of_a_gate_without_a_request_is_not_kept() -> None:
    assert row_digest(replace(GATE, request=None), {}) == ""


@pytest.mark.parametrize("name", ["@champion", "champion", "Production", "latest"])
def test_row_of_a_version_that_can_move_depends_on_the_resolved_version(name: str) -> None:
    request = CheckRequest(replace(VERSION, version_or_stage=name))
    moving = replace(GATE, request=request)
    assert not has_fixed_versions(request)
    assert row_digest(moving, {}) == ""
    (version,) = check(comparison()).versions.values()
    first = row_digest(moving, {"model_version": version})
    assert first
    assert row_digest(moving, {"model_version": replace(version, version="2")}) != first
    assert row_digest(moving, {"model_version": replace(version, reg_model_uri="s3://b/other")}) != first


@pytest.mark.parametrize("hours, expected", [(0, True), (23, True), (25, False), (-1, False)])
def test_only_rows_of_the_last_day_are_recent(hours: int, expected: bool) -> None:
    found = row(check(comparison()), row_gate("wine"))
    time = (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="seconds")
    report = dict(found.report) | {"system": found.report["system"] | {"utc_time": time}}
    assert is_recent(replace(found, report=report)) is expected
