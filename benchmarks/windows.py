"""Rows for compares of one large file, which is read in windows and never stored whole."""

from __future__ import annotations

from benchmarks import models
from benchmarks.bench import Bench, Timings
from benchmarks.environment import GIB, MIB
from benchmarks.measure import PeakUse, measure_peaks, measure_seconds
from benchmarks.notes import work_notes
from benchmarks.programs import Part
from benchmarks.result import Result, amount, median

_FILE = "model.bin"
# Limits of Model Gate, whatever the size of the file.
_MAX_DISK, _MAX_MEMORY = 512 * MIB, 300 * MIB
# Files of at least this size are compared once.
_ONCE = 16 * GIB


def windows(bench: Bench) -> None:
    """Measure time, disk and memory of compares of one sparse file of several sizes, against `curl` and `cmp`."""
    for size in bench.scale.stored_windows:
        _measure(bench, size, is_streamed=False)
    for size in bench.scale.streamed_windows:
        _measure(bench, size, is_streamed=True)


def _measure(bench: Bench, size: int, *, is_streamed: bool) -> None:
    programs = bench.programs
    with bench.model(models.sparse_file(size)) as model:
        floor = programs.curl_stream(model, _FILE) if is_streamed else programs.curl(model, 2, parts=[Part(_FILE)])
        compare = programs.compare(model)
        if size < _ONCE:
            timings = bench.time_in_turns(compare, floor, runs=bench.long_runs)
            peaks = measure_peaks(compare)
            notes = work_notes(bench.start_up(), timings)
        else:
            # The time of this compare includes the measurement of its peaks.
            peaks = measure_peaks(compare)
            timings = Timings([peaks.seconds], [measure_seconds(floor)], [], {})
            notes = {"runs": "one, in which the peaks were measured too"}
    work = f"{amount(size, 'B')} in one sparse file"
    bench.add(
        Result(
            "windows",
            f"compare of {work}, identical",
            "`cmp` of two streams of `curl`" if is_streamed else "`curl` of both at once, then `cmp`",
            "" if is_streamed else "≤ 1.0 ×",
            "s",
            timings.product,
            timings.floor,
            limit=None if is_streamed else median(timings.floor),
            notes=notes,
        )
    )
    _add_peaks(bench, work, peaks)


def _add_peaks(bench: Bench, work: str, peaks: PeakUse) -> None:
    for name, value, limit in (("disk", peaks.disk, _MAX_DISK), ("memory", peaks.memory, _MAX_MEMORY)):
        goal = f"≤ {amount(limit, 'B')}"
        bench.add(Result("windows", f"peak {name}, {work}", "", goal, "B", [value], limit=limit))
