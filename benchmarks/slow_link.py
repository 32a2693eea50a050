"""Rows for compares over a slow link: 50 ms round-trip time and 20 MB/s per connection."""

from __future__ import annotations

from benchmarks import models
from benchmarks.bench import Bench, Timings
from benchmarks.link import Shape
from benchmarks.loopback import CONNECTIONS
from benchmarks.notes import tried_notes, work_notes
from benchmarks.programs import ranges_of
from benchmarks.result import Result, amount, median

# Numbers of ranges and of connections to try for the floor. Smaller numbers are always slower on this link.
_RANGES = (16, 32)
_CONNECTIONS = tuple(number for number in CONNECTIONS if number >= 16)
SLOW_LINK = Shape(latency=0.05, rate=20e6)


def link_file(bench: Bench) -> None:
    """Measure a compare of one file over a slow link, against the best of `curl` with ranges."""
    programs, size = bench.programs, bench.scale.link_file
    with bench.model(models.one_file(size)) as model, bench.links(SLOW_LINK) as links:
        urls = [link.url for link in links]
        floors = {
            # Each range needs one connection to each server.
            pieces: programs.curl(model, 2 * pieces, urls, ranges_of("model.bin", size, pieces))
            for pieces in _RANGES
        }
        best, tried = bench.best(floors)
        timings = bench.time_in_turns(programs.compare(model, urls), floors[best], programs.plain(model, urls))
        notes = bench.measure_resources(model, links).notes
    _add_result(
        bench,
        "link-file",
        f"compare of {amount(size, 'B')} in one file",
        f"`curl` of {best} ranges of each at once, then `diff -r`",
        timings,
        tried_notes("seconds by ranges", tried) | notes,
    )


def link_files(bench: Bench) -> None:
    """Measure a compare of small files over a slow link, against `curl` with the best number of connections."""
    programs, number = bench.programs, bench.scale.link_files
    with bench.model(models.small_files(number)) as model, bench.links(SLOW_LINK) as links:
        urls = [link.url for link in links]
        best, tried = bench.best({each: programs.curl(model, each, urls) for each in _CONNECTIONS})
        timings = bench.time_in_turns(
            programs.compare(model, urls), programs.curl(model, best, urls), programs.plain(model, urls)
        )
        notes = bench.measure_resources(model, links).notes
    _add_result(
        bench,
        "link-files",
        f"compare of {number:,} files of 4 KiB",
        f"`curl --parallel-max {best}` of both at once, then `diff -r`",
        timings,
        tried_notes("seconds by connections", tried) | notes,
    )


def _add_result(bench: Bench, row: str, work: str, floor_is: str, timings: Timings, notes: dict[str, str]) -> None:
    bench.add(
        Result(
            row,
            f"{work}, 50 ms and 20 MB/s a connection",
            floor_is,
            "≤ 1.15 ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            1.15 * median(timings.floor),
            work_notes(bench.start_up(), timings) | notes,
        )
    )
