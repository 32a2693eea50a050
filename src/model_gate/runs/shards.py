"""Splits the gates of a run into shards, which several machines run side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from model_gate.domain.gates import Gate, LeftOut
from model_gate.errors import InputError

# GitHub starts at most this many jobs from one matrix.
MAX_SHARDS = 256


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
        f"--shard is {text!r}, which is not one of several shards.",
        f"Write the number of the shard and the number of all shards, as in 2/3, at most {MAX_SHARDS}.",
    )


def gates_of_shard(gates: Sequence[Gate], shard: Shard | None) -> tuple[list[Gate], list[LeftOut]]:
    """Return the gates of a shard, and those that other shards run. Every gate is in exactly one shard."""
    if shard is None:
        return list(gates), []
    own, others = [], []
    for number, gate in enumerate(gates):
        index = number % shard.count + 1
        if index == shard.index:
            own.append(gate)
        else:
            others.append(LeftOut(gate.name, f"in shard {Shard(index, shard.count)}"))
    return own, others
