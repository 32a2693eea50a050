"""Decides how the results of shards are merged. A gate of which no shard has a row is an error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from model_gate.domain.gates import LeftOut
from model_gate.domain.wording import first_names
from model_gate.errors import InputError
from model_gate.runs.roster import Roster, RosterGate

_MAX_AGE = timedelta(hours=24)


@dataclass(frozen=True)
class MergedGate:
    """A gate of a merged run.

    Attributes:
        gate: The gate.
        shard: Index of the shard with its row in the list of shards; None if no shard has one.
        reason: Why there is no row; "" if there is one.
    """

    gate: RosterGate
    shard: int | None
    reason: str = ""


@dataclass(frozen=True)
class MergePlan:
    """How shards are merged.

    Attributes:
        gates: The gates in the order of the gates files.
        left_out: What the whole run leaves out on purpose.
        missing: The shards without a result, as in `2/3`.
        notices: What the user should know although it is no error.
    """

    gates: tuple[MergedGate, ...]
    left_out: tuple[LeftOut, ...]
    missing: tuple[str, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShardResult:
    """What a shard left behind.

    Attributes:
        roster: Its roster.
        rows: The names of the gates of which it has a row.
        file: The name of its file, for messages.
    """

    roster: Roster
    rows: tuple[str, ...]
    file: str


def plan_merge(shards: Sequence[ShardResult], now: datetime | None = None) -> MergePlan:
    """Return how the results of shards are merged. Of two results of one shard, the newer counts.

    Args:
        shards: The results in any order.
        now: The current time; None for that of the clock.

    Raises:
        InputError: There is no result, results of two runs are mixed, or two shards have a row of the same gate.
    """
    if not shards:
        raise InputError(
            "There are no results of shards to merge.",
            "Name the *.rows.jsonl files of the shards. In a workflow, see the jobs of the plan and of the shards.",
        )
    _require_one_run(shards, now or datetime.now(UTC))
    newest: dict[int, int] = {}
    notices = []
    for number in sorted(range(len(shards)), key=lambda number: datetime.fromisoformat(shards[number].roster.time)):
        shard = shards[number].roster.shard
        if shard.index in newest:
            older = shards[newest[shard.index]].file
            notices.append(f"The shard {shard} has two results: {older} is older and does not count.")
        newest[shard.index] = number
    count = shards[0].roster.shard.count
    missing = tuple(f"{index}/{count}" for index in range(1, count + 1) if index not in newest)
    own = {name: str(shards[number].roster.shard) for number in newest.values() for name in shards[number].roster.own}
    holders = _holders(shards, sorted(newest.values()))
    gates = {gate.name: gate for number in newest.values() for gate in shards[number].roster.gates}
    merged = tuple(
        MergedGate(gate, holders.get(name), "" if name in holders else _reason(own.get(name, ""), missing))
        for name, gate in gates.items()
    )
    left_out = {
        entry.name: entry
        for number in newest.values()
        for entry in shards[number].roster.left_out
        if entry.name not in gates
    }
    return MergePlan(merged, tuple(left_out.values()), missing, tuple(notices))


def _require_one_run(shards: Sequence[ShardResult], now: datetime) -> None:
    """Verify that all results are of one run, which was not long ago.

    Raises:
        InputError: They are not.
    """
    differing = {
        "numbers of shards": {str(shard.roster.shard.count) for shard in shards},
        "gates files, options or versions of Model Gate": {shard.roster.digest for shard in shards},
        "runs of the workflow": {shard.roster.workflow_run for shard in shards},
        "plans": {shard.roster.plan for shard in shards},
    }
    reasons = [what for what, values in differing.items() if len(values) > 1]
    if reasons:
        raise InputError(
            f"The results are not of one run: they have different {' and '.join(reasons)}.",
            "Merge the results of one run only.",
        )
    old = [shard.file for shard in shards if not timedelta(0) <= _age(shard, now) <= _MAX_AGE]
    if old:
        raise InputError(
            f"The result {first_names(old)} is not of the last 24 hours.", "Run the shard again, and merge the results."
        )


def _age(shard: ShardResult, now: datetime) -> timedelta:
    # The clocks of two machines can differ.
    return now - datetime.fromisoformat(shard.roster.time) + timedelta(minutes=5)


def _holders(shards: Sequence[ShardResult], numbers: Sequence[int]) -> dict[str, int]:
    """Return the index of the shard with the row of each gate.

    Raises:
        InputError: Two shards have a row of the same gate.
    """
    holders: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        # A row that the shard does not own is of another run.
        for name in set(shards[number].rows).intersection(shards[number].roster.own):
            holders[name].append(number)
    twice = [name for name, found in holders.items() if len(found) > 1]
    if twice:
        raise InputError(
            f"Two shards have a result of {first_names(twice)}.", "Run all shards with the same gates files and plan."
        )
    return {name: found[0] for name, found in holders.items()}


def _reason(owner: str, missing: Sequence[str]) -> str:
    """Return why a gate has no row. `owner` is the shard that should have it, "" if no result says which."""
    if owner:
        return f"The shard {owner} ended before this gate."
    if missing:
        return f"No shard has a result of this gate: missing is {first_names(list(missing))}."
    return "No shard has a result of this gate: the shards do not have the same gates."
