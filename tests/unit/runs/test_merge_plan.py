"""Which results of shards make one run, and which gates have no result."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from model_gate.domain.gates import LeftOut
from model_gate.errors import InputError
from model_gate.runs.merge_plan import ShardResult, plan_merge
from model_gate.runs.roster import Roster, RosterGate
from model_gate.runs.shards import Shard

NOW = datetime(2026, 1, 31, 18, tzinfo=UTC)
NAMES = ("a", "b", "c", "d", "e")
GATES = tuple(RosterGate(name, "gates.yaml", number) for number, name in enumerate(NAMES, 2))


def shard(index: int, count: int = 3, rows: tuple[str, ...] | None = None, **fields: Any) -> ShardResult:
    own = NAMES[index - 1 :: count]
    time = NOW.isoformat(timespec="seconds")
    roster = Roster(Shard(index, count), GATES, own, time=time)
    return ShardResult(replace(roster, **fields), own if rows is None else rows, f"{index}.rows.jsonl")


def whole(**fields: Any) -> list[ShardResult]:
    return [shard(index, **fields) for index in (2, 3, 1)]


def test_gates_of_all_shards_are_in_the_order_of_the_gates_files() -> None:
    plan = plan_merge(whole(), NOW)
    assert [merged.gate for merged in plan.gates] == list(GATES)
    assert [merged.shard for merged in plan.gates] == [2, 0, 1, 2, 0]
    assert plan.missing == plan.notices == ()


def test_missing_shard_is_named_and_its_gates_have_no_row() -> None:
    plan = plan_merge([shard(1), shard(3)], NOW)
    assert plan.missing == ("2/3",)
    reason = "No shard has a result of this gate: missing is 2/3."
    assert [(each.gate.name, each.reason) for each in plan.gates if each.shard is None] == [
        ("b", reason),
        ("e", reason),
    ]


def test_shard_that_ended_early_is_named() -> None:
    plan = plan_merge([shard(1), shard(2, rows=("b",)), shard(3)], NOW)
    assert [(m.gate.name, m.reason) for m in plan.gates if m.shard is None] == [
        ("e", "The shard 2/3 ended before this gate.")
    ]
    assert plan.missing == ()


def test_newer_of_two_results_of_a_shard_counts() -> None:
    older = shard(2, rows=("b",), time=(NOW - timedelta(minutes=9)).isoformat())
    plan = plan_merge([*whole(), older], NOW)
    assert all(merged.shard is not None and merged.shard != 3 for merged in plan.gates)
    assert plan.notices == ("The shard 2/3 has two results: 2.rows.jsonl is older and does not count.",)


@pytest.mark.parametrize(
    "field, value", [("digest", "1" * 64), ("workflow_run", "77"), ("plan", "0123456789abcdef"), ("shard", Shard(2, 4))]
)
def test_results_of_two_runs_are_not_merged(field: str, value: Any) -> None:
    with pytest.raises(InputError, match="not of one run"):
        plan_merge([shard(1), shard(2, **{field: value}), shard(3)], NOW)


@pytest.mark.parametrize("age", [timedelta(hours=25), timedelta(hours=-1)])
def test_result_that_is_not_of_the_last_day_is_not_merged(age: timedelta) -> None:
    with pytest.raises(InputError, match=r"2\.rows\.jsonl is not of the last 24 hours"):
        plan_merge([shard(1), shard(2, time=(NOW - age).isoformat()), shard(3)], NOW)


def test_gate_with_rows_of_two_shards_is_an_error() -> None:
    with pytest.raises(InputError, match="Two shards have a result of b"):
        plan_merge([shard(1, rows=("a", "b", "d"), own=("a", "b", "d")), shard(2), shard(3)], NOW)


def test_row_that_its_shard_does_not_own_does_not_count() -> None:
    plan = plan_merge([shard(1, rows=("a", "b", "d")), shard(2, rows=("e",)), shard(3)], NOW)
    assert [merged.gate.name for merged in plan.gates if merged.shard is None] == ["b"]


def test_nothing_to_merge_is_an_error() -> None:
    with pytest.raises(InputError, match="no results of shards"):
        plan_merge([], NOW)


def test_only_what_every_shard_leaves_out_stays_left_out() -> None:
    own = (LeftOut("old", "not changed"), LeftOut("b", "not in shard 1/3"))
    plan = plan_merge([shard(1, left_out=own), shard(2, left_out=own), shard(3)], NOW)
    assert plan.left_out == (LeftOut("old", "not changed"),)
