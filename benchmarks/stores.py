"""Rows for a diff of two models in one object store, without a tracking server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import models
from benchmarks.bench import Bench, ResourceUse
from benchmarks.link import Shape, link_to
from benchmarks.measure import Command, measure_peaks, measure_seconds
from benchmarks.notes import tried_notes, work_notes
from benchmarks.result import Result, amount, median
from benchmarks.slow_link import SLOW_LINK
from benchmarks.stored_model import StoredModel, store_model
from tests.support.emulators import CLOUDS, EMULATORS, Emulator, emulator

# Threads of obstore, and ranges of each large file, to try for the floor.
_NEAR_FLOORS = ((4, 1), (16, 1), (16, 8))
_FAR_FLOORS = ((32, 16), (64, 32))
_OWN_THREADS = 16


@dataclass(frozen=True)
class _Row:
    """A row of the table.

    Attributes:
        name: Name in `rows.ROWS`.
        work: Description of the models.
        floors: Threads and ranges of obstore to try.
        goal: Largest ratio to the floor.
    """

    name: str
    work: str
    floors: tuple[tuple[int, int], ...]
    goal: float


def s3(bench: Bench) -> None:
    """Measure a diff of models in S3, against obstore and `diff -r`."""
    _near(bench, "s3")


def azure(bench: Bench) -> None:
    """Measure a diff of models in Azure Blob Storage, against obstore and `diff -r`."""
    _near(bench, "azure")


def google(bench: Bench) -> None:
    """Measure a diff of models in Google Cloud Storage, against obstore and `diff -r`."""
    _near(bench, "google")


def far_s3(bench: Bench) -> None:
    """Measure a diff of models in S3 over a slow link, against obstore with the best number of ranges."""
    size, number = bench.scale.link_file, bench.scale.link_files
    work = f"one file of {amount(size, 'B')} and {number:,} of 4 KiB in S3, 50 ms and 20 MB/s a connection"
    with _running(bench, "s3") as store:
        stored = store_model(store, "model", models.mixed(size, number), bench.directory)
        small = store_model(store, "small", models.small_files(3), bench.directory)
        with link_to(store.url, SLOW_LINK) as link:
            row = _Row("far-s3", work, _FAR_FLOORS, 1.15)
            _measure(bench, row, stored.through(link.url), small.through(link.url))


def _near(bench: Bench, cloud: str) -> None:
    size, number = bench.scale.store_file, bench.scale.store_files
    work = f"two files of {amount(size, 'B')} and {number:,} of 4 KiB in {CLOUDS[cloud]} ({EMULATORS[cloud]})"
    with _running(bench, cloud) as store:
        stored = store_model(store, "model", models.mixed(size, number, large=2), bench.directory)
        small = store_model(store, "small", models.small_files(3), bench.directory)
        _measure(bench, _Row(cloud, work, _NEAR_FLOORS, 1.2), stored, small)


@contextmanager
def _running(bench: Bench, cloud: str) -> Iterator[Emulator]:
    with bench.subdirectory() as directory, emulator(cloud, directory) as store:
        yield store


def _measure(bench: Bench, row: _Row, stored: StoredModel, small: StoredModel) -> None:
    programs = bench.programs
    candidates = {_options(*floor): programs.store_download(stored, "obstore", *floor) for floor in row.floors}
    best, tried = bench.best(candidates)
    timings = bench.time_in_turns(
        programs.store_diff(stored),
        candidates[best],
        programs.store_download(stored, "own", _OWN_THREADS),
        bench.long_runs,
        [stored.emulator.process],
    )
    start_up = median([measure_seconds(programs.store_diff(small)) for _ in range(bench.runs)])
    notes = work_notes(start_up, timings) | tried_notes("seconds of obstore by", tried)
    notes |= _rclone(programs.rclone(stored), median(timings.product)) | _peaks(bench, stored)
    bench.add(
        Result(
            row.name,
            f"diff of {row.work}",
            f"obstore with {best}, then `diff -r`",
            f"≤ {row.goal} ×",
            "s",
            timings.product,
            timings.floor,
            timings.baseline,
            row.goal * median(timings.floor),
            notes,
        )
    )


def _options(threads: int, ranges: int) -> str:
    return f"{threads} threads" + (f" and {ranges} ranges" if ranges > 1 else "")


def _rclone(rclone: Command, product: float) -> dict[str, str]:
    seconds = measure_seconds(rclone)
    return {"`rclone` for both at once, then `diff -r`": f"{amount(seconds, 's')}, ratio {product / seconds:.2f} ×"}


def _peaks(bench: Bench, stored: StoredModel) -> dict[str, str]:
    """Measure peak memory, peak disk use and received bytes of a diff."""
    with link_to(stored.url or stored.emulator.url, Shape()) as counting:
        peaks = measure_peaks(bench.programs.store_diff(stored.through(counting.url)))
        return ResourceUse.of(peaks, [counting]).notes
