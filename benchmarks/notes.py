"""What is told of a row beside its times."""

from __future__ import annotations

import os
from collections.abc import Mapping

from benchmarks.bench import Race
from benchmarks.measure import Busy
from benchmarks.result import amount, median


def work_notes(start_up: float, race: Race) -> dict[str, str]:
    """Where the time goes: how much of it is start-up, which no floor of these rows has, and what processors do."""
    left = median(race.product) - start_up
    return {
        "start-up": amount(start_up, "s"),
        "without start-up": f"{amount(left, 's')}, {left / median(race.floor):.2f} × the floor",
        f"{os.cpu_count()} processors under the floor": _busy(race.busy["floor"]),
        "under Model Gate": _busy(race.busy["product"]),
    }


def _busy(busy: Busy) -> str:
    machine, seconds, servers = (amount(each, "s") for each in (busy.machine, busy.seconds, busy.servers))
    return f"{machine} busy in {seconds}, of which the servers {servers}"


def tried_notes(what: str, times: Mapping[int, float]) -> dict[str, str]:
    """The seconds of each number that was tried to find the best floor."""
    return {what: ", ".join(f"{number}: {seconds:.2f} s" for number, seconds in times.items())}
