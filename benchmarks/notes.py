"""What is told of a row beside its times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.result import amount, median


def work_notes(start_up: float, times: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """How much of the time is start-up, which no floor of these rows has."""
    left = median(times["product"]) - start_up
    return {
        "start-up": amount(start_up, "s"),
        "without start-up": f"{amount(left, 's')}, {left / median(times['floor']):.2f} × the floor",
    }


def tried_notes(what: str, times: Mapping[int, float]) -> dict[str, str]:
    """The seconds of each number that was tried to find the best floor."""
    return {what: ", ".join(f"{number}: {seconds:.2f} s" for number, seconds in times.items())}
