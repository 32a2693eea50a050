"""Shards of a run: every gate is in exactly one."""

from __future__ import annotations

import pytest

from model_gate.errors import InputError
from model_gate.runs.shards import Shard, gates_of_shard, parse_shard
from tests.support.rows import gate

GATES = [gate(f"gate-{number}") for number in range(10)]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 256])
def test_every_gate_is_in_exactly_one_shard(count: int) -> None:
    found = [each for index in range(1, count + 1) for each in gates_of_shard(GATES, Shard(index, count))[0]]
    assert sorted(each.name for each in found) == sorted(each.name for each in GATES)


def test_gates_of_other_shards_are_left_out_by_name() -> None:
    own, others = gates_of_shard(GATES, Shard(2, 3))
    assert [each.name for each in own] == ["gate-1", "gate-4", "gate-7"]
    assert {left.name for left in others} == {each.name for each in GATES} - {each.name for each in own}
    assert {left.reason for left in others} == {"in shard 1/3", "in shard 3/3"}


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "1/257", "-1/3", "1/3/5", "a/b", "١/٣"])
def test_invalid_shard_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="--shard"):
        parse_shard(text)
