"""Tests of downloads by presigned URLs: ranges, new URLs after failures, retries, time limits, and secret URLs."""

from __future__ import annotations

import random
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_gate.domain.origin import parse_store_endpoints
from model_gate.errors import AccessError, ModelGateError, NotFoundError, TransferError, UnreachableError
from model_gate.worker.network import guard_statuses
from model_gate.worker.progress import TransferProgress
from model_gate.worker.transfer.byte_range import ByteRange, split_into_ranges
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts
from model_gate.worker.transfer.presigned_url import PresignedStore, PresignedUrl, Timeouts
from tests.support.faulty_server import (
    ARTIFACTS,
    Call,
    Fault,
    FaultyServer,
    Request,
    never_respond,
    serve_range,
    status,
)

MIB = 1024 * 1024
LARGE = random.Random(2).randbytes(20 * MIB + 1)
FIRST, MIDDLE, LAST = RANGES = [byte_range.header for byte_range in split_into_ranges(len(LARGE))]
QUERY = "?X-Amz-Signature=0123456789abcdef&X-Amz-Expires=900"
NO_RETRY = Timeouts(retry=0)


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        started.files["model.bin"] = LARGE
        started.faults["/model.bin"] = serve_range
        yield started


class RecordingLimiter(ConcurrencyLimiter):
    """A limiter that records the expected size of each request, and counts the throttled requests."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.throttled_count = 0

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        self.sizes.append(size)
        with super().request(size):
            yield

    def throttled(self) -> None:
        self.throttled_count += 1
        super().throttled()


class Download:
    """A download of one file by presigned URLs. The query of each URL has its number: 1 for the first URL."""

    def __init__(
        self, url: str, directory: Path, headers: Mapping[str, str] | None = None, timeouts: Timeouts | None = None
    ) -> None:
        self.limiter = RecordingLimiter()
        self.url_count = 0
        self._url = f"{url}{ARTIFACTS}/model.bin{QUERY}"
        self._headers = headers or {}
        self._store = PresignedStore(self.limiter, parse_store_endpoints(url), timeouts)
        self._destination = directory / "fetched"
        self._destination.touch()

    def fetch(self, size: int = len(LARGE)) -> bytes:
        self._store.fetch(self._request_url, "data/model.bin", size, str(self._destination), lambda _: None)
        return self._destination.read_bytes()

    def open(self) -> FileParts:
        return self._store.open(self._request_url, "data/model.bin", len(LARGE))

    def _request_url(self) -> PresignedUrl:
        self.url_count += 1
        return PresignedUrl(f"{self._url}&number={self.url_count}", self._headers)


@pytest.fixture
def download(server: FaultyServer, tmp_path: Path) -> Download:
    return Download(server.url, tmp_path)


def range_headers(requests: list[Request]) -> list[str]:
    return [request.headers.get("Range", "") for request in requests]


def fail_first_request(call: Call, statuses: Mapping[str, int], **headers: str) -> None:
    """Answer the first request for each Range header in `statuses` with its status, and all others with the range."""
    header = call.request.headers.get("Range", "")
    is_first = range_headers(call.server.requests).count(header) == 1
    if is_first and header in statuses:
        call.send(b"", statuses[header], **headers)
    else:
        serve_range(call)


def test_each_range_request_has_the_headers_of_the_presigned_url(server: FaultyServer, tmp_path: Path) -> None:
    assert Download(server.url, tmp_path, {"x-amz-signed": "yes"}).fetch() == LARGE
    assert sorted(range_headers(server.requests)) == sorted(RANGES)
    assert {request.headers["x-amz-signed"] for request in server.requests} == {"yes"}
    assert {request.headers["Accept-Encoding"] for request in server.requests} == {"identity"}
    assert server.authorizations == {None}


@pytest.mark.parametrize("name", ["Range", "range", "x-ms-range", "If-Range"])
def test_presigned_url_that_includes_a_range_header_gets_one_request(
    server: FaultyServer, tmp_path: Path, name: str
) -> None:
    server.faults["/model.bin"] = lambda call: call.send(call.file)
    assert Download(server.url, tmp_path, {name: "bytes=0-"}).fetch() == LARGE
    (request,) = server.requests
    assert {key: value for key, value in request.headers.items() if "range" in key.lower()} == {name: "bytes=0-"}


@pytest.mark.parametrize("listed_size", [MIB, 2 * MIB])
def test_small_file_that_differs_from_its_listed_size_is_requested_once(
    server: FaultyServer, download: Download, listed_size: int
) -> None:
    server.files["model.bin"] = LARGE[:MIB]
    # The download accepts any size, because its caller checks the size.
    assert download.fetch(listed_size) == LARGE[:MIB]
    assert range_headers(server.requests) == [""]
    assert (download.url_count, download.limiter.sizes) == (1, [listed_size])


def test_two_ranges_rejected_for_an_expired_url_share_one_new_url(server: FaultyServer, download: Download) -> None:
    last_received, new_url_used = threading.Event(), threading.Event()

    def expire(call: Call) -> None:
        header = call.request.headers["Range"]
        if call.request.query["number"] != ["1"]:
            new_url_used.set()
        elif header == MIDDLE:
            last_received.wait(10)
            call.send(b"", 403)
            return
        elif header == LAST:
            # The last range is rejected after the middle range has started to use a new URL.
            last_received.set()
            new_url_used.wait(10)
            call.send(b"", 403)
            return
        serve_range(call)

    server.faults["/model.bin"] = expire
    assert download.fetch() == LARGE
    assert download.url_count == 2
    assert sorted(range_headers(server.requests)) == sorted([*RANGES, MIDDLE, LAST])


def test_whole_file_is_requested_after_empty_range_responses(server: FaultyServer, download: Download) -> None:
    server.faults["/model.bin"] = lambda call: serve_range(call, until=0 if "Range" in call.request.headers else None)
    assert download.fetch() == LARGE
    assert range_headers(server.requests)[-1] == ""


def test_reported_progress_counts_no_byte_twice_after_a_restart() -> None:
    messages: list[dict[str, int]] = []
    progress = TransferProgress(messages.append)
    for mebibytes in (5, 8, 10):
        progress.restart()
        progress.add(mebibytes * MIB)
    assert sum(message["bytes"] for message in messages) == 10 * MIB


def test_whole_file_is_requested_after_an_unsatisfiable_range(server: FaultyServer, download: Download) -> None:
    server.faults["/model.bin"] = lambda call: fail_first_request(call, {FIRST: 416})
    assert download.fetch() == LARGE
    assert range_headers(server.requests) == [FIRST, ""]


@pytest.mark.parametrize("code, throttled_count", [(429, 1), (503, 1), (500, 0)])
def test_only_a_throttling_status_lowers_the_concurrency_limit(
    server: FaultyServer, download: Download, code: int, throttled_count: int
) -> None:
    server.faults["/model.bin"] = lambda call: fail_first_request(call, {FIRST: code}, retry_after="0")
    assert download.fetch() == LARGE
    assert download.limiter.throttled_count == throttled_count
    # The first range is requested twice.
    assert sorted(range_headers(server.requests)) == sorted([FIRST, *RANGES])


def test_store_that_asks_for_a_too_long_wait_is_an_error_at_once(server: FaultyServer, download: Download) -> None:
    server.faults["/model.bin"] = status(503, retry_after="3600")
    started = time.monotonic()
    with pytest.raises(UnreachableError, match="it is busy"):
        download.fetch()
    assert time.monotonic() - started < 5
    assert len(server.requests) == 1


@pytest.mark.parametrize("size", [MIB, len(LARGE)])
def test_request_to_a_busy_store_is_tried_four_times(server: FaultyServer, download: Download, size: int) -> None:
    server.faults["/model.bin"] = status(503, retry_after="0")
    with pytest.raises(UnreachableError, match="it is busy"):
        download.fetch(size)
    assert len(server.requests) == 4


@pytest.mark.parametrize("code", [400, 401, 403])
def test_store_that_rejects_even_a_new_url_is_an_error_of_access(
    server: FaultyServer, tmp_path: Path, code: int
) -> None:
    server.faults["/model.bin"] = status(code)
    download = Download(server.url, tmp_path, timeouts=Timeouts(retry=1.5))
    with pytest.raises(AccessError, match=rf"even with a fresh presigned URL \({code}\)"):
        download.fetch(MIB)
    assert download.url_count == 2


def test_unresponsive_store_gets_no_request_for_the_whole_file(server: FaultyServer, tmp_path: Path) -> None:
    server.faults["/model.bin"] = never_respond
    with pytest.raises(UnreachableError, match="does not answer in time"):
        Download(server.url, tmp_path, timeouts=Timeouts(read=0.5, retry=2)).fetch()
    assert set(range_headers(server.requests)) == {FIRST}


def test_missing_file_error_ends_parallel_range_requests_that_wait_for_a_retry(
    server: FaultyServer, download: Download
) -> None:
    statuses = {MIDDLE: 503, LAST: 404}
    server.faults["/model.bin"] = lambda call: fail_first_request(call, statuses, retry_after="15")
    started = time.monotonic()
    with pytest.raises(NotFoundError, match="does not exist in the store"):
        download.fetch()
    assert time.monotonic() - started < 10
    assert sorted(range_headers(server.requests)) == sorted(RANGES)


@pytest.mark.parametrize("size", [MIB, len(LARGE)])
@pytest.mark.parametrize("code", [410, 416, 503, 403])
def test_traceback_of_a_failed_request_does_not_contain_the_url(
    server: FaultyServer, tmp_path: Path, code: int, size: int
) -> None:
    server.faults["/model.bin"] = status(code)
    text = traceback_of_failure(Download(server.url, tmp_path, timeouts=NO_RETRY), size)
    assert str(code) in text


# The guard stays installed for later tests in this process. None of them needs a response that it rejects.
@pytest.mark.parametrize("code", [206, 226, 302])
def test_whole_file_with_another_status_than_200_is_an_error(server: FaultyServer, tmp_path: Path, code: int) -> None:
    guard_statuses()
    server.faults["/model.bin"] = status(code)
    with pytest.raises(TransferError, match=f"with status {code}"):
        Download(server.url, tmp_path, timeouts=NO_RETRY).fetch(MIB)


def test_text_of_a_presigned_url_has_no_secret() -> None:
    presigned = PresignedUrl(f"https://user:secret@store.example.com/model.bin{QUERY}", {"Authorization": "secret"})
    assert presigned.host == "store.example.com"
    for secret in ("Signature", "secret", "model.bin"):
        assert secret not in repr(presigned)


@pytest.mark.parametrize("size", [MIB, len(LARGE)])
def test_traceback_of_an_unreachable_store_has_the_reason_without_the_url(tmp_path: Path, size: int) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        text = traceback_of_failure(Download(url, tmp_path, timeouts=NO_RETRY), size)
    assert "Connection refused" in text


def traceback_of_failure(download: Download, size: int) -> str:
    """Return the traceback of a failed download, and check that it has no part of the presigned URL's path or query."""
    with pytest.raises(ModelGateError) as caught:
        download.fetch(size)
    assert "data/model.bin" in caught.value.message
    text = "".join(traceback.format_exception(caught.value))
    for secret in ("Signature", "0123456789abcdef", "Expires", ARTIFACTS):
        assert secret not in text
    return text


def send_part(call: Call, *, length: int, etag: str) -> None:
    start, stop = (int(number) for number in call.request.headers["Range"].removeprefix("bytes=").split("-"))
    content = LARGE[start : stop + 1]
    content_range = f"bytes {start}-{stop}/{len(LARGE)}"
    call.send(content[:length], 206, content_length=str(len(content)), content_range=content_range, etag=etag)


def cut_before_first_byte(call: Call) -> None:
    send_part(call, length=0, etag='"1"')
    call.close()


def send_other_version(call: Call) -> None:
    send_part(call, length=MIB, etag='"2"')


@pytest.mark.parametrize("fault", [cut_before_first_byte, send_other_version])
def test_part_can_be_requested_after_another_part_failed_in_its_body(
    server: FaultyServer, tmp_path: Path, fault: Fault
) -> None:
    faults = [fault]

    def serve(call: Call) -> None:
        if "Range" in call.request.headers and faults:
            faults.pop()(call)
        else:
            serve_range(call)

    server.faults["/model.bin"] = serve
    parts = Download(server.url, tmp_path).open()
    destination = tmp_path / "part"
    destination.touch()
    try:
        parts.read(ByteRange(0, MIB), str(destination), lambda _: None)
        if fault is send_other_version:
            with pytest.raises(ModelGateError):
                parts.read_again(ByteRange(5, 500), str(destination))
        parts.read_again(ByteRange(5, 500), str(destination))
        assert destination.read_bytes()[:495] == LARGE[5:500]
    finally:
        parts.close()


def test_parts_can_be_read_again_after_the_reads_were_stopped(server: FaultyServer, tmp_path: Path) -> None:
    has_begun = threading.Event()

    def serve(call: Call) -> None:
        if "Range" in call.request.headers and not has_begun.is_set():
            content_range = call.request.headers["Range"].replace("=", " ") + f"/{len(LARGE)}"
            call.handler.send_response(206)
            for name, value in {"Content-Length": str(MIB), "Content-Range": content_range, "ETag": '"1"'}.items():
                call.handler.send_header(name, value)
            call.handler.end_headers()
            call.handler.wfile.write(bytes(1000))
            has_begun.set()
            time.sleep(0.3)
            call.handler.wfile.write(bytes(MIB - 1000))
        else:
            serve_range(call)

    server.faults["/model.bin"] = serve
    parts = Download(server.url, tmp_path).open()
    for name in ("0", "1", "again"):
        (tmp_path / name).touch()
    parts.read(ByteRange(0, MIB), str(tmp_path / "0"), lambda _: None)
    with ThreadPoolExecutor(1) as pool:
        probe = pool.submit(parts.read, ByteRange(2 * MIB, 3 * MIB), str(tmp_path / "1"), lambda _: None)
        assert has_begun.wait(5)
        parts.stop()
        with pytest.raises(ModelGateError, match="was ended"):
            probe.result(10)
    parts.read_again(ByteRange(5, 500), str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == LARGE[5:500]
    parts.close()
