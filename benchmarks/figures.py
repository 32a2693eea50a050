"""The results of one benchmark run: write them as JSON, as a plot, and as a table in docs/performance.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
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
from benchmarks.rows import MAIN, PARTS
from benchmarks.wrap import wrapped

_PAGE = Path("docs/performance.md")
_DATA = Path("docs/performance.json")
_PLOT = Path("docs/images/performance.svg")
QUICK_WARNING = "This was a quick run with small workloads: its figures mean nothing."


@dataclass(frozen=True)
class Figures:
    """The results of one part of the page, the plot points and the parameters of the benchmark run.

    Attributes:
        load: Load average of the last minute before the run, in processes. 0 is a quiet machine.
    """

    results: list[Result]
    points: list[PlotPoint]
    runs: int
    minutes: float
    load: float
    is_quick: bool

    def as_data(self, system: dict[str, str]) -> dict[str, Any]:
        """Return the figures as JSON data, together with a description of the machine."""
        return {
            "system": system,
            "is_quick": self.is_quick,
            "runs": self.runs,
            "minutes": round(self.minutes, 1),
            "load": round(self.load, 2),
            "results": [result.as_data() for result in self.results],
            "points": [asdict(point) for point in self.points],
        }


def by_part(bench: Bench, load: float) -> dict[str, Figures]:
    """Return the figures of a benchmark run by part of the page. Parts without a result are left out."""
    found = {}
    for part, rows in PARTS.items():
        results = [result for result in bench.results if result.row in rows]
        minutes = sum(bench.seconds.get(row, 0.0) for row in rows) / 60
        points = bench.points if part == MAIN else []
        if results:
            found[part] = Figures(results, points, bench.runs, minutes, load, is_quick=bench.scale != Scale())
    return found


def markers(part: str) -> tuple[str, str]:
    """Return the lines before and after a part of the page."""
    command = "make bench" if part == MAIN else f"make bench PARTS={part}"
    return f"<!-- begin: written by {command} -->", f"<!-- end: written by {command} -->"


def write(figures: Mapping[str, Figures], checkout: Path) -> None:
    """Write the data and the plot, and replace the tables of these parts in docs/performance.md."""
    for path in (_DATA, _PLOT):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
    system, page, data = _system(), checkout / _PAGE, checkout / _DATA
    parts = json.loads(data.read_text("utf-8")) if data.exists() else {}
    parts |= {part: each.as_data(system) for part, each in figures.items()}
    data.write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    text = page.read_text("utf-8")
    for part, each in figures.items():
        text = _with_table(text, part, wrapped(_text(each, system)))
    page.write_text(text, "utf-8")
    if MAIN in figures:
        # Importing Matplotlib takes seconds, which only the plot needs.
        from benchmarks import plot

        plot.write(figures[MAIN].points, checkout / _PLOT)


def _with_table(page: str, part: str, table_text: str) -> str:
    begin, end = markers(part)
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{_PAGE} has no table markers: {begin} … {end}")
    return f"{before}{begin}\n\n{table_text}\n\n{end}{after}"


def _text(figures: Figures, system: dict[str, str]) -> str:
    system_text = ", ".join(f"{name} {text}" for name, text in system.items())
    warning = f"**{QUICK_WARNING}**\n\n" if figures.is_quick else ""
    return (
        f"{warning}Measured in {figures.minutes:.0f} minutes with {system_text}; load average {figures.load:.2f} before"
        f" the run. Medians of {figures.runs} runs,\n"
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
