"""The results of one benchmark run: write them as JSON, as a plot, and as a table in docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import table
from benchmarks.bench import Bench, PlotPoint
from benchmarks.environment import GIB, Scale
from benchmarks.result import Result
from benchmarks.wrap import wrapped

_PAGE = Path("docs/performance.md")
_DATA = Path("docs/performance.json")
_PLOT = Path("docs/images/performance.svg")
QUICK_WARNING = "This was a quick run with small workloads: its figures mean nothing."
BEGIN, END = "<!-- begin: written by make bench -->", "<!-- end: written by make bench -->"


@dataclass(frozen=True)
class Figures:
    """The results, the plot points and the parameters of a benchmark run."""

    results: list[Result]
    points: list[PlotPoint]
    runs: int
    minutes: float
    is_quick: bool

    @classmethod
    def of(cls, bench: Bench, minutes: float) -> Figures:
        """Collect the figures of a benchmark run."""
        return cls(bench.results, bench.points, bench.runs, minutes, is_quick=bench.scale != Scale())

    def as_data(self, system: dict[str, str]) -> dict[str, Any]:
        """Return the figures as JSON data, together with a description of the machine."""
        return {
            "system": system,
            "is_quick": self.is_quick,
            "runs": self.runs,
            "minutes": round(self.minutes, 1),
            "results": [result.as_data() for result in self.results],
            "points": [asdict(point) for point in self.points],
        }


def write(figures: Figures, checkout: Path) -> None:
    """Write the data and the plot, and replace the table in docs/performance.md."""
    system = _system()
    for path in (_DATA, _PLOT):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
    (checkout / _DATA).write_text(json.dumps(figures.as_data(system), indent=1, ensure_ascii=False) + "\n", "utf-8")
    # Importing Matplotlib takes seconds, which only the plot needs.
    from benchmarks import plot

    plot.write(figures.points, checkout / _PLOT)
    page = checkout / _PAGE
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{_PAGE} has no table markers: {BEGIN} … {END}")
    page.write_text(f"{before}{begin}\n\n{wrapped(_text(figures, system))}\n\n{end}{after}", "utf-8")


def _text(figures: Figures, system: dict[str, str]) -> str:
    system_text = ", ".join(f"{name} {text}" for name, text in system.items())
    warning = f"**{QUICK_WARNING}**\n\n" if figures.is_quick else ""
    return (
        f"{warning}Measured in {figures.minutes:.0f} minutes with {system_text}. Medians of {figures.runs} runs,\n"
        "one less for slow rows; the fastest and the slowest run are in parentheses.\n\n"
        f"{table.markdown(figures.results)}"
    )


def _system() -> dict[str, str]:
    curl = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {
        "processors": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / GIB:.0f} GiB",
        "Linux": platform.release().partition("-")[0],
        "Python": platform.python_version(),
        "MLflow": version("mlflow-skinny"),
        "Model Gate": version("model-gate"),
        "curl": curl,
        "date": datetime.now(UTC).date().isoformat(),
    }
