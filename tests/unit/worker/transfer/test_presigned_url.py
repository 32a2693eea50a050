"""What a store behind presigned URLs is asked for, and when it is not asked any more."""

from __future__ import annotations

import random
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_gate.errors import ModelGateError, NotFoundError, UnreachableError
from model_gate.worker.progress import TransferProgress
from model_gate.worker.transfer import presigned_url
from model_gate.worker.transfer.byte_range import split_into_ranges
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.presigned_url import PresignedStore, PresignedUrl
from tests.support.faulty_server import ARTIFACTS, Asked, Call, FaultyServer, never, ranged, status

MIB = 1024 * 1024
LARGE = random.Random(2).randbytes(20 * MIB + 1)
FIRST, MIDDLE, LAST = RANGES = [part.asked for part in split_into_ranges(len(LARGE))]
QUERY = "?X-Amz-Signature=0123456789abcdef&X-Amz-Expires=900"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        started.files["model.bin"] = LARGE
        started.faults["/model.bin"] = ranged
        yield started


class WatchedFlow(ConcurrencyLimiter):
    """Keeps what had to wait for its turn, and how often a server asked for less."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.pushed_back = 0

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        self.sizes.append(size)
        with super().request(size):
            yield

    def push_back(self) -> None:
        self.pushed_back += 1
        super().push_back()


class Fetching:
    """A file in a store, fetched as a side does it."""

    def __init__(self, url: str, directory: Path, headers: Mapping[str, str] | None = None) -> None:
        self.url = f"{url}{ARTIFACTS}/model.bin{QUERY}"
        self.flow = WatchedFlow()
        self.headers = headers or {}
        self.drawn = 0
        self._store = PresignedStore(self.flow)
        self._destination = directory / "fetched"
        self._destination.touch()

    def fetch(self, size: int = len(LARGE)) -> bytes:
        self._store.fetch(self._draw, "data/model.bin", size, str(self._destination), lambda _: None)
        return self._destination.read_bytes()

    def _draw(self) -> PresignedUrl:
        self.drawn += 1
        return PresignedUrl(f"{self.url}&number={self.drawn}", self.headers)


@pytest.fixture
def fetching(server: FaultyServer, tmp_path: Path) -> Fetching:
    return Fetching(server.url, tmp_path)


def ranges(asked: list[Asked]) -> list[str]:
    return [each.headers.get("Range", "") for each in asked]


def answered(call: Call, faults: Mapping[str, int], **headers: str) -> None:
    """Refuse the first request for a part with its status, and give what is asked for otherwise."""
    asked = call.asked.headers.get("Range", "")
    is_first = ranges(call.server.asked).count(asked) == 1
    if is_first and asked in faults:
        call.send(b"", faults[asked], **headers)
    else:
        ranged(call)


def test_headers_that_belong_to_the_url_go_with_each_part(server: FaultyServer, tmp_path: Path) -> None:
    assert Fetching(server.url, tmp_path, {"x-signed": "yes"}).fetch() == LARGE
    assert sorted(ranges(server.asked)) == sorted(RANGES)
    assert {each.headers["x-signed"] for each in server.asked} == {"yes"}
    assert {each.headers["Accept-Encoding"] for each in server.asked} == {"identity"}
    assert server.authorizations == {None}


@pytest.mark.parametrize("name", ["Range", "range", "x-ms-range", "If-Range"])
def test_a_url_that_is_for_a_range_leaves_no_choice_of_another(server: FaultyServer, tmp_path: Path, name: str) -> None:
    server.faults["/model.bin"] = lambda call: call.send(call.file)
    assert Fetching(server.url, tmp_path, {name: "bytes=0-"}).fetch() == LARGE
    (asked,) = server.asked
    assert {key: value for key, value in asked.headers.items() if "range" in key.lower()} == {name: "bytes=0-"}


@pytest.mark.parametrize("listed", [MIB, 2 * MIB])
def test_a_small_file_is_asked_for_once_whatever_its_size_is(
    server: FaultyServer, fetching: Fetching, listed: int
) -> None:
    server.files["model.bin"] = LARGE[:MIB]
    # Whoever asked for it holds the size against what was listed.
    assert fetching.fetch(listed) == LARGE[:MIB]
    assert ranges(server.asked) == [""]
    assert (fetching.drawn, fetching.flow.sizes) == (1, [listed])


def test_one_url_is_drawn_for_all_parts_that_are_refused(server: FaultyServer, fetching: Fetching) -> None:
    is_last_asked, is_drawn_anew = threading.Event(), threading.Event()

    def expire(call: Call) -> None:
        asked = call.asked.headers["Range"]
        if call.asked.query["number"] != ["1"]:
            is_drawn_anew.set()
        elif asked == MIDDLE:
            is_last_asked.wait(10)
            call.send(b"", 403)
            return
        elif asked == LAST:
            # It is refused when the middle one has another URL already.
            is_last_asked.set()
            is_drawn_anew.wait(10)
            call.send(b"", 403)
            return
        ranged(call)

    server.faults["/model.bin"] = expire
    assert fetching.fetch() == LARGE
    assert fetching.drawn == 2
    assert sorted(ranges(server.asked)) == sorted([*RANGES, MIDDLE, LAST])


def test_a_part_of_which_nothing_comes_leaves_the_whole(server: FaultyServer, fetching: Fetching) -> None:
    server.faults["/model.bin"] = lambda call: ranged(call, until=0 if "Range" in call.asked.headers else None)
    assert fetching.fetch() == LARGE
    assert ranges(server.asked)[-1] == ""


def test_what_comes_a_second_and_a_third_time_is_told_once() -> None:
    notes: list[dict[str, int]] = []
    tally = TransferProgress(notes.append)
    for mebibytes in (5, 8, 10):
        tally.restart()
        tally.add(mebibytes * MIB)
    assert sum(note["bytes"] for note in notes) == 10 * MIB


def test_a_part_that_is_not_there_is_no_reason_to_wait(server: FaultyServer, fetching: Fetching) -> None:
    server.faults["/model.bin"] = lambda call: answered(call, {FIRST: 416})
    assert fetching.fetch() == LARGE
    assert ranges(server.asked) == [FIRST, ""]


@pytest.mark.parametrize("code, times", [(429, 1), (503, 1), (500, 0)])
def test_a_store_that_is_overloaded_is_asked_for_less_at_once(
    server: FaultyServer, fetching: Fetching, code: int, times: int
) -> None:
    server.faults["/model.bin"] = lambda call: answered(call, {FIRST: code}, retry_after="0")
    assert fetching.fetch() == LARGE
    assert fetching.flow.pushed_back == times
    # One answer was not given, and asked for again.
    assert sorted(ranges(server.asked)) == sorted([FIRST, *RANGES])


def test_a_store_that_asks_for_an_hour_is_told_at_once_and_asked_no_more(
    server: FaultyServer, fetching: Fetching
) -> None:
    server.faults["/model.bin"] = status(503, retry_after="3600")
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="it is busy"):
        fetching.fetch()
    assert time.monotonic() - started < 5
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [MIB, len(LARGE)])
def test_a_store_that_stays_busy_is_asked_four_times(server: FaultyServer, fetching: Fetching, size: int) -> None:
    server.faults["/model.bin"] = status(503, retry_after="0")
    with pytest.raises(UnreachableError, match="it is busy"):
        fetching.fetch(size)
    assert len(server.asked) == 4


def test_a_store_that_never_answers_is_not_asked_for_the_whole_after_the_parts(
    server: FaultyServer, fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presigned_url, "_READ_SECONDS", 0.5)
    monkeypatch.setattr(presigned_url, "_RETRY_SECONDS", 2)
    server.faults["/model.bin"] = never
    with pytest.raises(UnreachableError, match="does not answer in time"):
        fetching.fetch()
    assert set(ranges(server.asked)) == {FIRST}


def test_no_part_waits_when_another_one_cannot_be_had(server: FaultyServer, fetching: Fetching) -> None:
    faults = {MIDDLE: 503, LAST: 404}
    server.faults["/model.bin"] = lambda call: answered(call, faults, retry_after="15")
    started = time.monotonic()
    with pytest.raises(NotFoundError, match="does not exist in the store"):
        fetching.fetch()
    assert time.monotonic() - started < 10
    assert sorted(ranges(server.asked)) == sorted(RANGES)


@pytest.mark.parametrize("size", [MIB, len(LARGE)])
@pytest.mark.parametrize("code", [410, 416, 503, 403])
def test_no_error_and_nothing_that_led_to_it_names_the_url(
    server: FaultyServer, fetching: Fetching, monkeypatch: pytest.MonkeyPatch, code: int, size: int
) -> None:
    monkeypatch.setattr(presigned_url, "_RETRY_SECONDS", 0)
    server.faults["/model.bin"] = status(code)
    told = _told_of(fetching, size)
    assert str(code) in told


@pytest.mark.parametrize("size", [MIB, len(LARGE)])
def test_a_store_that_cannot_be_reached_is_told_with_the_reason_and_without_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(presigned_url, "_RETRY_SECONDS", 0)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        told = _told_of(Fetching(f"http://127.0.0.1:{bound.getsockname()[1]}", tmp_path), size)
    assert "Connection refused" in told


def _told_of(fetching: Fetching, size: int) -> str:
    with pytest.raises(ModelGateError) as caught:
        fetching.fetch(size)
    assert "data/model.bin" in caught.value.message
    told = "".join(traceback.format_exception(caught.value))
    for part in ("Signature", "0123456789abcdef", "Expires", ARTIFACTS):
        assert part not in told
    return told
