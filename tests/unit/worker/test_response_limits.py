"""Responses are bounded below the libraries that read them: bytes on the wire, decompressed bytes, values and time."""

from __future__ import annotations

import gzip
import itertools
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import botocore.awsrequest
import botocore.exceptions
import botocore.httpsession
import pytest
import requests
import urllib3

from model_gate.domain.limits import Limits
from model_gate.errors import TransferError
from model_gate.worker.failures import exception_chain
from model_gate.worker.response_limits import ListingAllowance, ResponseLimits, downloading
from model_gate.worker.transfer.http_client import HttpClient
from tests.support.faulty_server import Call, FaultyServer
from tests.support.hostile import drip

LIMITS = replace(
    Limits(), response_bytes=100_000, file_slack=1_000, response_values=100, listing_values=150, slow_seconds=0.3
)
PATH = "/api/2.0/mlflow-artifacts/artifacts/file"


@pytest.fixture(autouse=True)
def _limited() -> Iterator[None]:
    limits = ResponseLimits(LIMITS)
    limits.install()
    yield
    limits.remove()


@pytest.fixture(scope="module")
def running_server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        yield started


@pytest.fixture
def server(running_server: FaultyServer) -> FaultyServer:
    """A server with one file of 100,000 bytes."""
    running_server.files = {"file": b"x" * 100_000}
    running_server.faults = {}
    return running_server


def _with_requests(url: str) -> bytes:
    return requests.get(url, timeout=5).content


def _streamed_with_requests(url: str) -> bytes:
    with requests.get(url, timeout=5, stream=True) as response:
        return b"".join(response.iter_content(None))


def _raw_with_requests(url: str) -> bytes:
    with requests.get(url, timeout=5, stream=True) as response:
        return bytes(response.raw.read(decode_content=True))


def _with_urllib3(url: str) -> bytes:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url, timeout=5).data


def _read1_with_urllib3(url: str) -> bytes:
    with urllib3.PoolManager() as pool, pool.request("GET", url, timeout=5, preload_content=False) as response:
        return b"".join(iter(response.read1, b""))


def _with_botocore(url: str) -> bytes:
    session = botocore.httpsession.URLLib3Session()
    try:
        return bytes(session.send(botocore.awsrequest.AWSRequest("GET", url).prepare()).content)
    finally:
        session.close()


def _with_http_client(url: str) -> bytes:
    request = requests.Request("GET", url).prepare()
    client = HttpClient.from_request(request, False, None)
    assert client is not None
    with client.get(url, {}) as response:
        return b"".join(iter(lambda: response.read1(65_536), b""))


_DECODING: list[Callable[[str], bytes]] = [
    _with_requests,
    _streamed_with_requests,
    _raw_with_requests,
    _with_urllib3,
    _read1_with_urllib3,
]
_WITH_URLLIB3 = [*_DECODING, _with_botocore]
_ALL = [*_WITH_URLLIB3, _with_http_client]


def _require_transfer_error(read: Callable[[str], bytes], url: str, text: str) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011  # the libraries wrap the error in their own
        read(url)
    causes = [cause for cause in exception_chain(raised.value) if isinstance(cause, TransferError)]
    assert causes, raised.value
    assert text in causes[0].message


def _chunked(call: Call) -> None:
    body = call.file
    call.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), content_length="", transfer_encoding="chunked")


def _compressed(call: Call) -> None:
    call.send(gzip.compress(call.file), content_encoding="gzip")


def _compressed_chunked(call: Call) -> None:
    body = gzip.compress(call.file)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:50], body[50:]))
    call.send(chunks + b"0\r\n\r\n", content_length="", content_encoding="gzip", transfer_encoding="chunked")


# botocore does not decompress.
_READS = [(read, fault) for read in _WITH_URLLIB3 for fault in (None, _chunked)] + [
    (read, fault) for read in _DECODING for fault in (_compressed, _compressed_chunked)
]


@pytest.mark.parametrize("read, fault", _READS)
def test_response_exactly_at_the_size_limit_is_read_unchanged(
    server: FaultyServer, read: Callable[[str], bytes], fault: Callable[[Call], None] | None
) -> None:
    if fault is not None:
        server.faults["/file"] = fault
    assert read(server.url + PATH) == server.files["file"]


def _send_interim(call: Call, status: int) -> None:
    call.handler.wfile.write(b"HTTP/1.1 %d Interim\r\nLink: </style.css>\r\n\r\n" % status)
    call.handler.wfile.flush()


@pytest.mark.parametrize("status", [100, 102, 103, 199])
@pytest.mark.parametrize("read", _ALL)
def test_interim_responses_are_skipped(server: FaultyServer, read: Callable[[str], bytes], status: int) -> None:
    def respond(call: Call) -> None:
        for _ in range(3):
            _send_interim(call, status)
        call.send(call.file)

    server.faults["/file"] = respond
    assert read(server.url + PATH) == server.files["file"]


@pytest.mark.parametrize("read", _ALL)
def test_switch_to_another_protocol_is_an_error(server: FaultyServer, read: Callable[[str], bytes]) -> None:
    server.faults["/file"] = lambda call: _send_interim(call, 101)
    with pytest.raises((requests.ConnectionError, urllib3.exceptions.HTTPError, botocore.exceptions.HTTPClientError)):
        read(server.url + PATH)


def test_endless_interim_responses_are_an_error(server: FaultyServer) -> None:
    def respond(call: Call) -> None:
        with suppress(OSError):
            while True:
                _send_interim(call, 103)

    server.faults["/file"] = respond
    _require_transfer_error(_with_requests, server.url + PATH, "more than")


@pytest.mark.parametrize("read, fault", _READS)
def test_response_above_the_size_limit_is_an_error(
    server: FaultyServer, read: Callable[[str], bytes], fault: Callable[[Call], None] | None
) -> None:
    server.files["file"] += b"y"
    if fault is not None:
        server.faults["/file"] = fault
    _require_transfer_error(read, server.url + PATH, "more than 100,000 bytes")


@pytest.mark.parametrize("read", _DECODING)
def test_body_is_decompressed_in_steps(server: FaultyServer, read: Callable[[str], bytes]) -> None:
    body = gzip.compress(bytes(64 * 1024**2))
    server.faults["/file"] = lambda call: call.send(body, content_encoding="gzip")
    tracemalloc.start()
    try:
        _require_transfer_error(read, server.url + PATH, "more than 100,000 bytes")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024**2


@pytest.mark.parametrize("read", _ALL)
def test_response_with_too_many_bytes_on_the_wire_is_an_error(
    server: FaultyServer, read: Callable[[str], bytes]
) -> None:
    server.files["file"] = b"x" * 3_000_000
    _require_transfer_error(read, server.url + PATH, "bytes")


@pytest.mark.parametrize("read", _WITH_URLLIB3)
def test_response_during_a_download_may_be_as_large_as_the_file(
    server: FaultyServer, read: Callable[[str], bytes]
) -> None:
    server.files["file"] = b"x" * 200_000
    with downloading(200_000, "model.pkl", LIMITS):
        assert read(server.url + PATH) == server.files["file"]
    with downloading(3, "model.pkl", LIMITS):
        _require_transfer_error(read, server.url + PATH, "for model.pkl, whose listed size is 3 bytes")


@pytest.mark.parametrize("read", _ALL)
def test_slow_response_is_an_error(server: FaultyServer, read: Callable[[str], bytes]) -> None:
    server.faults["/file"] = drip(0.05)
    start = time.monotonic()
    _require_transfer_error(read, server.url + PATH, "too slowly")
    assert time.monotonic() - start < 3


def test_pauses_do_not_prolong_a_slow_response_without_end(server: FaultyServer) -> None:
    server.files["file"] = b"x" * 50
    server.faults["/file"] = drip(0.02)
    times = itertools.count(1, 19)
    limits = ResponseLimits(LIMITS, lambda: float(next(times)))
    limits.install()
    try:
        _require_transfer_error(_with_urllib3, server.url + PATH, "too slowly")
    finally:
        limits.remove()


def test_slow_response_is_accepted_while_fast_responses_arrive(server: FaultyServer) -> None:
    server.files |= {"slow": b"x" * 20, "fast": b"x" * 50_000}
    server.faults["/slow"] = drip(0.05)
    with requests.get(server.url + PATH.replace("file", "slow"), timeout=5, stream=True) as slow:
        for number, _ in enumerate(slow.iter_content(1)):
            if number % 4 == 0:
                requests.get(server.url + PATH.replace("file", "fast"), timeout=5)


def test_json_text_with_too_many_values_is_an_error() -> None:
    assert json.loads("[" + "1," * 98 + "1]") == [1] * 99
    with pytest.raises(TransferError, match="101 JSON values"):
        json.loads("[" + "1," * 100 + "1]")


def test_number_of_json_values_in_a_whole_listing_is_limited() -> None:
    text = "[" + "1," * 98 + "1]"
    counted = ListingAllowance(LIMITS)
    with counted():
        json.loads(text)
    with counted(), pytest.raises(TransferError, match="too many JSON values"):
        json.loads(text)
    json.loads(text)
