"""Merges the rows of shards into one result. A gate of which no shard has a row is an error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model_gate.domain.gates import LeftOut
from model_gate.domain.wording import first_names
from model_gate.errors import InputError
from model_gate.runs.roster import Roster


@dataclass(frozen=True)
class Place:
    """Where a gate of a merged run has its row.

    Attributes:
        name: The gate's name.
        shard: Index of the shard's roster in the list of rosters; None if no shard has a row of the gate.
        reason: Why there is no row; "" if there is one.
    """

    name: str
    shard: int | None
    reason: str = ""


@dataclass(frozen=True)
class MergePlan:
    """How shards are merged.

    Attributes:
        places: The gates in the order of the gates files.
        left_out: What the whole run leaves out on purpose.
        missing: The shards without a file, as in `2/3`.
    """

    places: tuple[Place, ...]
    left_out: tuple[LeftOut, ...]
    missing: tuple[str, ...]


def plan_merge(rosters: Sequence[Roster], rows: Sequence[Sequence[str]]) -> MergePlan:
    """Return how the rows of shards are merged.

    Args:
        rosters: The roster of each shard, in any order.
        rows: The names of the gates of which each shard has a row, in the order of `rosters`.

    Raises:
        InputError: There is no shard, shards of two runs are mixed, or two shards have a row of the same gate.
    """
    if not rosters:
        raise InputError(
            "There are no results of shards to merge.",
            "Name the *.rows.jsonl files of the shards. In a workflow, the jobs of the plan and the shards say what failed.",
        )
    count = rosters[0].shard.count
    if len({roster.shard.count for roster in rosters}) > 1:
        counts = ", ".join(str(roster.shard) for roster in rosters)
        raise InputError(f"The shards are not parts of one run: {counts}.", "Merge the shards of one run only.")
    _require_distinct(str(roster.shard) for roster in rosters)
    present = {roster.shard.index for roster in rosters}
    missing = tuple(f"{index}/{count}" for index in range(1, count + 1) if index not in present)
    holders: dict[str, list[int]] = defaultdict(list)
    for number, names in enumerate(rows):
        for name in names:
            holders[name].append(number)
    twice = [name for name, numbers in holders.items() if len(numbers) > 1]
    if twice:
        raise InputError(
            f"Two shards have a result of {first_names(twice)}.", "Run all shards with the same gates files and plan."
        )
    order = dict.fromkeys(name for roster in rosters for name in roster.gates)
    places = tuple(_place(name, holders, rosters, missing) for name in order)
    left_out = {entry.name: entry for roster in rosters for entry in roster.left_out if entry.name not in order}
    return MergePlan(places, tuple(left_out.values()), missing)


def _place(name: str, holders: dict[str, list[int]], rosters: Sequence[Roster], missing: Sequence[str]) -> Place:
    if name in holders:
        return Place(name, holders[name][0])
    owners = [str(roster.shard) for roster in rosters if name in roster.own]
    if owners:
        return Place(name, None, f"The shard {owners[0]} ended before this gate.")
    if missing:
        return Place(name, None, f"No shard has a result of this gate: missing is {first_names(list(missing))}.")
    return Place(name, None, "No shard has a result of this gate: the shards do not have the same gates.")


def _require_distinct(shards: Iterator[str]) -> None:
    """Verify that no shard is there twice.

    Raises:
        InputError: A shard is there twice.
    """
    seen: set[str] = set()
    for shard in shards:
        if shard in seen:
            raise InputError(f"There are two results of the shard {shard}.", "Merge the last result of each shard.")
        seen.add(shard)
