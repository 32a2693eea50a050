"""What the rows share: the servers, the scratch directory, the number of runs, and what comes of each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import models
from benchmarks.link import Link, Shape, link_to
from benchmarks.measure import Busy, Command, Watched, busy, in_turns, seconds, watch
from benchmarks.programs import Programs
from benchmarks.result import Result, amount, median
from benchmarks.servers import PlacedModel, Server
from benchmarks.surroundings import MIB, ROOT, Scale, clean_environment

_IMPORTED = "import mlflow.server.fastapi_app, mlflow.artifacts, mlflow.cli"
# More than this beside what a run needs, or the disk is full for others too.
_SPARE_DISK = 4 * 1024 * MIB


@dataclass(frozen=True)
class Point:
    """A point of a curve of the plot: seconds at a size in bytes, or at a number of files."""

    curve: str
    program: str
    x: float
    seconds: float


@dataclass(frozen=True)
class Needs:
    """What a watched run needed, and the bytes that it received."""

    watched: Watched
    received: int

    @property
    def notes(self) -> dict[str, str]:
        """The same for people."""
        return {
            "received": amount(self.received, "B"),
            "peak memory": amount(self.watched.memory, "B"),
            "peak disk": amount(self.watched.disk, "B"),
        }


@dataclass(frozen=True)
class Race:
    """What a product, its floor and the plain way took, run in turns.

    Attributes:
        product: The seconds of each run.
        floor: The same of the floor.
        baseline: The same of the plain way, which takes long and is run once; empty if there is none.
        busy: What processors did in the last run, by program.
    """

    product: list[float]
    floor: list[float]
    baseline: list[float]
    busy: Mapping[str, Busy]


@dataclass
class Bench:
    """One run of the benchmarks.

    Attributes:
        directory: All that is made is below it.
        servers: The two tracking servers.
        scale: How much work there is.
        runs: How often a product and its floor are run; what takes long, once less, but twice at least.
        tell: Given each result when it is there.
    """

    directory: Path
    servers: tuple[Server, Server]
    scale: Scale
    runs: int
    tell: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    _start_up: float | None = None
    _plain_small: float | None = None
    _models: int = 0

    def __post_init__(self) -> None:
        (self.directory / "programs").mkdir()
        self.programs = Programs(self.directory / "programs")

    def add(self, result: Result) -> None:
        """Keep a result and show it."""
        self.results.append(result)
        self.tell(result)

    @contextmanager
    def model(self, make: models.Make, make_other: models.Make | None = None) -> Iterator[PlacedModel]:
        """A model on both servers, for as long as it is needed; the other server's may be made otherwise."""
        self._models += 1
        name = f"Model_{self._models}"
        first, second = self.servers

        def copy(directory: Path) -> None:
            # A copy keeps holes, and is made faster than the model.
            subprocess.run(["cp", "-r", "--sparse=auto", f"{source}/.", str(directory)], check=True)

        source = first.place(name, make)
        placed = PlacedModel(name, self.servers, (source, second.place(name, make_other or copy)))
        try:
            yield placed
        finally:
            placed.remove()

    @contextmanager
    def links(self, shape: Shape) -> Iterator[tuple[Link, Link]]:
        """A forwarder to each server."""
        first, second = self.servers
        with link_to(first.url, shape) as left, link_to(second.url, shape) as right:
            yield left, right

    @property
    def long_runs(self) -> int:
        """How often what takes long is run."""
        return min(self.runs, max(2, self.runs - 1))

    def race(self, product: Command, floor: Command, plain: Command | None = None, runs: int | None = None) -> Race:
        """The product and its floor in turns, and the plain way, which takes long, once."""
        servers = [server.process for server in self.servers]
        did = in_turns({"floor": floor, "product": product}, runs or self.runs, lambda command: busy(command, servers))
        times = {name: [each.seconds for each in taken] for name, taken in did.items()}
        last = {name: taken[-1] for name, taken in did.items()}
        return Race(times["product"], times["floor"], [seconds(plain)] if plain else [], last)

    def best(self, commands: dict[int, Command]) -> tuple[int, dict[int, float]]:
        """The number whose command is the fastest, and the seconds of all."""
        times = {number: seconds(command) for number, command in commands.items()}
        return min(times, key=lambda number: times[number]), times

    def needs(self, model: PlacedModel, links: Sequence[Link] = (), *, exit_code: int = 0) -> Needs:
        """What a compare of the model needs, watched; through forwarders that count, unless there are links."""
        if not links:
            with self.links(Shape()) as counting:
                return self.needs(model, counting, exit_code=exit_code)
        for link in links:
            link.received()
        watched = watch(self.programs.compare(model, [link.url for link in links], exit_code=exit_code))
        return Needs(watched, sum(link.received() for link in links))

    def start_up(self) -> float:
        """The median time of a compare of two small models: what every compare takes before it does anything."""
        if self._start_up is None:
            with self.model(models.small_files(3)) as small:
                self._start_up = median([seconds(self.programs.compare(small)) for _ in range(self.runs)])
        return self._start_up

    def take_start_up(self, measured: float) -> None:
        """Use what another row measured as `start_up`."""
        self._start_up = measured

    def plain_small(self) -> float:
        """The time of the plain way for the model of small files."""
        if self._plain_small is None:
            with self.model(models.small_files(self.scale.small_files)) as model:
                self._plain_small = seconds(self.programs.plain(model))
        return self._plain_small

    def take_plain_small(self, measured: float) -> None:
        """Use what another row measured as `plain_small`."""
        self._plain_small = measured

    def fitting(self, size: int, copies: int) -> int:
        """`size`, or what the disk has room for if that is less, in whole MiB."""
        room = max(MIB, shutil.disk_usage(self.directory).free - _SPARE_DISK)
        return min(size, room // copies // MIB * MIB)

    def point(self, curve: str, x: float, race: Race) -> None:
        """Enter times into a curve of the plot."""
        times = {"floor": race.floor, "product": race.product, "baseline": race.baseline}
        self.points += [Point(curve, program, x, median(taken)) for program, taken in times.items() if taken]


def warm_up() -> None:
    """Have Python files compiled, and read once: the first to import them would pay for all."""
    commands = [[sys.executable, "-m", "compileall", "-q", str(ROOT / name)] for name in ("src", "benchmarks")]
    # What the servers import, and what the plain way does: by one process, before many do at once.
    commands += [
        [sys.executable, "-W", "ignore", "-c", "import mlflow.server.fastapi_app, mlflow.artifacts, mlflow.cli"]
    ]
    for command in commands:
        subprocess.run(command, env=clean_environment(Path(tempfile.gettempdir())), check=True)
