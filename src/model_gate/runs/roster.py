"""The roster of a run: the gates that it has, whether or not they have ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from model_gate.domain.gates import LeftOut
from model_gate.domain.wording import printable
from model_gate.errors import InputError, StorageError
from model_gate.runs.shards import Shard, parse_shard

_KEYS = {"model_gate_rows", "shard", "gates", "own", "left_out", "digest", "workflow_run", "plan", "time"}
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RosterGate:
    """A gate of a run.

    Attributes:
        name: The name of its row, which is printable.
        file: The gates file, "" if it is not known.
        line: The line of its entry, 0 if it is not known.
    """

    name: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Roster:
    """Which gates a run has.

    Attributes:
        shard: The part of the run; 1/1 for a whole run.
        gates: All gates of the run, in the order of the gates files.
        own: The names of the gates of this part, in the same order.
        left_out: What the whole run leaves out on purpose, without secrets and printable.
        digest: SHA-256 in hex of what the run asks for: its entries, its options and the version of Model Gate. Shards
            of one run have one digest.
        workflow_run: The ID of the workflow's run, "" outside of a workflow.
        plan: The ID of the plan of the shards, "" without a plan.
        time: When the run began, in UTC as ISO 8601 with seconds.
    """

    shard: Shard
    gates: tuple[RosterGate, ...]
    own: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()
    digest: str = "0" * 64
    workflow_run: str = ""
    plan: str = ""
    time: str = "1970-01-01T00:00:00+00:00"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all gates of the run."""
        return tuple(gate.name for gate in self.gates)


def roster_line(roster: Roster) -> bytes:
    """Return a roster as a line of JSON in ASCII, with its line break."""
    data = {
        "model_gate_rows": "roster",
        "shard": str(roster.shard),
        "gates": [[gate.name, gate.file, gate.line] for gate in roster.gates],
        "own": roster.own,
        "left_out": [[entry.name, entry.reason] for entry in roster.left_out],
        "digest": roster.digest,
        "workflow_run": roster.workflow_run,
        "plan": roster.plan,
        "time": roster.time,
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
        gates = tuple(RosterGate(name, file, line) for name, file, line in data["gates"])
        left_out = tuple(LeftOut(name, reason) for name, reason in data["left_out"])
        own = tuple(data["own"])
        _require_texts(own, (gate.name for gate in gates), (gate.file for gate in gates))
        _require_texts((entry.name for entry in left_out), (entry.reason for entry in left_out))
        _require_texts((data["workflow_run"], data["plan"], data["time"], data["digest"]))
        if not all(type(gate.line) is int for gate in gates) or not _DIGEST.fullmatch(data["digest"]):
            raise ValueError("a field has another form")
        if not set(own) <= {gate.name for gate in gates} or datetime.fromisoformat(data["time"]).tzinfo is None:
            raise ValueError("a field has another form")
        return Roster(
            parse_shard(data["shard"]),
            gates,
            own,
            left_out,
            data["digest"],
            data["workflow_run"],
            data["plan"],
            data["time"],
        )
    except (ValueError, TypeError, AttributeError, RecursionError, InputError) as error:
        raise StorageError(
            f"The list of gates in {where} cannot be used.", "Remove the file, and run these gates again."
        ) from error


def _require_texts(*groups: Iterable[object]) -> None:
    for group in groups:
        if not all(isinstance(text, str) and printable(text) == text for text in group):
            raise ValueError("a text is not printable")
