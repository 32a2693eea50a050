"""What a row of the table says, and whether its goal is met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.surroundings import KIB, MIB


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Attributes:
        row: The row of the goals that it belongs to.
        work: What was done.
        floor_is: What the floor is.
        goal: What is demanded, in words.
        unit: "s", or "B" for bytes.
        product: What each run of Model Gate took.
        floor: What each run of the floor took; empty if the goal has none.
        baseline: The same of the plain way.
        limit: What the median of `product` must not exceed; None for a line that only tells.
        notes: What else was found out, by its name.
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
        """The median of Model Gate over that of the floor."""
        return median(self.product) / median(self.floor) if self.floor else None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is met; None if there is none."""
        return None if self.limit is None else median(self.product) <= self.limit

    def as_data(self) -> dict[str, Any]:
        """JSON data with the medians in it."""
        return asdict(self) | {
            "median": median(self.product),
            "floor_median": median(self.floor) if self.floor else None,
            "ratio": self.ratio,
            "is_met": self.is_met,
        }


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return statistics.median(values)


def shown(values: Sequence[float], unit: str) -> str:
    """The median, and the spread if there were several runs."""
    if not values:
        return ""
    text = amount(median(values), unit)
    if len(values) == 1 or amount(min(values), unit) == amount(max(values), unit):
        return text
    low, high = (amount(each, unit).removesuffix(" s") for each in (min(values), max(values)))
    return f"{text} ({low} to {high})"


def amount(value: float, unit: str) -> str:
    """A number of seconds or bytes, for people."""
    if unit == "s":
        return f"{value:.2f} s"
    if value < MIB:
        return f"{value / KIB:,.0f} KiB"
    return f"{value / MIB:,.0f} MiB"
