"""Large files come in parts, side by side, and whatever happens to a part never makes another file of them."""

from __future__ import annotations

import gzip
import os
import random
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import ModelGateError
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.worker.transfer.byte_range import ByteRange, split_into_ranges, strong_etag
from tests.support.faulty_server import Asked, Call, FaultyServer, broken_off, ranged
from tests.support.gates import check

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(20 * MIB + 12_345)


@pytest.mark.parametrize("size", [0, 1, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 300 * MIB, 5 * 1024 * MIB + 7])
def test_parts_are_the_whole_file_once(size: int) -> None:
    parts = split_into_ranges(size)
    assert parts[0].start == 0
    assert parts[-1].stop == size
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert all(8 * MIB <= part.size <= 64 * MIB for part in parts[:-1])
    assert (len(parts) == 1) == (size < 16 * MIB)


@pytest.mark.parametrize(
    "told, is_answer",
    [
        ("bytes 10-19/100", True),
        ("bytes 10-18/100", False),
        ("bytes 11-19/100", False),
        ("bytes 10-19/101", False),
        ("bytes 10-19/*", False),
        ("bytes */100", False),
        ("", False),
    ],
)
def test_an_answer_must_say_that_it_is_the_part(told: str, is_answer: bool) -> None:
    assert ByteRange(10, 20).asked == "bytes=10-19"
    assert ByteRange(10, 20).is_answered_by({"Content-Range": told}, 100) is is_answer


@pytest.mark.parametrize("tag, kept", [('"a"', '"a"'), ('W/"a"', ""), ("", "")])
def test_only_a_strong_tag_tells_that_two_parts_are_of_one_file(tag: str, kept: str) -> None:
    assert strong_etag({"ETag": tag}) == kept


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        started.add("Large", {"MLmodel": b"flavors: {}\n", "model.bin": LARGE})
        started.faults["/model.bin"] = ranged
        yield started


@pytest.fixture
def side(server: FaultyServer, tmp_path: Path) -> Iterator[TrackingServerClient]:
    (tmp_path / "home").mkdir()
    with TrackingServerClient(parse_host(server.url), os.environ, tmp_path / "home") as started:
        started.list(server.sources["Large", "1"], lambda _: None)
        yield started


def fetch(server: FaultyServer, side: TrackingServerClient, directory: Path, size: int = len(LARGE)) -> bytes:
    destination = directory / "fetched"
    destination.touch()
    side.fetch(server.sources["Large", "1"], "model.bin", size, destination)
    return destination.read_bytes()


def asked_for(server: FaultyServer) -> list[Asked]:
    return [asked for asked in server.asked if asked.path.endswith("/model.bin")]


def test_a_large_file_comes_in_parts_of_one_and_the_same_file(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    assert fetch(server, side, tmp_path) == LARGE
    ranges = [asked.headers.get("Range") for asked in asked_for(server)]
    assert sorted(map(str, ranges)) == sorted(part.asked for part in split_into_ranges(len(LARGE)))
    # The first one tells which file it is; the others are of that one only.
    assert [asked.headers.get("If-Range") for asked in asked_for(server)] == [None, '"1"', '"1"']


def test_nothing_is_left_of_what_was_at_its_place_before(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    (tmp_path / "fetched").write_bytes(LARGE + b"left over")
    assert fetch(server, side, tmp_path) == LARGE


def test_a_small_file_is_asked_for_whole(server: FaultyServer, side: TrackingServerClient, tmp_path: Path) -> None:
    server.files["Large/1/model.bin"] = LARGE[:MIB]
    assert fetch(server, side, tmp_path, MIB) == LARGE[:MIB]
    (asked,) = asked_for(server)
    assert "Range" not in asked.headers


def test_a_part_that_breaks_off_is_resumed_where_it_did(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    broken: list[str] = []

    def break_off_once(call: Call) -> None:
        if call.asked.headers.get("Range") == "bytes=8388608-16777215" and not broken:
            broken.append("")
            ranged(call, until=3 * MIB)
        else:
            ranged(call)

    server.faults["/model.bin"] = break_off_once
    assert fetch(server, side, tmp_path) == LARGE
    assert broken
    resumed = [asked for asked in asked_for(server) if asked.headers["Range"].endswith("-16777215")][1]
    start = int(resumed.headers["Range"].removeprefix("bytes=").partition("-")[0])
    assert 8 * MIB < start <= 11 * MIB
    assert resumed.headers["If-Range"] == '"1"'
    assert all("Range" in asked.headers for asked in asked_for(server))


def test_a_file_that_is_replaced_between_two_parts_is_fetched_anew(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    changed = bytes(byte ^ 255 for byte in LARGE)

    def replace(call: Call) -> None:
        is_first = call.asked.headers.get("Range", "").startswith("bytes=0-")
        ranged(call, '"1"' if is_first else '"2"')
        server.files["Large/1/model.bin"] = changed

    server.faults["/model.bin"] = replace
    # Not a byte of the former file is among them.
    assert fetch(server, side, tmp_path) == changed


def test_a_file_that_is_replaced_while_its_first_part_is_resumed_is_not_mixed_with_the_former(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    changed = bytes(byte ^ 255 for byte in LARGE)
    is_replaced = threading.Event()

    def replace(call: Call) -> None:
        asked = call.asked.headers.get("Range", "")
        if asked.startswith("bytes=0-"):
            ranged(call, until=MIB)
        elif asked.endswith("-8388607") or not asked:
            server.files["Large/1/model.bin"] = changed
            ranged(call, '"2"')
            is_replaced.set()
        else:
            # The other parts of the former file are still under way when the new one has come.
            is_replaced.wait(10)
            start, stop = (int(number) for number in asked.removeprefix("bytes=").split("-"))
            told = f"bytes {start}-{stop}/{len(LARGE)}"
            call.send(LARGE[start : stop + 1], 206, content_range=told, etag='"1"')

    server.faults["/model.bin"] = replace
    assert fetch(server, side, tmp_path) == changed


@pytest.mark.parametrize(
    "headers",
    [
        {"content_range": f"bytes 0-{8 * MIB - 1}/{len(LARGE) + 1}"},
        {"content_range": f"bytes 1-{8 * MIB}/{len(LARGE)}"},
        {"content_range": ""},
        {"etag": ""},
        {"etag": 'W/"1"'},
        {"content_encoding": "br"},
    ],
    ids=str,
)
def test_parts_that_are_not_sure_to_be_the_files_are_not_used(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path, headers: dict[str, str]
) -> None:
    def odd(call: Call) -> None:
        if "Range" not in call.asked.headers:
            call.send(call.file)
            return
        told = {"content_range": f"bytes 0-{8 * MIB - 1}/{len(LARGE)}", "etag": '"1"'} | headers
        call.send(LARGE[: 8 * MIB], 206, **told)

    server.faults["/model.bin"] = odd
    assert fetch(server, side, tmp_path) == LARGE
    assert [asked.headers.get("Range") for asked in asked_for(server)] == ["bytes=0-8388607", None]


def test_a_server_without_ranges_sends_the_file_once(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    server.faults["/model.bin"] = lambda call: call.send(call.file)
    assert fetch(server, side, tmp_path) == LARGE
    assert len(asked_for(server)) == 1


def test_an_encoded_file_is_left_to_mlflow_which_decodes_it(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    small = b"small " * 1000
    server.files["Large/1/model.bin"] = small
    server.faults["/model.bin"] = lambda call: call.send(gzip.compress(call.file), content_encoding="gzip")
    assert fetch(server, side, tmp_path, len(small)) == small


def test_a_server_that_is_busy_for_a_while_is_waited_for(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    refused: list[str] = []

    def busy(call: Call) -> None:
        if len(refused) < 3:
            refused.append("")
            call.send(b"", 429, retry_after="1")
        else:
            ranged(call)

    server.faults["/model.bin"] = busy
    assert fetch(server, side, tmp_path) == LARGE
    assert all("Range" in asked.headers for asked in asked_for(server))


def test_a_file_that_never_comes_whole_is_an_error(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    server.faults["/model.bin"] = lambda call: (
        ranged(call, until=1000) if "Range" in call.asked.headers else broken_off(call)
    )
    with pytest.raises(ModelGateError) as raised:
        fetch(server, side, tmp_path)
    assert raised.value.remedy


def test_one_byte_that_differs_in_the_last_part_is_found(tmp_path: Path, server: FaultyServer) -> None:
    changed = LARGE[:-1] + bytes([LARGE[-1] ^ 1])
    server.add("Copy", {"MLmodel": b"flavors: {}\n", "model.bin": changed})
    server.downloads["Large", "1"] = server.sources["Copy", "1"]
    ran = check(tmp_path, server.url, "Large", "1")
    (difference,) = ran.report["comparison"]["differences"]
    assert (ran.status, difference["path"]) == ("different", "model.bin")
    assert difference["offset"] == len(LARGE) - 1
    server.files["Copy/1/model.bin"] = LARGE
    assert check(tmp_path, server.url, "Large", "1").status == "equal"


def test_a_server_that_takes_no_heed_of_the_tag_cannot_mix_two_files(
    server: FaultyServer, side: TrackingServerClient, tmp_path: Path
) -> None:
    changed = bytes(byte ^ 255 for byte in LARGE)

    def heedless(call: Call) -> None:
        asked = call.asked.headers.get("Range", "")
        if not asked:
            call.send(changed)
            return
        start, stop = (int(number) for number in asked.removeprefix("bytes=").split("-"))
        content, tag = (LARGE, '"1"') if start == 0 else (changed, '"2"')
        told = f"bytes {start}-{stop}/{len(LARGE)}"
        call.send(content[start : stop + 1], 206, content_range=told, etag=tag)

    server.faults["/model.bin"] = heedless
    assert fetch(server, side, tmp_path) == changed
