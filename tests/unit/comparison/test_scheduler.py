"""The scheduler limits the bytes and files in progress, and starts no fetch after the verdict is settled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.job_queue import MAX_BYTES_IN_PROGRESS, MAX_LARGE_PAIRS
from model_gate.comparison.model_pair import ListedModel, ModelPair
from model_gate.comparison.progress import NoProgress
from model_gate.comparison.scheduler import compare_files
from model_gate.domain.location import Location
from model_gate.domain.model import Listing
from model_gate.domain.pairing import pair_files
from model_gate.domain.windows import Window, Windows
from model_gate.errors import TransferError
from model_gate.sources.windowed_file import WindowedFile

MIB = 1024 * 1024


@dataclass
class Disk:
    """Counts the simulated bytes in use. The real files have one byte each."""

    used: int = 0
    peak: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def change(self, size: int) -> None:
        with self.lock:
            self.used += size
            self.peak = max(self.peak, self.used)


class RemoteSource:
    """A source whose files must be fetched. The file `changed` has other bytes. The file `broken` cannot be fetched."""

    is_local = False
    is_kept = False
    is_near = True
    has_windows = False

    def __init__(
        self, name: str, directory: Path, disk: Disk, sizes: dict[str, int], changed: str = "", broken: str = ""
    ) -> None:
        self.name = name
        self.location = Location(f"s3://{name}")
        self.directory = directory / name
        self.directory.mkdir()
        self.sizes = sizes
        self.requests: list[list[str]] = []
        self._disk = disk
        self._changed = changed
        self._broken = broken
        self._pool = ThreadPoolExecutor(5)

    @property
    def requested(self) -> list[str]:
        """The paths of the requested files, in the order of the requests."""
        return [path for request in self.requests for path in request]

    def list(self, on_progress: Callable[[dict[str, object]], None]) -> Listing:
        on_progress({"files": len(self.sizes)})
        return Listing(self.sizes)

    def begin_list(self) -> None:
        """Do nothing."""

    def begin_check(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def local_file(self, path: str) -> str:
        return ""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        self.requests.append(list(sizes))
        self._disk.change(sum(sizes.values()))
        on_bytes(sum(sizes.values()))
        return self._pool.submit(self._write_all, list(sizes))

    def _write_all(self, paths: Iterable[str]) -> dict[str, str]:
        return {path: self._write(path) for path in paths}

    def _write(self, path: str) -> str:
        if path == self._broken:
            raise TransferError("It broke off.", "Try again.")
        file = self.directory / path
        file.write_bytes(b"y" if path == self._changed else b"x")
        return str(file)

    def open_file(self, path: str, size: int, on_bytes: Callable[[int], None]) -> WindowedFile:
        raise NotImplementedError

    def release(self, file: str) -> None:
        self._disk.change(-self.sizes[Path(file).name])

    def require_unchanged(self) -> None:
        """Do nothing: the files are copies."""


class WindowedSource(RemoteSource):
    """A source whose large files are read in windows, each of which waits some time for a request of a small file."""

    has_windows = True

    def __init__(self, name: str, directory: Path, sizes: dict[str, int], uri: str) -> None:
        super().__init__(name, directory, Disk(), sizes)
        self.location = Location(uri)
        self.is_near = self.is_local = uri.startswith("/")
        self.has_early_request = False

    def open_file(self, path: str, size: int, on_bytes: Callable[[int], None]) -> WindowedFile:
        return WaitingFile(self, path, size)

    def read(self, path: str, window: Window) -> str:
        end = time.monotonic() + 0.2
        while not self.requests and time.monotonic() < end:
            time.sleep(0.005)
        self.has_early_request = bool(self.requests)
        file = self.directory / f"{path}-{window.number}"
        file.write_bytes(b"x" * window.size)
        return str(file)


class WaitingFile:
    """A file of a `WindowedSource`."""

    def __init__(self, source: WindowedSource, path: str, size: int) -> None:
        self.size = size
        self._source = source
        self._path = path
        self._pool = ThreadPoolExecutor(1)

    def begin_read(self, window: Window) -> Future[str]:
        return self._pool.submit(self._source.read, self._path, window)

    def release(self, file: str) -> None:
        Path(file).unlink()

    def read_again(self, start: int, size: int) -> bytes:
        raise NotImplementedError

    def stop(self) -> None:
        """Do nothing: every read ends soon."""

    def close(self) -> None:
        self._pool.shutdown()


@dataclass
class Ran:
    """The result of comparing two models, with the sources and the disk for checks."""

    disk: Disk
    left: RemoteSource
    right: RemoteSource
    files: list[FileComparison]


def compare(
    directory: Path,
    sizes: dict[str, int],
    *,
    changed: str = "",
    broken: str = "",
    is_enough: Callable[[FileComparison], bool] | None = None,
    is_near: bool = True,
    right_sizes: dict[str, int] | None = None,
) -> Ran:
    """Compare two models with the same listing, or with other sizes on the right.

    `changed` and `broken` name a file of the right model.
    """
    disk = Disk()
    right_sizes = sizes if right_sizes is None else right_sizes
    left = RemoteSource("left", directory, disk, sizes)
    right = RemoteSource("right", directory, disk, right_sizes, changed, broken)
    right.is_near = is_near
    left_listing, right_listing = Listing(sizes), Listing(right_sizes)
    paired = pair_files(left_listing, right_listing)
    pair = ModelPair(ListedModel(left, left_listing), ListedModel(right, right_listing), paired)
    return Ran(disk, left, right, compare_files([pair], NoProgress(), is_enough)[pair])


@pytest.mark.parametrize(
    "count, size, bound",
    [
        (100, 10 * MIB, MAX_LARGE_PAIRS * 20 * MIB),
        (40, 100 * MIB, MAX_BYTES_IN_PROGRESS),
        (3, 5000 * MIB, 2 * 5000 * MIB),
        (2000, 4096, 64 * 2 * 4096),
    ],
)
def test_disk_use_never_exceeds_the_limit_unless_a_single_pair_does(
    tmp_path: Path, count: int, size: int, bound: int
) -> None:
    ran = compare(tmp_path, {f"{number:04}": size for number in range(count)})
    assert len(ran.files) == count
    assert all(file.difference is None and file.is_compared for file in ran.files)
    assert ran.disk.used == 0
    assert ran.disk.peak <= bound
    # Several pairs are in progress at once if the bound allows it.
    assert ran.disk.peak > 2 * size or bound == 2 * size


def test_peak_disk_use_is_below_a_fifth_of_the_size_of_both_models(tmp_path: Path) -> None:
    sizes = {f"{number:03}": 10 * MIB for number in range(100)}
    ran = compare(tmp_path, sizes)
    assert ran.disk.peak < 2 * sum(sizes.values()) / 5


def test_largest_files_are_fetched_first(tmp_path: Path) -> None:
    ran = compare(tmp_path, {"small": 1, "large": 100 * MIB, "middle": MIB})
    assert ran.left.requested == ["large", "middle", "small"]


def test_small_file_does_not_wait_for_a_large_one(tmp_path: Path) -> None:
    ran = compare(tmp_path, {"MLmodel": 1, "large": 250 * MIB, "other": 240 * MIB})
    assert ran.left.requested == ["large", "MLmodel", "other"]


@pytest.mark.parametrize(
    "left, right, is_early",
    [
        ("s3://models/1", "gs://models/1", True),
        ("/models/1", "s3://models/1", True),
        ("s3://models/1", "mlflow-artifacts:/1", False),
        ("mlflow-artifacts:/1", "mlflow-artifacts:/2", False),
    ],
)
def test_small_file_is_fetched_beside_windows_if_no_model_is_on_a_tracking_server(
    tmp_path: Path, left: str, right: str, is_early: bool
) -> None:
    sizes = {"MLmodel": 1, "large": 200}
    left_source = WindowedSource("left", tmp_path, sizes, left)
    right_source = WindowedSource("right", tmp_path, sizes, right)
    listing = Listing(sizes)
    models = ListedModel(left_source, listing), ListedModel(right_source, listing)
    pair = ModelPair(*models, pair_files(listing, listing))
    windows = Windows(threshold_bytes=100, window_bytes=50, scratch_bytes=200, first_bytes=100)
    comparisons = compare_files([pair], NoProgress(), windows=windows)[pair]
    assert {file.pair.path for file in comparisons if file.is_compared and not file.difference} == set(sizes)
    assert right_source.has_early_request is is_early


def test_no_file_is_fetched_after_the_verdict_is_final(tmp_path: Path) -> None:
    sizes = {f"{number:04}": 500 * MIB for number in range(300)}
    ran = compare(tmp_path, sizes, is_enough=lambda file: file.pair.path == "0000")
    assert len(ran.files) == 300
    not_compared = {file.pair.path for file in ran.files if not file.is_compared}
    assert len(not_compared) > 200
    assert not not_compared & set(ran.left.requested)


def test_all_files_are_compared_if_no_difference_makes_the_verdict_final(tmp_path: Path) -> None:
    ran = compare(tmp_path, {f"{number:04}": 500 * MIB for number in range(30)}, changed="0000")
    assert all(file.is_compared for file in ran.files)


def test_failed_fetch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="broke off"):
        compare(tmp_path, {f"{number:04}": MIB for number in range(300)}, broken="0123")


def test_small_files_are_fetched_in_batches_and_large_files_separately(tmp_path: Path) -> None:
    sizes = {f"small-{number:03}": 4096 for number in range(100)} | {"large": MIB, "larger": 2 * MIB}
    ran = compare(tmp_path, sizes)
    assert len(ran.files) == len(sizes)
    for source in (ran.left, ran.right):
        assert sorted(source.requested) == sorted(sizes)
        assert source.requests[:2] == [["larger"], ["large"]]
        assert len(source.requests) < 12


def test_changed_file_is_the_only_difference_in_its_batch(tmp_path: Path) -> None:
    ran = compare(tmp_path, {f"{number:04}": 1 for number in range(50)}, changed="0007")
    assert [file.pair.path for file in ran.files if file.difference] == ["0007"]


def test_small_files_are_fetched_separately_if_a_server_is_distant(tmp_path: Path) -> None:
    sizes = {f"small-{number:03}": 4096 for number in range(100)}
    ran = compare(tmp_path, sizes, is_near=False)
    assert len(ran.files) == len(sizes)
    for source in (ran.left, ran.right):
        assert source.requests == [[path] for path in sorted(sizes)]


def uncompared(ran: Ran) -> set[str]:
    return {file.pair.path for file in ran.files if not file.is_compared}


def test_changed_file_of_equal_size_is_found_although_another_file_has_another_size(tmp_path: Path) -> None:
    sizes = {"MLmodel": 1, "input_example.bin": 20, "model.pkl": 3_000, "weights": 9_000}
    ran = compare(tmp_path, sizes, changed="model.pkl", right_sizes=sizes | {"input_example.bin": 21})
    assert {file.pair.path for file in ran.files if file.difference} == {"input_example.bin", "model.pkl"}
    assert uncompared(ran) == set()


@pytest.mark.parametrize("deciding", ["model.pkl", "rule.py", "requirements.txt", "config.json"])
def test_files_that_decide_about_predictions_are_compared_before_smaller_files(tmp_path: Path, deciding: str) -> None:
    # Only one of the two files of 700 MiB on each side fits into 2 GiB.
    sizes = {"LICENSE": 700 * MIB, deciding: 701 * MIB, "notes.md": 1, "missing": 1}
    ran = compare(tmp_path, sizes, right_sizes={path: size for path, size in sizes.items() if path != "missing"})
    assert uncompared(ran) == {"LICENSE"}


def test_smallest_files_are_compared_if_not_all_fit_into_the_limit(tmp_path: Path) -> None:
    sizes = {f"shard-{number}": (number + 1) * 200 * MIB for number in range(4)} | {"missing": 1}
    ran = compare(tmp_path, sizes, right_sizes={path: size for path, size in sizes.items() if path != "missing"})
    # 2 × (200 + 400) MiB fit, and 2 × 600 MiB more do not.
    assert uncompared(ran) == {"shard-2", "shard-3"}
    assert ran.left.requested == ["shard-1", "shard-0"]


def test_nothing_is_fetched_if_the_listings_decide_and_the_first_difference_is_enough(tmp_path: Path) -> None:
    sizes = {"MLmodel": 1, "model.pkl": 3_000, "requirements.txt": 30}
    ran = compare(
        tmp_path, sizes, right_sizes=sizes | {"requirements.txt": 31}, is_enough=lambda file: bool(file.difference)
    )
    assert ran.left.requested == ran.right.requested == []
    assert uncompared(ran) == {"MLmodel", "model.pkl"}
