"""Notes that explain the times in a row of the table of results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from benchmarks.bench import Timings
from benchmarks.measure import ProcessorTime
from benchmarks.result import amount, median


def work_notes(start_up: float, timings: Timings) -> dict[str, str]:
    """Return notes on the start-up time of Model Gate and on processor times. The floor has no start-up time."""
    remaining = median(timings.product) - start_up
    return {
        "start-up": amount(start_up, "s"),
        "without start-up": f"{amount(remaining, 's')}, {remaining / median(timings.floor):.2f} × the floor",
        f"{os.cpu_count()} processors under the floor": _processor_text(timings.processors["floor"]),
        "under Model Gate": _processor_text(timings.processors["product"]),
    }


def _processor_text(used: ProcessorTime) -> str:
    machine, seconds, servers = (amount(value, "s") for value in (used.machine, used.seconds, used.servers))
    return f"{machine} busy in {seconds}, of which the servers {servers}"


def tried_notes(label: str, times: Mapping[Any, float]) -> dict[str, str]:
    """Return a note with the seconds that the floor took for each number of connections or ranges, or other option."""
    return {label: ", ".join(f"{number}: {seconds:.2f} s" for number, seconds in times.items())}
