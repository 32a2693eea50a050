"""The roster of a run: the gates that it has, whether or not they have ended."""

from __future__ import annotations

import json
from dataclasses import dataclass

from model_gate.domain.gates import LeftOut
from model_gate.domain.wording import printable
from model_gate.errors import InputError, StorageError
from model_gate.runs.shards import Shard, parse_shard

_KEYS = {"model_gate_rows", "shard", "gates", "own", "left_out"}


@dataclass(frozen=True)
class Roster:
    """Which gates a run has. All names are printable.

    Attributes:
        shard: The part of the run; 1/1 for a whole run.
        gates: The names of all gates of the run, in the order of the gates files.
        own: The names of the gates of this part, in the same order.
        left_out: What the whole run leaves out on purpose.
    """

    shard: Shard
    gates: tuple[str, ...]
    own: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


def roster_line(roster: Roster) -> bytes:
    """Return a roster as a line of JSON in ASCII, with its line break."""
    data = {
        "model_gate_rows": "roster",
        "shard": str(roster.shard),
        "gates": roster.gates,
        "own": roster.own,
        "left_out": [[entry.name, entry.reason] for entry in roster.left_out],
    }
    return json.dumps(data).encode("ascii") + b"\n"


def read_roster(line: bytes, where: str) -> Roster:
    """Return the roster in a line. `where` names the file and the line, for errors.

    Raises:
        StorageError: The line is not a roster.
    """
    try:
        data = json.loads(line)
        if not isinstance(data, dict) or data.keys() != _KEYS or data["model_gate_rows"] != "roster":
            raise ValueError("other keys")
        names = [*data["gates"], *data["own"], *(text for pair in data["left_out"] for text in pair)]
        if not all(isinstance(name, str) and printable(name) == name for name in names):
            raise ValueError("a name is not printable")
        left_out = tuple(LeftOut(name, reason) for name, reason in data["left_out"])
        return Roster(parse_shard(data["shard"]), tuple(data["gates"]), tuple(data["own"]), left_out)
    except (ValueError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise StorageError(
            f"The list of gates in {where} cannot be used.", "Remove the file, and run these gates again."
        ) from error
