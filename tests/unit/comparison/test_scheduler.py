"""What is under way at once is bounded, whatever is asked for; and what is enough is the last that is begun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.progress import NoProgress
from model_gate.comparison.scheduler import MAX_BYTES_IN_PROGRESS, WORKERS, ModelPair, compare_files
from model_gate.domain.location import Location
from model_gate.domain.model import Listing
from model_gate.domain.pairing import pair_files
from model_gate.errors import TransferError

MIB = 1024 * 1024


@dataclass
class Disk:
    """How much is on it, and how much was at most. Sizes are only claimed: files are of a byte."""

    used: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def change(self, size: int) -> None:
        with self.lock:
            self.used += size
            self.most = max(self.most, self.used)


class Remote:
    """A model whose files come from elsewhere, some at a time."""

    is_at_hand = False
    is_kept = False
    is_near = True

    def __init__(self, name: str, directory: Path, disk: Disk, sizes: dict[str, int], odd: str = "") -> None:
        self.name = name
        self.location = Location(f"s3://{name}")
        self.directory = directory / name
        self.directory.mkdir()
        self.sizes = sizes
        self.begun: list[str] = []
        self.asked: list[list[str]] = []
        self._disk = disk
        self._odd = odd
        self._pool = ThreadPoolExecutor(5)

    def list(self, note: Callable[[dict[str, object]], None]) -> Listing:
        note({"files": len(self.sizes)})
        return Listing(self.sizes)

    def file_at_hand(self, path: str) -> str:  # there is none
        return ""

    def begin_fetch(self, sizes: Mapping[str, int], on_bytes: Callable[[int], None]) -> Future[dict[str, str]]:
        self.begun += sizes
        self.asked.append(list(sizes))
        self._disk.change(sum(sizes.values()))
        on_bytes(sum(sizes.values()))
        return self._pool.submit(self._write_all, list(sizes))

    def _write_all(self, paths: Iterable[str]) -> dict[str, str]:
        return {path: self._write(path) for path in paths}

    def _write(self, path: str) -> str:
        if self._odd == f"!{path}":
            raise TransferError("It broke off.", "Try again.")
        file = self.directory / path
        file.write_bytes(b"y" if path == self._odd else b"x")
        return str(file)

    def release(self, file: str) -> None:
        self._disk.change(-self.sizes[Path(file).name])


def judged(
    directory: Path,
    sizes: dict[str, int],
    odd: str = "",
    is_enough: Callable[[FileComparison], bool] = lambda _: False,
    *,
    is_near: bool = True,
) -> tuple[Disk, list[Remote], list[FileComparison]]:
    disk = Disk()
    sides = [Remote("left", directory, disk, sizes), Remote("right", directory, disk, sizes, odd)]
    sides[1].is_near = is_near
    identities = [side.location.key for side in sides]
    match = ModelPair(identities[0], identities[1], pair_files(Listing(sizes), Listing(sizes)))
    (found,) = compare_files([match], dict(zip(identities, sides, strict=True)), NoProgress(), is_enough)
    return disk, sides, found


@pytest.mark.parametrize(
    "count, size, bound",
    [
        (100, 10 * MIB, WORKERS * 20 * MIB),
        (40, 500 * MIB, MAX_BYTES_IN_PROGRESS),
        (3, 5000 * MIB, 2 * 5000 * MIB),
        (2000, 4096, 64 * 2 * 4096),
    ],
)
def test_disk_in_use_is_bounded_by_the_largest_pair(tmp_path: Path, count: int, size: int, bound: int) -> None:
    disk, _, found = judged(tmp_path, {f"{number:04}": size for number in range(count)})
    assert len(found) == count
    assert all(judgement.difference is None and judgement.is_compared for judgement in found)
    assert disk.used == 0
    assert disk.most <= bound
    # More than one pair at a time, where there is room.
    assert disk.most > 2 * size or bound == 2 * size


def test_one_large_file_does_not_bring_the_model_onto_the_disk_twice(tmp_path: Path) -> None:
    sizes = {f"{number:03}": 10 * MIB for number in range(100)}
    disk, _, _ = judged(tmp_path, sizes)
    assert disk.most < 2 * sum(sizes.values()) / 5


def test_the_largest_files_are_begun_first(tmp_path: Path) -> None:
    _, sides, _ = judged(tmp_path, {"small": 1, "large": 100 * MIB, "middle": MIB})
    assert sides[0].begun == ["large", "middle", "small"]


def test_after_what_is_enough_no_further_file_is_begun(tmp_path: Path) -> None:
    sizes = {f"{number:04}": 500 * MIB for number in range(300)}
    _, sides, found = judged(tmp_path, sizes, is_enough=lambda judgement: judgement.pair.path == "0000")
    assert len(found) == 300
    unseen = {judgement.pair.path for judgement in found if not judgement.is_compared}
    assert len(unseen) > 200
    assert not unseen & set(sides[0].begun)


def test_without_such_a_limit_a_difference_ends_nothing(tmp_path: Path) -> None:
    _, _, found = judged(tmp_path, {f"{number:04}": 500 * MIB for number in range(30)}, "0000")
    assert all(judgement.is_compared for judgement in found)


def test_a_file_that_does_not_come_is_an_error_and_no_judgement(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="broke off"):
        judged(tmp_path, {f"{number:04}": MIB for number in range(300)}, "!0123")


def test_small_files_are_asked_for_together_and_large_ones_one_at_a_time(tmp_path: Path) -> None:
    sizes = {f"small-{number:03}": 4096 for number in range(100)} | {"large": MIB, "larger": 2 * MIB}
    _, sides, found = judged(tmp_path, sizes)
    assert len(found) == len(sizes)
    for side in sides:
        assert sorted(side.begun) == sorted(sizes)
        assert side.asked[:2] == [["larger"], ["large"]]
        assert len(side.asked) < 12


def test_a_small_file_that_differs_is_the_only_one_of_those_that_came_with_it(tmp_path: Path) -> None:
    _, _, found = judged(tmp_path, {f"{number:04}": 1 for number in range(50)}, "0007")
    assert [judgement.pair.path for judgement in found if judgement.difference] == ["0007"]


def test_one_far_server_is_enough_to_ask_for_each_file_by_itself(tmp_path: Path) -> None:
    sizes = {f"small-{number:03}": 4096 for number in range(100)}
    _, sides, found = judged(tmp_path, sizes, is_near=False)
    assert len(found) == len(sizes)
    for side in sides:
        assert side.asked == [[path] for path in sorted(sizes)]
