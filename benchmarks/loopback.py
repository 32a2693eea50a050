"""Rows for compares of models on two servers over loopback."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import models
from benchmarks.bench import Bench
from benchmarks.link import Shape
from benchmarks.measure import Command, measure_in_turns, measure_peaks, measure_seconds
from benchmarks.notes import tried_notes, work_notes
from benchmarks.programs import Part, files_of
from benchmarks.result import Result, amount, median
from benchmarks.servers import PlacedModel

CONNECTIONS = (4, 8, 16, 32, 64)


def start_up(bench: Bench) -> None:
    """Measure a compare of two small models, against a process that imports MLflow and sends one request."""
    programs = bench.programs
    with bench.model(models.small_files(3)) as model:
        calls = [programs.client_call(model, number) for number in (0, 1)]
        commands = {
            "floor": programs.command(calls[0]),
            "product": programs.compare(model),
            "both": programs.side_by_side(*calls),
        }
        # These programs are fast, so they run once more than the programs of other rows.
        times = measure_in_turns(commands, bench.runs + 1, measure_seconds)
        baseline = [measure_seconds(programs.plain(model))]
    product, floor = times["product"], times["floor"]
    bench.reuse_start_up(median(product))
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
    """Measure compares of one large file, against `curl` and `cmp`."""
    for smaller in bench.scale.curve_sizes:
        with bench.model(models.one_file(smaller)) as model:
            bench.plot("size", smaller, bench.time_in_turns(*_one_file_programs(bench, model), runs=1))
    for size in bench.scale.one_file_sizes:
        _add_one_file(bench, size)


def _add_one_file(bench: Bench, size: int) -> None:
    with bench.model(models.one_file(size)) as model:
        timings = bench.time_in_turns(*_one_file_programs(bench, model), runs=bench.long_runs)
        notes = bench.measure_resources(model).notes
    bench.plot("size", size, timings)
    bench.add(
        Result(
            "one-file",
            f"compare of {amount(size, 'B')} in one file, identical",
            "`curl` of both at once, then `cmp`",
            "≤ 1.0 ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            median(timings.floor),
            work_notes(bench.start_up(), timings) | notes,
        )
    )


def _one_file_programs(bench: Bench, model: PlacedModel) -> tuple[Command, Command, Command]:
    programs = bench.programs
    floor = programs.curl(model, 2, parts=[Part("model.bin")])
    return programs.compare(model), floor, programs.plain(model)


def small_files(bench: Bench) -> None:
    """Measure a compare of many small files, against `curl` with the best number of connections and `diff -r`."""
    programs, number = bench.programs, bench.scale.small_files
    with bench.model(models.small_files(number)) as model:
        # Every eighth file is enough to find the best number of connections.
        sample = [Part(path) for path in files_of(model.directories[0])[::8]]
        best, tried = bench.best({each: programs.curl(model, each, parts=sample) for each in CONNECTIONS})
        timings = bench.time_in_turns(
            programs.compare(model), programs.curl(model, best), programs.plain(model), bench.long_runs
        )
        bench.plot("count", number, timings)
        bench.reuse_plain_small(timings.baseline[0])
        notes = bench.measure_resources(model).notes
    for each in bench.scale.curve_counts:
        with bench.model(models.small_files(each)) as model:
            curve_timings = bench.time_in_turns(
                programs.compare(model), programs.curl(model, best), programs.plain(model), 1
            )
            bench.plot("count", each, curve_timings)
    bench.add(
        Result(
            "small-files",
            f"compare of {number:,} files of 4 KiB, identical",
            f"`curl --parallel-max {best}` of both at once, then `diff -r`",
            "≤ 1.0 ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            median(timings.floor),
            work_notes(bench.start_up(), timings)
            | tried_notes("an eighth of the files, by connections", tried)
            | notes,
        )
    )


def sizes_differ(bench: Bench) -> None:
    """Measure a compare of models whose file sizes differ, against start-up plus the download of the listings.

    Without `--fail-fast`, the compare would also fetch the files of equal size.
    """
    programs, number = bench.programs, bench.scale.small_files
    other = models.small_files(number, longer=100)
    with bench.model(models.small_files(number), other) as model, bench.model(models.small_files(3)) as small:
        compare = programs.compare(model, (), "--fail-fast", exit_code=1)
        commands = {"floor": programs.listing(model), "product": compare, "start": programs.compare(small)}
        times = measure_in_turns(commands, bench.runs, measure_seconds)
        resources = bench.measure_resources(model, (), "--fail-fast", exit_code=1)
        with bench.links(Shape()) as links:
            measure_seconds(programs.listing(model, [link.url for link in links]))
            listed = sum(link.received() for link in links)
    start = median(times["start"])
    bench.add(
        Result(
            "sizes-differ",
            f"compare --fail-fast of {number:,} files of which one has another size",
            "`curl` of the listings of both",
            "≤ start-up + 1.2 ×",
            "s",
            times["product"],
            times["floor"],
            # The plain way does not compare listings, so it takes as long as for equal files.
            [bench.plain_small()],
            start + 1.2 * median(times["floor"]),
            resources.notes
            | {
                "start-up": amount(start, "s"),
                "listings": amount(listed, "B"),
                "received beside the listings": amount(resources.received - listed, "B"),
            },
        )
    )


def both_models(bench: Bench) -> None:
    """Measure a compare of run models and registry models (the same files), against a compare of run models only."""
    programs, size = bench.programs, bench.scale.mixed_file
    with bench.model(models.mixed(size, 100)) as model:
        only = programs.compare(model, (), "--no-compare-reg-models")
        # The plain way downloads both models of each version.
        timings = bench.time_in_turns(programs.compare(model), only, programs.twice(programs.plain(model)), bench.runs)
        notes = bench.measure_resources(model).notes
    bench.add(
        Result(
            "both-models",
            f"compare of run and registry models, {amount(size, 'B')} and 100 small files",
            "the same, run models only",
            "≤ 1.05 ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            1.05 * median(timings.floor),
            notes,
        )
    )


def many_gates(bench: Bench) -> None:
    """Measure runs of many gates of small models, against a compare of one of them."""
    programs, (first, *numbers) = bench.programs, bench.scale.many_gates
    notes: dict[str, str] = {}
    with ExitStack() as stack:
        placed = [stack.enter_context(bench.model(models.small_files(3))) for _ in range(max(first, *numbers))]
        timings = bench.time_in_turns(programs.run(placed[:first]), programs.compare(placed[0]))
        notes[f"peak memory of {first} gates"] = amount(measure_peaks(programs.run(placed[:first])).memory, "B")
        for number in numbers:
            # One run measures both, because it takes minutes.
            peaks = measure_peaks(programs.run(placed[:number]))
            per_gate = f"{1000 * peaks.seconds / number:.0f} ms a gate"
            notes[f"{number} gates"] = f"{amount(peaks.seconds, 's')}, {per_gate}"
            notes[f"peak memory of {number} gates"] = amount(peaks.memory, "B")
    bench.add(
        Result(
            "many-gates",
            f"run of {first} gates, each a compare of two models of 4 small files",
            "one of these gates, as `model-gate compare`",
            "≤ 2 ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            2 * median(timings.floor),
            notes,
        )
    )
