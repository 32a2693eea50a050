"""The result of one benchmark, and functions that format its numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.environment import KIB, MIB


@dataclass(frozen=True)
class Result:
    """The result of one benchmark: a line of the table.

    Attributes:
        row: Name of the row in `rows.ROWS`.
        work: Description of the measured work.
        floor_is: Description of the floor, the program that Model Gate is measured against.
        goal: Description of the goal, such as "≤ 1.15 ×" the floor.
        unit: "s" for seconds or "B" for bytes.
        product: Values of each run of Model Gate.
        floor: Values of each run of the floor; empty if the goal has none.
        baseline: Values of each run of the plain way, that is, a download with MLflow and a comparison.
        limit: Upper limit for the median of `product`; None if there is no goal.
        notes: Other measurements by name.
    """

    row: str
    work: str
    floor_is: str
    goal: str
    unit: str
    product: Sequence[float]
    floor: Sequence[float] = ()
    baseline: Sequence[float] = ()
    limit: float | None = None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The median of Model Gate divided by the median of the floor; None if there is no floor."""
        return median(self.product) / median(self.floor) if self.floor else None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None if there is no goal."""
        return None if self.limit is None else median(self.product) <= self.limit

    def as_data(self) -> dict[str, Any]:
        """Return the result as JSON data, with the medians."""
        return asdict(self) | {
            "median": median(self.product),
            "floor_median": median(self.floor) if self.floor else None,
            "ratio": self.ratio,
            "is_met": self.is_met,
        }


def median(values: Sequence[float]) -> float:
    """Return the median of the values."""
    return statistics.median(values)


def shown(values: Sequence[float], unit: str) -> str:
    """Return the median as text, followed by the smallest and the largest value if their texts differ."""
    if not values:
        return ""
    text = amount(median(values), unit)
    if len(values) == 1 or amount(min(values), unit) == amount(max(values), unit):
        return text
    low, high = (amount(value, unit).removesuffix(" s") for value in (min(values), max(values)))
    return f"{text} ({low} to {high})"


def amount(value: float, unit: str) -> str:
    """Return a number of seconds (unit "s") or bytes (unit "B") as text."""
    if unit == "s":
        return f"{value:.2f} s"
    if value < MIB:
        return f"{value / KIB:,.0f} KiB"
    return f"{value / MIB:,.0f} MiB"
