"""Large files are downloaded in concurrent ranges, and never mixed from two versions of a file."""

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
from tests.support.faulty_server import Call, FaultyServer, Request, break_off, serve_range
from tests.support.gates import check

MIB = 1024 * 1024
LARGE = random.Random(1).randbytes(20 * MIB + 12_345)


@pytest.mark.parametrize("size", [0, 1, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, 300 * MIB, 5 * 1024 * MIB + 7])
def test_ranges_cover_the_file_without_overlap(size: int) -> None:
    ranges = split_into_ranges(size)
    assert ranges[0].start == 0
    assert ranges[-1].stop == size
    assert all(previous.stop == following.start for previous, following in pairwise(ranges))
    assert all(8 * MIB <= byte_range.size <= 64 * MIB for byte_range in ranges[:-1])
    assert (len(ranges) == 1) == (size < 16 * MIB)


@pytest.mark.parametrize(
    "content_range, is_match",
    [
        ("bytes 10-19/100", True),
        ("bytes 10-18/100", False),
        ("bytes 11-19/100", False),
        ("bytes 10-19/101", False),
        ("bytes 10-19/*", False),
        ("bytes 10-19/100, bytes 30-39/100", False),
        ("bytes */100", False),
        ("", False),
    ],
)
def test_response_is_accepted_only_if_its_content_range_matches_the_request(content_range: str, is_match: bool) -> None:
    assert ByteRange(10, 20).header == "bytes=10-19"
    assert ByteRange(10, 20).matches({"Content-Range": content_range}, 100) is is_match


@pytest.mark.parametrize("etag, expected", [('"a"', '"a"'), ('W/"a"', ""), ("", "")])
def test_only_a_strong_etag_identifies_a_file_version(etag: str, expected: str) -> None:
    assert strong_etag({"ETag": etag}) == expected


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        started.add("Large", {"MLmodel": b"flavors: {}\n", "model.bin": LARGE})
        started.faults["/model.bin"] = serve_range
        yield started


@pytest.fixture
def client(server: FaultyServer, tmp_path: Path) -> Iterator[TrackingServerClient]:
    (tmp_path / "home").mkdir()
    with TrackingServerClient(parse_host(server.url), os.environ, tmp_path / "home") as started:
        started.list(server.sources["Large", "1"], lambda _: None)
        yield started


def fetch(server: FaultyServer, client: TrackingServerClient, directory: Path, size: int = len(LARGE)) -> bytes:
    destination = directory / "fetched"
    destination.touch()
    client.fetch(server.sources["Large", "1"], "model.bin", size, destination)
    return destination.read_bytes()


def file_requests(server: FaultyServer) -> list[Request]:
    return [request for request in server.requests if request.path.endswith("/model.bin")]


def test_all_range_requests_for_a_large_file_require_the_same_etag(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    assert fetch(server, client, tmp_path) == LARGE
    headers = [request.headers.get("Range") for request in file_requests(server)]
    assert sorted(map(str, headers)) == sorted(byte_range.header for byte_range in split_into_ranges(len(LARGE)))
    # The first request has no If-Range header. The others have the ETag of its response.
    assert [request.headers.get("If-Range") for request in file_requests(server)] == [None, '"1"', '"1"']


def test_existing_file_at_the_destination_is_replaced(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    (tmp_path / "fetched").write_bytes(LARGE + b"left over")
    assert fetch(server, client, tmp_path) == LARGE


def test_small_file_is_requested_without_a_range(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    server.files["Large/1/model.bin"] = LARGE[:MIB]
    assert fetch(server, client, tmp_path, MIB) == LARGE[:MIB]
    (request,) = file_requests(server)
    assert "Range" not in request.headers


def test_broken_range_request_is_resumed_at_the_first_missing_byte(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    broken: list[str] = []

    def break_off_once(call: Call) -> None:
        if call.request.headers.get("Range") == "bytes=8388608-16777215" and not broken:
            broken.append("")
            serve_range(call, until=3 * MIB)
        else:
            serve_range(call)

    server.faults["/model.bin"] = break_off_once
    assert fetch(server, client, tmp_path) == LARGE
    assert broken
    resumed = [request for request in file_requests(server) if request.headers["Range"].endswith("-16777215")][1]
    start = int(resumed.headers["Range"].removeprefix("bytes=").partition("-")[0])
    assert 8 * MIB < start <= 11 * MIB
    assert resumed.headers["If-Range"] == '"1"'
    assert all("Range" in request.headers for request in file_requests(server))


def test_file_replaced_between_two_ranges_is_downloaded_again(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    changed = bytes(byte ^ 255 for byte in LARGE)

    def replace(call: Call) -> None:
        is_first = call.request.headers.get("Range", "").startswith("bytes=0-")
        serve_range(call, '"1"' if is_first else '"2"')
        server.files["Large/1/model.bin"] = changed

    server.faults["/model.bin"] = replace
    assert fetch(server, client, tmp_path) == changed


def test_file_replaced_during_an_interrupted_range_download_is_downloaded_again_completely(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    changed = bytes(byte ^ 255 for byte in LARGE)
    is_replaced = threading.Event()

    def replace(call: Call) -> None:
        header = call.request.headers.get("Range", "")
        if header.startswith("bytes=0-"):
            serve_range(call, until=MIB)
        elif header.endswith("-8388607") or not header:
            server.files["Large/1/model.bin"] = changed
            serve_range(call, '"2"')
            is_replaced.set()
        else:
            # The other ranges of the old file arrive after the new file.
            is_replaced.wait(10)
            start, stop = (int(number) for number in header.removeprefix("bytes=").split("-"))
            content_range = f"bytes {start}-{stop}/{len(LARGE)}"
            call.send(LARGE[start : stop + 1], 206, content_range=content_range, etag='"1"')

    server.faults["/model.bin"] = replace
    assert fetch(server, client, tmp_path) == changed


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
def test_range_response_with_wrong_range_or_etag_is_discarded(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path, headers: dict[str, str]
) -> None:
    def send_wrong_headers(call: Call) -> None:
        if "Range" not in call.request.headers:
            call.send(call.file)
            return
        correct_headers = {"content_range": f"bytes 0-{8 * MIB - 1}/{len(LARGE)}", "etag": '"1"'}
        call.send(LARGE[: 8 * MIB], 206, **correct_headers | headers)

    server.faults["/model.bin"] = send_wrong_headers
    assert fetch(server, client, tmp_path) == LARGE
    assert [request.headers.get("Range") for request in file_requests(server)] == ["bytes=0-8388607", None]


def test_later_range_response_with_status_200_is_discarded(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    def send_wrong_status(call: Call) -> None:
        header = call.request.headers.get("Range", "")
        if not header or header.startswith("bytes=0-"):
            serve_range(call)
            return
        start, stop = (int(number) for number in header.removeprefix("bytes=").split("-"))
        content_range = f"bytes {start}-{stop}/{len(LARGE)}"
        call.send(bytes(stop + 1 - start), 200, content_range=content_range, etag='"1"')

    server.faults["/model.bin"] = send_wrong_status
    assert fetch(server, client, tmp_path) == LARGE


def test_server_without_range_support_gets_only_one_request_for_a_file(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    server.faults["/model.bin"] = lambda call: call.send(call.file)
    assert fetch(server, client, tmp_path) == LARGE
    assert len(file_requests(server)) == 1


def test_gzip_encoded_file_is_downloaded_and_decoded_by_mlflow(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    small = b"small " * 1000
    server.files["Large/1/model.bin"] = small
    server.faults["/model.bin"] = lambda call: call.send(gzip.compress(call.file), content_encoding="gzip")
    assert fetch(server, client, tmp_path, len(small)) == small


def test_throttled_range_request_is_repeated(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    throttled: list[str] = []

    def throttle(call: Call) -> None:
        if len(throttled) < 3:
            throttled.append("")
            call.send(b"", 429, retry_after="1")
        else:
            serve_range(call)

    server.faults["/model.bin"] = throttle
    assert fetch(server, client, tmp_path) == LARGE
    assert all("Range" in request.headers for request in file_requests(server))


def test_repeatedly_broken_download_is_an_error(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    server.faults["/model.bin"] = lambda call: (
        serve_range(call, until=1000) if "Range" in call.request.headers else break_off(call)
    )
    with pytest.raises(ModelGateError) as raised:
        fetch(server, client, tmp_path)
    assert raised.value.remedy


def test_changed_last_byte_of_a_large_file_is_a_difference(tmp_path: Path, server: FaultyServer) -> None:
    changed = LARGE[:-1] + bytes([LARGE[-1] ^ 1])
    server.add("Copy", {"MLmodel": b"flavors: {}\n", "model.bin": changed})
    server.downloads["Large", "1"] = server.sources["Copy", "1"]
    ran = check(tmp_path, server.url, "Large", "1")
    (difference,) = ran.report["comparison"]["differences"]
    assert (ran.status, difference["path"]) == ("different", "model.bin")
    assert difference["offset"] == len(LARGE) - 1
    server.files["Copy/1/model.bin"] = LARGE
    assert check(tmp_path, server.url, "Large", "1").status == "equal"


def test_two_file_versions_are_not_mixed_if_the_server_ignores_if_range_headers(
    server: FaultyServer, client: TrackingServerClient, tmp_path: Path
) -> None:
    changed = bytes(byte ^ 255 for byte in LARGE)

    def ignore_if_range(call: Call) -> None:
        header = call.request.headers.get("Range", "")
        if not header:
            call.send(changed)
            return
        start, stop = (int(number) for number in header.removeprefix("bytes=").split("-"))
        content, etag = (LARGE, '"1"') if start == 0 else (changed, '"2"')
        content_range = f"bytes {start}-{stop}/{len(LARGE)}"
        call.send(content[start : stop + 1], 206, content_range=content_range, etag=etag)

    server.faults["/model.bin"] = ignore_if_range
    assert fetch(server, client, tmp_path) == changed
