"""Shards of a run: every gate is in exactly one."""

from __future__ import annotations

import pytest

from model_gate.errors import InputError
from model_gate.runs.shards import Shard, balanced, every_nth, parse_shard, planned, whole

NAMES = [f"gate-{number}" for number in range(10)]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 256])
def test_every_gate_is_in_exactly_one_shard(count: int) -> None:
    found = [name for index in range(1, count + 1) for name in every_nth(Shard(index, count))(NAMES).names]
    assert sorted(found) == sorted(NAMES)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 256])
def test_every_gate_is_in_exactly_one_part_of_a_plan(count: int) -> None:
    parts = balanced({name: 1000 * number**3 for number, name in enumerate(NAMES)}, count)
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert len(parts) == min(count, len(NAMES))
    own = [planned(Shard(index, len(parts)), parts)(NAMES).names for index in range(1, len(parts) + 1)]
    assert own == parts


def test_parts_of_a_plan_have_about_the_same_size() -> None:
    mib = 1024**2
    sizes = {name: size * mib for name, size in zip(NAMES, (1000, 900, 500, 400, 100, 1, 1, 1, 1, 1), strict=True)}
    loads = [sum(sizes[name] for name in part) for part in balanced(sizes, 2)]
    assert max(loads) - min(loads) <= 100 * mib


def test_plan_without_gates_has_one_part() -> None:
    assert balanced({}, 5) == [()]


def test_gate_that_is_not_in_the_plan_is_in_the_first_shard() -> None:
    parts = [("a",), ("b",)]
    assert planned(Shard(1, 2), parts)(["a", "new", "b"]).names == ("a", "new")
    assert planned(Shard(2, 2), parts)(["a", "new", "b"]).names == ("b",)


def test_run_without_shards_has_all_gates() -> None:
    assert whole(NAMES).names == tuple(NAMES)


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "1/257", "-1/3", "1/3/5", "a/b", "١/٣"])
def test_invalid_shard_is_rejected(text: str) -> None:
    with pytest.raises(InputError, match="--shard"):
        parse_shard(text)
