"""A window reader requests a bounded number of windows, in order, and a faster file waits for a slower one."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from model_gate.domain.windows import Window, Windows, windows_of
from model_gate.errors import TransferError
from model_gate.sources.window_reader import WindowReader

WINDOWS = Windows(window_bytes=10, scratch_bytes=80, first_bytes=40)


class File:
    """A file whose windows arrive when the test says so. The local path of a window is its number."""

    def __init__(self, size: int, *, arrives: bool = True) -> None:
        self.size = size
        self.requested: list[Window] = []
        self.released: list[str] = []
        self.is_stopped = False
        self._arrives = arrives
        self.reads: list[Future[str]] = []

    @property
    def on_disk(self) -> int:
        return len(self.requested) - len(self.released)

    def begin_read(self, window: Window) -> Future[str]:
        read: Future[str] = Future()
        self.requested.append(window)
        self.reads.append(read)
        if self._arrives:
            read.set_result(str(window.number))
        return read

    def release(self, file: str) -> None:
        self.released.append(file)

    def read_again(self, start: int, size: int) -> bytes:
        raise NotImplementedError

    def stop(self) -> None:
        self.is_stopped = True

    def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("sizes", [(105, 105), (105, 31), (105,), (100, 1, 99), (0, 5)])
def test_windows_of_all_files_arrive_in_order_and_within_the_scratch_space(sizes: tuple[int, ...]) -> None:
    files = [File(size) for size in sizes]
    with WindowReader(files, WINDOWS) as reader:
        for number, window in enumerate(reader):
            assert window.start == 10 * number
            assert set(window.files.values()) == {str(number)}
            assert sum(file.on_disk for file in files) * 10 <= (WINDOWS.first_bytes if not number else 80)
    for file in files:
        assert file.requested == list(windows_of(file.size, 10))
        assert file.on_disk == 0


def test_fast_file_waits_for_a_slow_one() -> None:
    fast, slow = File(1000), File(1000, arrives=False)
    with WindowReader([fast, slow], WINDOWS) as reader:
        windows = iter(reader)
        for read in ("0", "1", "2"):
            if slow.reads:
                slow.reads[int(read)].set_result(read)
            else:
                # The first windows are requested by the first step.
                reader._request(0)
                slow.reads[0].set_result("0")
            assert next(windows).files[slow] == read
            assert fast.on_disk == slow.on_disk <= 4
        for late in slow.reads[3:]:
            late.set_result("late")


def test_failed_window_is_an_error_and_the_windows_that_arrived_are_deleted() -> None:
    good, bad = File(100), File(100, arrives=False)
    with WindowReader([good, bad], WINDOWS) as reader:
        reader._request(0)
        bad.reads[0].set_exception(TransferError("It broke off.", "Try again."))
        windows = iter(reader)
        with pytest.raises(TransferError):
            next(windows)
    assert good.on_disk == 0
    assert good.is_stopped


def test_no_window_of_a_dropped_file_is_requested() -> None:
    left, right = File(1000), File(1000)
    with WindowReader([left, right], WINDOWS) as reader:
        for number, _ in enumerate(reader):
            if number == 3:
                reader.drop(left)
            if number == 6:
                break
    assert len(left.requested) <= 8
    assert left.is_stopped
    assert len(right.requested) > 8
    assert (left.on_disk, right.on_disk) == (0, 0)
