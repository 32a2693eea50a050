"""One run of the benchmarks: the servers, the models on them, and the results of all rows."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks import models
from benchmarks.environment import MIB, ROOT, Scale, clean_environment
from benchmarks.link import Link, Shape, link_to
from benchmarks.measure import (
    Command,
    PeakUse,
    ProcessorTime,
    measure_in_turns,
    measure_peaks,
    measure_processors,
    measure_seconds,
)
from benchmarks.programs import Programs
from benchmarks.result import Result, amount, median
from benchmarks.servers import PlacedModel, Server

_K = TypeVar("_K")

_WARM_UP_IMPORTS = "import mlflow.server.fastapi_app, mlflow.artifacts, mlflow.cli"
# Disk space to leave free for other processes.
_SPARE_DISK = 4 * 1024 * MIB


@dataclass(frozen=True)
class PlotPoint:
    """A point of a plotted curve: seconds at a size in bytes or at a number of files."""

    curve: str
    program: str
    x: float
    seconds: float


@dataclass(frozen=True)
class ResourceUse:
    """Peak memory and peak disk use of Model Gate, and the number of bytes that it received."""

    peaks: PeakUse
    received: int

    @classmethod
    def of(cls, peaks: PeakUse, links: Sequence[Link]) -> ResourceUse:
        """Combine the peaks of a command with the bytes that it received through forwarders."""
        return cls(peaks, sum(link.received() for link in links))

    @property
    def notes(self) -> dict[str, str]:
        """The values as texts for the notes of a result."""
        return {
            "received": amount(self.received, "B"),
            "peak memory": amount(self.peaks.memory, "B"),
            "peak disk": amount(self.peaks.disk, "B"),
        }


@dataclass(frozen=True)
class Timings:
    """Times of three programs that ran in turns: Model Gate, the floor and the plain way.

    The floor is the fastest known tools for the same work. The plain way is a download with MLflow and a comparison.

    Attributes:
        product: Seconds of each run of Model Gate.
        floor: Seconds of each run of the floor.
        baseline: Seconds of the plain way, which is slow and runs once; empty if it was not measured.
        processors: Processor time of the last run, by program.
    """

    product: list[float]
    floor: list[float]
    baseline: list[float]
    processors: Mapping[str, ProcessorTime]


@dataclass
class Bench:
    """One run of the benchmarks.

    Attributes:
        directory: Directory for all files of the run.
        start_servers: Starts the two tracking servers, when the first row needs them.
        scale: Amount of work in each row.
        runs: Number of runs of Model Gate and of the floor. Slow rows run once less, but at least twice.
        report: Receives each result as soon as it is measured.
        seconds: Duration of each row that was measured.
    """

    directory: Path
    start_servers: Callable[[], tuple[Server, Server]]
    scale: Scale
    runs: int
    report: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)
    points: list[PlotPoint] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    _servers: tuple[Server, Server] | None = None
    _start_up: float | None = None
    _plain_small: float | None = None
    _models: int = 0

    def __post_init__(self) -> None:
        (self.directory / "programs").mkdir()
        self.programs = Programs(self.directory / "programs")

    @property
    def servers(self) -> tuple[Server, Server]:
        """The two tracking servers."""
        if self._servers is None:
            self._servers = self.start_servers()
        return self._servers

    def add(self, result: Result) -> None:
        """Store a result and report it."""
        self.results.append(result)
        self.report(result)

    @contextmanager
    def model(self, make: models.Make, make_other: models.Make | None = None) -> Iterator[PlacedModel]:
        """Place a model on both servers, and delete it at the end of the context.

        Args:
            make: Creates the model.
            make_other: Creates a different model for the second server; None to place a copy there.
        """
        self._models += 1
        name = f"Model_{self._models}"
        first, second = self.servers

        def copy(directory: Path) -> None:
            # Copying is faster than creating the model again, and keeps sparse files sparse.
            subprocess.run(["cp", "-r", "--sparse=auto", f"{source}/.", str(directory)], check=True)

        source = first.place(name, make)
        placed = PlacedModel(name, self.servers, (source, second.place(name, make_other or copy)))
        try:
            yield placed
        finally:
            placed.remove()

    @contextmanager
    def subdirectory(self) -> Iterator[Path]:
        """Create a directory, and delete it at the end of the context."""
        directory = Path(tempfile.mkdtemp(dir=self.directory))
        try:
            yield directory
        finally:
            shutil.rmtree(directory)

    @contextmanager
    def links(self, shape: Shape) -> Iterator[tuple[Link, Link]]:
        """Run a forwarder to each server."""
        first, second = self.servers
        with link_to(first.url, shape) as left, link_to(second.url, shape) as right:
            yield left, right

    @property
    def long_runs(self) -> int:
        """Number of runs of a slow row."""
        return min(self.runs, max(2, self.runs - 1))

    def time_in_turns(
        self,
        product: Command,
        floor: Command,
        plain: Command | None = None,
        runs: int | None = None,
        processes: Sequence[int] = (),
    ) -> Timings:
        """Measure the times of Model Gate and of the floor in turns, and then the time of the plain way once.

        `plain` is None if the plain way is not measured. `runs` replaces the number of runs of the benchmarks.
        `processes` are the servers; by default, they are the tracking servers, if a row has needed them.
        """
        servers = processes or [server.process for server in self._servers or ()]
        measured = measure_in_turns(
            {"floor": floor, "product": product},
            runs or self.runs,
            lambda command: measure_processors(command, servers),
        )
        times = {name: [entry.seconds for entry in entries] for name, entries in measured.items()}
        last = {name: entries[-1] for name, entries in measured.items()}
        return Timings(times["product"], times["floor"], [measure_seconds(plain)] if plain else [], last)

    def best(self, commands: dict[_K, Command]) -> tuple[_K, dict[_K, float]]:
        """Run each command once. Return the key of the fastest command, and the seconds of each command by its key."""
        times = {number: measure_seconds(command) for number, command in commands.items()}
        return min(times, key=lambda number: times[number]), times

    def measure_resources(
        self, model: PlacedModel, links: Sequence[Link] = (), *options: str, exit_code: int = 0
    ) -> ResourceUse:
        """Measure peak memory, peak disk use and received bytes of a `compare` of the models on both servers.

        The compare uses the forwarders in `links`. If there are none, it uses forwarders that only count bytes.
        """
        if not links:
            with self.links(Shape()) as counting:
                return self.measure_resources(model, counting, *options, exit_code=exit_code)
        for link in links:
            link.received()
        urls = [link.url for link in links]
        peaks = measure_peaks(self.programs.compare(model, urls, *options, exit_code=exit_code))
        return ResourceUse.of(peaks, links)

    def start_up(self) -> float:
        """Return the median seconds of a compare of two small models. Every compare takes at least this time."""
        if self._start_up is None:
            with self.model(models.small_files(3)) as small:
                self._start_up = median([measure_seconds(self.programs.compare(small)) for _ in range(self.runs)])
        return self._start_up

    def reuse_start_up(self, measured: float) -> None:
        """Make `start_up` return the value that another row measured."""
        self._start_up = measured

    def plain_small(self) -> float:
        """Return the seconds that the plain way (MLflow and `filecmp`) takes for two models with many small files."""
        if self._plain_small is None:
            with self.model(models.small_files(self.scale.small_files)) as model:
                self._plain_small = measure_seconds(self.programs.plain(model))
        return self._plain_small

    def reuse_plain_small(self, measured: float) -> None:
        """Make `plain_small` return the value that another row measured."""
        self._plain_small = measured

    def fitting(self, size: int, copies: int) -> int:
        """Return `size` if `copies` files of this size fit on the disk, otherwise the largest size in MiB that fits."""
        free = max(MIB, shutil.disk_usage(self.directory).free - _SPARE_DISK)
        return min(size, free // copies // MIB * MIB)

    def plot(self, curve: str, x: float, timings: Timings) -> None:
        """Add a point for each program to a curve of the plot."""
        times = {"floor": timings.floor, "product": timings.product, "baseline": timings.baseline}
        self.points += [PlotPoint(curve, program, x, median(values)) for program, values in times.items() if values]


def warm_up() -> None:
    """Import the modules of all programs once, so that the first measured import is not slower than later ones."""
    commands = [[sys.executable, "-m", "compileall", "-q", str(ROOT / name)] for name in ("src", "benchmarks")]
    # One process compiles the modules of the servers and of the plain way, before many processes import them at once.
    commands += [[sys.executable, "-W", "ignore", "-c", _WARM_UP_IMPORTS]]
    for command in commands:
        subprocess.run(command, env=clean_environment(Path(tempfile.gettempdir())), check=True)
