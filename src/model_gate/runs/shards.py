"""Splits the gates of a run into shards, which several machines run side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from model_gate.errors import InputError

# GitHub starts at most this many jobs from one matrix.
MAX_SHARDS = 256
# What a gate costs besides its transfer, in bytes that are transferred in the same time.
_BYTES_PER_GATE = 4 * 1024**2


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run.

    Attributes:
        index: Number of the part, from 1 to `count`.
        count: Number of parts.
    """

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Return the shard that a text such as `2/3` names.

    >>> parse_shard("2/3")
    Shard(index=2, count=3)

    Raises:
        InputError: The text names no shard.
    """
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", text.strip(), re.ASCII)
    if match is not None:
        shard = Shard(int(match[1]), int(match[2]))
        if 1 <= shard.index <= shard.count <= MAX_SHARDS:
            return shard
    raise InputError(
        f"--shard is {text!r}, which is not a shard.",
        f"Write the number of the shard and the number of all shards, as in 2/3, at most {MAX_SHARDS}.",
    )


@dataclass(frozen=True)
class Part:
    """The gates of one shard.

    Attributes:
        shard: The shard.
        names: The names of its gates, in the order of the gates files.
        plan: The ID of the plan of the shards, "" without a plan.
    """

    shard: Shard
    names: tuple[str, ...]
    plan: str = ""


def whole(names: Sequence[str]) -> Part:
    """Return all gates as one part."""
    return Part(Shard(1, 1), tuple(names))


def every_nth(shard: Shard) -> Callable[[Sequence[str]], Part]:
    """Return a function that picks the gates of a shard. Every gate is in exactly one shard.

    >>> every_nth(Shard(2, 2))(["a", "b", "c", "d"]).names
    ('b', 'd')
    """
    return lambda names: Part(shard, tuple(names[shard.index - 1 :: shard.count]))


def balanced(sizes: Mapping[str, int], count: int) -> list[tuple[str, ...]]:
    """Return the names of gates in parts of about the same size, in the order of `sizes`.

    The largest gate comes first, and each goes to the part with the smallest size so far.

    Args:
        sizes: What each gate transfers, in bytes.
        count: The most parts. There are as many as gates if these are fewer, but at least one.
    """
    parts: list[list[str]] = [[] for _ in range(max(1, min(count, len(sizes))))]
    loads = [0] * len(parts)
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        lightest = loads.index(min(loads))
        parts[lightest].append(name)
        loads[lightest] += sizes[name] + _BYTES_PER_GATE
    order = {name: number for number, name in enumerate(sizes)}
    return [tuple(sorted(part, key=order.__getitem__)) for part in parts]


def planned(shard: Shard, parts: Sequence[Collection[str]], plan: str = "") -> Callable[[Sequence[str]], Part]:
    """Return a function that picks the gates of a shard by a plan. The first shard has what the plan does not have.

    Args:
        shard: The shard.
        parts: The names of the gates of each shard.
        plan: The ID of the plan.
    """

    def pick(names: Sequence[str]) -> Part:
        known = {name for part in parts for name in part}
        own = set(parts[shard.index - 1])
        mine = tuple(name for name in names if name in own or (shard.index == 1 and name not in known))
        return Part(shard, mine, plan)

    return pick
