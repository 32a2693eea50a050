"""Plans the shards of a run, so that each transfers about the same number of bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from model_gate.domain.gates import Gate
from model_gate.domain.wording import printable
from model_gate.errors import InputError, reading_error
from model_gate.gate import Shared, listed_bytes
from model_gate.runs.shards import MAX_SHARDS, Part, Shard, balanced, every_nth, parse_shard, planned, whole
from model_gate.symbolic_links import open_input

_MAX_PLAN_BYTES = 16 * 1024**2
# After a signal, listings that still run get this long to end.
_STOP_SECONDS = 5.0
_VERSION = "1.0"
_REMEDY = "Make the plan again: model-gate plan."


@dataclass(frozen=True)
class Plan:
    """The gates of each shard of a run.

    Attributes:
        parts: The names of the gates of each shard; at least one shard, which can be empty.
        identifier: A random text that identifies the plan, so that results by two plans are not merged.
        sizes: What each gate reads, in bytes. A gate whose models cannot be listed has 0.
    """

    parts: tuple[tuple[str, ...], ...]
    sizes: Mapping[str, int]
    identifier: str = field(default_factory=lambda: token_hex(8))

    def part_of(self, shard: Shard) -> Callable[[Sequence[str]], Part]:
        """Return the function that picks the gates of a shard.

        Raises:
            InputError: The plan has another number of shards.
        """
        if shard.count != len(self.parts):
            raise InputError(
                f"--shard is {shard}, but the plan has {len(self.parts)} shards.", "Use the matrix of the same plan."
            )
        return planned(shard, self.parts, self.identifier)

    @property
    def matrix(self) -> dict[str, Any]:
        """The plan as the matrix of a GitHub workflow: one job for each shard.

        >>> Plan((("a",),), {"a": 5}).matrix
        {'include': [{'shard': '1/1', 'number': 1, 'gates': 1, 'bytes': 5}]}
        """
        return {
            "include": [
                {
                    "shard": f"{number}/{len(self.parts)}",
                    # The name of a file or an artifact cannot have the slash of the shard.
                    "number": number,
                    "gates": len(part),
                    "bytes": sum(self.sizes[name] for name in part),
                }
                for number, part in enumerate(self.parts, 1)
            ]
        }


def make_plan(gates: Mapping[str, Gate], shards: int, shared: Shared, jobs: int) -> Plan:
    """Return the plan of a run.

    Args:
        gates: The gates by the names of their rows.
        shards: The most shards. There are no more shards than gates.
        shared: The clients of all servers.
        jobs: Number of gates whose models are listed at the same time.

    Raises:
        InputError: The number of shards is out of range.
    """
    if not 1 <= shards <= MAX_SHARDS:
        raise InputError(
            f"--shards is {shards}.", f"Set it to 1 or more, and at most {MAX_SHARDS}: a workflow has no more jobs."
        )

    def size(gate: Gate) -> int:
        if gate.request is None:
            return 0
        try:
            return listed_bytes(gate.request, shared)
        except Exception:  # noqa: BLE001  # the gate reports the error in its shard
            return 0

    pool = ThreadPoolExecutor(jobs)
    futures = [pool.submit(size, gate) for gate in gates.values()]
    try:
        sizes = dict(zip(gates, (future.result() for future in futures), strict=True))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # Without their workers, the other listings end soon.
        shared.stop()
        wait(futures, timeout=_STOP_SECONDS)
        raise
    pool.shutdown()
    return Plan(tuple(balanced(sizes, shards)), sizes)


def plan_text(plan: Plan) -> str:
    """Return the text of a plan's file, which `read_plan` reads."""
    data = {"model_gate_plan": _VERSION, "id": plan.identifier, "shards": plan.parts, "bytes": dict(plan.sizes)}
    return json.dumps(data, indent=2) + "\n"


def read_plan(path: Path) -> Plan:
    """Return the plan in a file.

    Raises:
        StorageError: The file cannot be read.
        InputError: The file is not a plan.
    """
    try:
        with open(path, "rb", opener=open_input) as file:
            content = file.read(_MAX_PLAN_BYTES + 1)
    except OSError as error:
        raise reading_error(error, f"plan {path}") from error
    try:
        data = json.loads(content if len(content) <= _MAX_PLAN_BYTES else b"")
        parts = tuple(tuple(part) for part in data["shards"])
        names = [name for part in parts for name in part]
        if data["model_gate_plan"] != _VERSION or not 1 <= len(parts) <= MAX_SHARDS or len(names) != len(set(names)):
            raise ValueError("not a plan")
        if not all(isinstance(name, str) and printable(name) == name for name in names):
            raise ValueError("not a name")
        identifier = data["id"]
        if not isinstance(identifier, str) or not re.fullmatch(r"[0-9a-f]{16}", identifier):
            raise ValueError("not an ID")
        return Plan(parts, {name: int(data["bytes"][name]) for name in names}, identifier)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"The file {printable(str(path))} is not a plan of shards.", _REMEDY) from error


def part_of(names: Sequence[str], shard: str, plan_file: Path | None) -> Part:
    """Return the gates of a shard.

    Args:
        names: The names of all gates, in the order of the gates files.
        shard: The shard, as in `2/3`; "" for all gates.
        plan_file: The path of the plan; None if a shard has every N-th gate.

    Raises:
        InputError: The text names no shard, or the plan cannot be used.
        StorageError: The plan cannot be read.
    """
    if not shard:
        if plan_file is not None:
            raise InputError("--plan-file is given without --shard.", "Name the shard too, as in 2/3.")
        return whole(names)
    parsed = parse_shard(shard)
    return every_nth(parsed)(names) if plan_file is None else read_plan(plan_file).part_of(parsed)(names)
