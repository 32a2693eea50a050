"""Rows about this machine: disk, memory, and directories that are on it."""

from __future__ import annotations

import shutil

from benchmarks import models
from benchmarks.bench import Bench, Race
from benchmarks.measure import watch
from benchmarks.programs import importing
from benchmarks.result import Result, amount, median
from benchmarks.surroundings import MIB
from model_gate.comparison.scheduler import MAX_LARGE_PAIRS


def disk(bench: Bench) -> None:
    """The most disk that a compare has in use."""
    number, size = bench.scale.equal_files, bench.scale.equal_file
    for beside in (0, 8 * size):
        whole = number * size + beside
        with bench.model(models.equal_files(number, size, beside=beside)) as model:
            used = watch(bench.programs.compare(model)).disk
        largest = beside or size
        limit = min(2 * largest * MAX_LARGE_PAIRS, 2 * whole)
        work = f"{number} files of {amount(size, 'B')}"
        bench.add(
            Result(
                "disk",
                f"peak disk, {work}" + (f" and one of {amount(beside, 'B')}" if beside else ""),
                "",
                "< 2 × the model" if beside else f"≤ 2 × largest file × {MAX_LARGE_PAIRS} workers",
                "B",
                [used],
                baseline=[2 * whole],
                limit=limit,
                notes={"may use": amount(limit, "B"), "two models": amount(2 * whole, "B")},
            )
        )


def memory(bench: Bench) -> None:
    """The most memory of all processes, against `import mlflow` in two."""
    for size in (MIB, bench.fitting(bench.scale.memory_file, copies=2)):
        large = size > MIB
        with bench.model(models.sparse_file(size)) as model:
            floor, product = [], []
            for _ in range(1 if large else bench.runs):
                floor.append(watch(bench.programs.side_by_side(*importing(2, 1.0))).memory)
                product.append(watch(bench.programs.compare(model)))
            # For the large file it would take minutes more.
            plain = [] if large else [watch(bench.programs.plain(model)).memory]
        notes = {"beside the floor": amount(median([each.memory for each in product]) - median(floor), "B")}
        notes |= {"peak disk": amount(product[0].disk, "B"), "time": amount(product[0].seconds, "s")}
        if large and size != bench.scale.memory_file:
            notes["smaller than it should be"] = "the disk has no room for more"
        bench.add(
            Result(
                "memory",
                f"peak memory, one file of {amount(size, 'B')}",
                "`import mlflow` in two processes at once",
                "≤ floor + 64 MiB",
                "B",
                [each.memory for each in product],
                floor,
                plain,
                median(floor) + 64 * MIB,
                notes=notes,
            )
        )


def local_files(bench: Bench) -> None:
    """A diff of two directories on this machine, against `diff -rq` and Python's start."""
    largest = bench.scale.local_files
    numbers = (largest // 100, largest // 10, largest)
    races = {number: _diff_race(bench, number) for number in numbers}
    race = races[largest]
    taken = [median(races[number].product) for number in numbers]
    bench.add(
        Result(
            "local-files",
            f"diff of {largest:,} local files of 1 KiB, identical",
            "Python's start, then `diff -rq`",
            "≤ 3 ×",
            "s",
            race.product,
            race.floor,
            race.baseline,
            3 * median(race.floor),
            notes={
                "time by number of files": ", ".join(
                    f"{number:,}: {amount(each, 's')}" for number, each in zip(numbers, taken, strict=True)
                ),
                "ten times the files": f"{(taken[2] - taken[0]) / (taken[1] - taken[0]):.1f} × the time beyond that of"
                f" {numbers[0]:,} (linear: 11)",
            },
        )
    )


def _diff_race(bench: Bench, number: int) -> Race:
    roots = [bench.directory / name for name in ("left", "right")]
    for root in roots:
        root.mkdir()
        models.small_tree(root, number)
    programs = bench.programs
    race = bench.race(programs.diff(*roots), programs.diff_rq(*roots), programs.plain_diff(*roots), bench.long_runs)
    bench.point("local", number, race)
    for root in roots:
        shutil.rmtree(root)
    return race
