"""Rows that compare models on the two servers over loopback."""

from __future__ import annotations

from benchmarks import models
from benchmarks.bench import Bench
from benchmarks.link import Shape
from benchmarks.measure import Command, in_turns, seconds
from benchmarks.notes import tried_notes, work_notes
from benchmarks.programs import Part, files_of
from benchmarks.result import Result, amount, median
from benchmarks.servers import PlacedModel

CONNECTIONS = (4, 8, 16, 32, 64)


def start_up(bench: Bench) -> None:
    """A compare of two small models, against a process that imports MLflow and asks one server."""
    programs = bench.programs
    with bench.model(models.small_files(3)) as model:
        calls = [programs.client_call(model, number) for number in (0, 1)]
        commands = {
            "floor": programs.one(calls[0]),
            "product": programs.compare(model),
            "both": programs.side_by_side(*calls),
        }
        # More runs than of the others, since these are short.
        times = in_turns(commands, bench.runs + 1, seconds)
        baseline = [seconds(programs.plain(model))]
    product, floor = times["product"], times["floor"]
    bench.take_start_up(median(product))
    bench.add(
        Result(
            "start-up",
            "compare of two models of 4 small files",
            "`import mlflow` and an `MlflowClient` call, one process",
            "≤ 1.1 ×",
            "s",
            product,
            floor,
            baseline,
            1.1 * median(floor),
            {
                "two such processes side by side": amount(median(times["both"]), "s"),
                "against those": f"{median(product) / median(times['both']):.2f} ×",
            },
        )
    )


def one_file(bench: Bench) -> None:
    """A compare of one large file, against `curl` and `cmp`."""
    size = bench.scale.one_file
    for smaller in bench.scale.curve_sizes:
        with bench.model(models.one_file(smaller)) as model:
            bench.point("size", smaller, bench.race(*_one_file_programs(bench, model), runs=1))
    with bench.model(models.one_file(size)) as model:
        race = bench.race(*_one_file_programs(bench, model), runs=bench.long_runs)
        notes = bench.needs(model).notes
    bench.point("size", size, race)
    bench.add(
        Result(
            "one-file",
            f"compare of {amount(size, 'B')} in one file, identical",
            "`curl` of both at once, then `cmp`",
            "≤ 1.15 ×",
            "s",
            race.product,
            race.floor,
            race.baseline,
            1.15 * median(race.floor),
            work_notes(bench.start_up(), race) | notes,
        )
    )


def _one_file_programs(bench: Bench, model: PlacedModel) -> tuple[Command, Command, Command]:
    programs = bench.programs
    floor = programs.curl(model, 2, parts=[Part("model.bin")])
    return programs.compare(model), floor, programs.plain(model)


def small_files(bench: Bench) -> None:
    """A compare of many small files, against `curl` with the best number of connections and `diff -r`."""
    programs, number = bench.programs, bench.scale.small_files
    with bench.model(models.small_files(number)) as model:
        # Every eighth file tells which number of connections is best.
        some = [Part(path) for path in files_of(model.directories[0])[::8]]
        best, tried = bench.best({each: programs.curl(model, each, parts=some) for each in CONNECTIONS})
        race = bench.race(programs.compare(model), programs.curl(model, best), programs.plain(model), bench.long_runs)
        bench.point("count", number, race)
        bench.take_plain_small(race.baseline[0])
        notes = bench.needs(model).notes
    for each in bench.scale.curve_counts:
        with bench.model(models.small_files(each)) as model:
            race_at = bench.race(programs.compare(model), programs.curl(model, best), programs.plain(model), 1)
            bench.point("count", each, race_at)
    bench.add(
        Result(
            "small-files",
            f"compare of {number:,} files of 4 KiB, identical",
            f"`curl --parallel-max {best}` of both at once, then `diff -r`",
            "≤ 1.0 ×",
            "s",
            race.product,
            race.floor,
            race.baseline,
            median(race.floor),
            work_notes(bench.start_up(), race) | tried_notes("an eighth of the files, by connections", tried) | notes,
        )
    )


def sizes_differ(bench: Bench) -> None:
    """A compare that the listings decide, against fetching these, beyond the time that any compare takes to start."""
    programs, number = bench.programs, bench.scale.small_files
    other = models.small_files(number, longer=100)
    with bench.model(models.small_files(number), other) as model, bench.model(models.small_files(3)) as small:
        compare = programs.compare(model, exit_code=1)
        commands = {"floor": programs.listing(model), "product": compare, "start": programs.compare(small)}
        times = in_turns(commands, bench.runs, seconds)
        needed = bench.needs(model, exit_code=1)
        with bench.links(Shape()) as links:
            seconds(programs.listing(model, [link.url for link in links]))
            listed = sum(link.received() for link in links)
    start = median(times["start"])
    bench.add(
        Result(
            "sizes-differ",
            f"compare of {number:,} files of which one has another size",
            "`curl` of the listings of both",
            "≤ start-up + 1.2 ×",
            "s",
            times["product"],
            times["floor"],
            # The plain way lists nothing beforehand, and so takes as long as for equal files.
            [bench.plain_small()],
            start + 1.2 * median(times["floor"]),
            needed.notes
            | {
                "start-up": amount(start, "s"),
                "listings": amount(listed, "B"),
                "received beside the listings": amount(needed.received - listed, "B"),
            },
        )
    )


def both_models(bench: Bench) -> None:
    """A compare of run models and registry models, which are the same files here, against one of run models only."""
    programs, size = bench.programs, bench.scale.mixed_file
    with bench.model(models.mixed(size, 100)) as model:
        only = programs.compare(model, (), "--no-compare-reg-models")
        # Both models of a version are downloaded, though they are the same files.
        race = bench.race(programs.compare(model), only, programs.twice(programs.plain(model)), bench.runs)
        notes = bench.needs(model).notes
    bench.add(
        Result(
            "both-models",
            f"compare of run and registry models, {amount(size, 'B')} and 100 small files",
            "the same, run models only",
            "≤ 1.05 ×",
            "s",
            race.product,
            race.floor,
            race.baseline,
            1.05 * median(race.floor),
            notes,
        )
    )
