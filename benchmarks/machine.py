"""Rows for disk, memory and local directories."""

from __future__ import annotations

import shutil

from benchmarks import models
from benchmarks.bench import Bench, Timings
from benchmarks.environment import MIB
from benchmarks.measure import measure_peaks
from benchmarks.programs import importing
from benchmarks.result import Result, amount, median
from model_gate.comparison.job_queue import MAX_LARGE_PAIRS


def disk(bench: Bench) -> None:
    """Measure the peak disk use of a compare."""
    number, size = bench.scale.equal_files, bench.scale.equal_file
    for beside in (0, 8 * size):
        model_size = number * size + beside
        with bench.model(models.equal_files(number, size, beside=beside)) as model:
            peak = measure_peaks(bench.programs.compare(model)).disk
        largest = beside or size
        limit = min(2 * largest * MAX_LARGE_PAIRS, 2 * model_size)
        work = f"{number} files of {amount(size, 'B')}"
        bench.add(
            Result(
                "disk",
                f"peak disk, {work}" + (f" and one of {amount(beside, 'B')}" if beside else ""),
                "",
                "< 2 × the model" if beside else f"≤ 2 × largest file × {MAX_LARGE_PAIRS} workers",
                "B",
                [peak],
                baseline=[2 * model_size],
                limit=limit,
                notes={"may use": amount(limit, "B"), "two models": amount(2 * model_size, "B")},
            )
        )


def memory(bench: Bench) -> None:
    """Measure the peak memory of a compare, against two processes that import MLflow."""
    for size in (MIB, bench.fitting(bench.scale.memory_file, copies=2)):
        large = size > MIB
        with bench.model(models.sparse_file(size)) as model:
            floor, product = [], []
            for _ in range(1 if large else bench.runs):
                floor.append(measure_peaks(bench.programs.side_by_side(*importing(2, 1.0))).memory)
                product.append(measure_peaks(bench.programs.compare(model)))
            # With the large file, the plain way would take several minutes.
            plain = [] if large else [measure_peaks(bench.programs.plain(model)).memory]
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
    """Measure a diff of two local directories, against a start of Python followed by `diff -rq`."""
    largest = bench.scale.local_files
    numbers = (largest // 100, largest // 10, largest)
    timings_by_number = {number: _time_diff(bench, number) for number in numbers}
    timings = timings_by_number[largest]
    medians = [median(timings_by_number[number].product) for number in numbers]
    growth = (medians[2] - medians[0]) / (medians[1] - medians[0])
    bench.add(
        Result(
            "local-files",
            f"diff of {largest:,} local files of 1 KiB, identical",
            "Python's start, then `diff -rq`",
            "≤ 3 ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            3 * median(timings.floor),
            notes={
                "time by number of files": ", ".join(
                    f"{number:,}: {amount(seconds, 's')}" for number, seconds in zip(numbers, medians, strict=True)
                ),
                "ten times the files": f"{growth:.1f} × the time beyond that of {numbers[0]:,} (linear: 11)",
            },
        )
    )


def _time_diff(bench: Bench, number: int) -> Timings:
    roots = [bench.directory / name for name in ("left", "right")]
    for root in roots:
        root.mkdir()
        models.small_tree(root, number)
    programs = bench.programs
    timings = bench.time_in_turns(
        programs.diff(*roots), programs.diff_rq(*roots), programs.plain_diff(*roots), bench.long_runs
    )
    bench.plot("local", number, timings)
    for root in roots:
        shutil.rmtree(root)
    return timings


def seal(bench: Bench) -> None:
    """Measure a seal and its verification, against `sha256sum` on as many processors and against `model_signing`."""
    large, number = bench.scale.sealed_file, bench.scale.sealed_files
    works = {
        f"{amount(large, 'B')} in one file": models.one_file(large),
        f"{number:,} files of 4 KiB": models.small_files(number),
        f"{number:,} files of 100 KiB": models.equal_files(number, 100 * 1024),
    }
    programs = bench.programs
    for work, make in works.items():
        root = bench.directory / "sealed"
        root.mkdir()
        make(root)
        commands = {
            "seal": (programs.seal(root), programs.sign(root)),
            "verify": (programs.verify(root), programs.verify_signature(root)),
        }
        for name, (product, signing) in commands.items():
            timings = bench.time_in_turns(product, programs.sha256sum(root), signing)
            bench.add(
                Result(
                    "seal",
                    f"{name} of {work}, local; plain way: `model_signing`",
                    "`sha256sum` in as many processes as processors",
                    "≤ 1.1 ×",
                    "s",
                    timings.product,
                    timings.floor,
                    timings.baseline,
                    1.1 * median(timings.floor),
                )
            )
        shutil.rmtree(root)
