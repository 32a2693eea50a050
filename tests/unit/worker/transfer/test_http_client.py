"""The client for files reads no more than a response may have, and no bytes that follow a response."""

from __future__ import annotations

import gc
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil
import pytest
import requests
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from model_gate.domain.limits import LIMITS
from model_gate.errors import TransferError
from model_gate.worker.response_limits import ResponseLimits
from model_gate.worker.transfer.http_client import HttpClient
from model_gate.worker.transfer.idle_connections import require_all_settled
from tests.support.certificates import certificates
from tests.support.faulty_server import ARTIFACTS, Call, Fault, FaultyServer

# The client leaves its connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(files={"file": bytes(LIMITS.response_bytes)}) as started:
        yield started


def read(url: str) -> bytes:
    client = HttpClient.from_request(requests.Request("GET", url).prepare(), False, None)
    assert client is not None
    with client.get(url, {}) as response:
        return response.read()


def test_body_beyond_the_limit_of_responses_is_an_error(server: FaultyServer) -> None:
    url = f"{server.url}{ARTIFACTS}/file"
    assert len(read(url)) == LIMITS.response_bytes
    server.files["file"] += b"x"
    with pytest.raises(TransferError, match=f"more than {LIMITS.response_bytes:,} bytes"):
        read(url)


@pytest.mark.parametrize("is_silent_before_head", [True, False])
def test_limit_for_the_head_does_not_limit_the_body(server: FaultyServer, is_silent_before_head: bool) -> None:
    def pause(call: Call) -> None:
        if is_silent_before_head:
            time.sleep(1)
        call.handler.wfile.write(_HEAD % 4)
        call.handler.wfile.flush()
        time.sleep(1)
        call.handler.wfile.write(b"body")

    server.faults["file"] = pause
    url = f"{server.url}{ARTIFACTS}/file"
    client = HttpClient.from_request(requests.Request("GET", url).prepare(), False, None)
    assert client is not None
    expected = pytest.raises(ReadTimeoutError) if is_silent_before_head else nullcontext()
    with expected, client.get(url, {}, 0.5) as response:
        assert response.read() == b"body"


# `http.client` reads this much at once. What follows stays in the TLS layer, where the socket does not show it.
_BUFFER_BYTES = 8192
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %05d\r\n\r\n"
_EXTRA = _HEAD % 6 + b"STOLEN"
_IN_BUFFER, _AFTER_BUFFER = 100, _BUFFER_BYTES - len(_HEAD % 0)
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


def response_and(extra: bytes, size: int = _IN_BUFFER, pause: float = 0) -> Fault:
    """Return a function that sends a response with a body of `size` bytes, and other bytes after a pause."""

    def send(call: Call) -> None:
        stream = call.handler.wfile
        stream.write(_HEAD % size + bytes(size))
        if pause:
            stream.flush()
            time.sleep(pause)
        stream.write(extra)
        stream.flush()

    return send


@pytest.fixture
def settle() -> Callable[[], None]:
    """Return what checks the responses since the start of the test."""
    start = time.monotonic()
    return lambda: require_all_settled(start)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[FaultyServer, HttpClient]]:
    authority, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    # The limits also install the response class that keeps the bytes after a response.
    limits = ResponseLimits()
    limits.install()
    try:
        with FaultyServer(tls=context if request.param else None) as server:
            server.faults["right"] = lambda call: call.send(b"right!")
            prepared = requests.Request("GET", server.url).prepare()
            started = HttpClient.from_request(prepared, str(authority), None)
            assert started is not None
            yield server, started
    finally:
        limits.remove()


def get(client: tuple[FaultyServer, HttpClient], path: str) -> bytes:
    server, sender = client
    with sender.get(f"{server.url}/{path}", {}) as response:
        return response.read()


@pytest.mark.parametrize("size", [_IN_BUFFER, _AFTER_BUFFER])
def test_response_to_no_request_is_an_error(client: tuple[FaultyServer, HttpClient], size: int) -> None:
    client[0].faults["first"] = response_and(_EXTRA, size)

    def get_both() -> None:
        for path in ("first", "right"):
            assert b"STOLEN" not in get(client, path)

    with pytest.raises(TransferError, match="sends a response to no request"):
        get_both()


def test_late_response_to_no_request_is_an_error_at_the_next_request(client: tuple[FaultyServer, HttpClient]) -> None:
    client[0].faults["first"] = response_and(_EXTRA, pause=0.1)
    get(client, "first")
    time.sleep(0.3)
    with pytest.raises(TransferError, match="sends a response to no request"):
        get(client, "right")


def test_response_that_is_mixed_up_is_an_error_at_the_end(
    settle: Callable[[], None], client: tuple[FaultyServer, HttpClient]
) -> None:
    def answer_late(call: Call) -> None:
        time.sleep(0.2)
        call.send(b"right!")

    client[0].faults |= {"first": response_and(_EXTRA, pause=0.1), "right": answer_late}
    get(client, "first")
    assert get(client, "right") == b"STOLEN"
    time.sleep(0.4)
    with pytest.raises(TransferError, match="sends a response to no request"):
        settle()


def test_each_gate_of_a_run_gets_the_error_for_responses_that_are_mixed_up(
    settle: Callable[[], None],
    client: tuple[FaultyServer, HttpClient],
) -> None:
    client[0].faults["first"] = response_and(_EXTRA)
    for check in (lambda: get(client, "first"), settle, settle):
        with pytest.raises(TransferError, match="sends a response to no request"):
            check()


def test_error_about_mixed_up_responses_names_the_host_without_a_login(
    settle: Callable[[], None], tmp_path: Path
) -> None:
    with FaultyServer() as server:
        url = server.url.replace("//", "//ada:secret@")
        sender = HttpClient.from_request(requests.Request("GET", url).prepare(), False, None)
        assert sender is not None
        sender.suspect("data/model.bin")
        with pytest.raises(TransferError) as wrong_size:
            settle()
    message = f"The host {server.url} once sent a response of another size in place of data/model.bin."
    assert wrong_size.value.message.startswith(message)
    assert "no request" not in wrong_size.value.message


@pytest.mark.parametrize(
    "url, host",
    [
        ("http://host/a", "http://host"),
        ("http://host:80/a", "http://host"),
        ("https://host:443/a", "https://host"),
        ("https://host:80/a", "https://host:80"),
        ("http://[::1]:5000/a", "http://[::1]:5000"),
    ],
)
def test_host_is_named_as_users_write_it(settle: Callable[[], None], url: str, host: str) -> None:
    sender = HttpClient.from_request(requests.Request("GET", url).prepare(), False, None)
    assert sender is not None
    sender.suspect()
    with pytest.raises(TransferError, match=re.escape(f"The host {host} once sent")):
        settle()


def test_response_to_no_request_is_the_cause_although_a_response_had_another_size(
    settle: Callable[[], None],
    client: tuple[FaultyServer, HttpClient],
) -> None:
    server, sender = client
    server.faults["first"] = response_and(_EXTRA)
    message = f"The host {server.url} sends a response to no request."
    sender.suspect("file")
    with pytest.raises(TransferError, match=message):
        get(client, "first")
    sender.suspect("file")
    with pytest.raises(TransferError, match=message):
        settle()


@pytest.mark.parametrize("pause", [0, 0.1])
def test_response_to_no_request_is_an_error_although_its_client_is_gone(
    settle: Callable[[], None], pause: float
) -> None:
    with FaultyServer() as server:
        server.faults["first"] = response_and(_EXTRA, _AFTER_BUFFER, pause)
        sender = HttpClient.from_request(requests.Request("GET", server.url).prepare(), False, None)
        assert sender is not None
        with suppress(TransferError):
            get((server, sender), "first")
        del sender
        gc.collect()
        time.sleep(2 * pause)
        with pytest.raises(TransferError, match="sends a response to no request"):
            settle()


def test_response_of_another_size_is_an_error_although_its_client_is_gone(settle: Callable[[], None]) -> None:
    sender = HttpClient.from_request(requests.Request("GET", "http://host/a").prepare(), False, None)
    assert sender is not None
    sender.suspect("a")
    del sender
    gc.collect()
    for _ in range(2):
        with pytest.raises(TransferError, match="once sent a response of another size in place of a"):
            settle()


def test_response_of_another_size_before_the_start_of_a_gate_is_no_error_of_the_gate() -> None:
    sender = HttpClient.from_request(requests.Request("GET", "http://host/a").prepare(), False, None)
    assert sender is not None
    sender.suspect("a")
    time.sleep(0.02)
    require_all_settled(time.monotonic())
    with pytest.raises(TransferError):
        require_all_settled(time.monotonic() - 10)


@pytest.mark.parametrize("is_settled", [True, False])
def test_few_connections_of_clients_that_are_gone_stay_open(settle: Callable[[], None], is_settled: bool) -> None:
    with FaultyServer() as server:
        server.faults["right"] = lambda call: call.send(b"right!")
        before = psutil.Process().num_fds()
        for _ in range(150):
            assert read(f"{server.url}/right") == b"right!"
        gc.collect()
        # A connection stays open for 20 ms, so that the response to another gate's request is noticed.
        time.sleep(0.1)
        if is_settled:
            settle()
        else:
            assert read(f"{server.url}/right") == b"right!"
        deadline = time.monotonic() + 10
        # The server has a descriptor of this process for each connection too.
        while psutil.Process().num_fds() > before + 2 * 66:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_response_to_no_request_on_a_connection_that_is_closed_early_is_an_error(settle: Callable[[], None]) -> None:
    with FaultyServer() as server:
        server.faults |= {"first": response_and(_EXTRA, pause=0.1), "right": lambda call: call.send(b"right!")}
        read(f"{server.url}/first")
        time.sleep(0.2)
        for _ in range(150):
            read(f"{server.url}/right")
        gc.collect()
        time.sleep(0.1)
        read(f"{server.url}/right")
        with pytest.raises(TransferError, match="sends a response to no request"):
            settle()


@pytest.mark.parametrize("end, is_whole", [(b"0\r\n\r\n", True), (b"0\r\n", True), (b"0", False), (b"00", False)])
def test_size_of_a_chunk_that_breaks_off_is_no_end_of_the_body(
    client: tuple[FaultyServer, HttpClient], end: bytes, is_whole: bool
) -> None:
    def send(call: Call) -> None:
        call.handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nright\r\n" + end)
        call.handler.close_connection = True

    server, sender = client
    server.faults["right"] = send
    with nullcontext() if is_whole else pytest.raises(HTTPError), sender.get("/right", {}) as response:
        assert response.read() == b"right"


@pytest.mark.parametrize("extra", [b"", b"\r\n", TIMEOUT, b"\r\n" + TIMEOUT])
@pytest.mark.parametrize("size", [_IN_BUFFER, _AFTER_BUFFER])
def test_bytes_that_are_no_response_to_a_request_for_a_file_are_harmless(
    settle: Callable[[], None], client: tuple[FaultyServer, HttpClient], extra: bytes, size: int
) -> None:
    client[0].faults["first"] = response_and(extra, size)
    for _ in range(2):
        assert get(client, "first") == bytes(size)
        assert get(client, "right") == b"right!"
    settle()


@pytest.mark.parametrize("name", ["Content-Range", "ETag", "Content-Encoding"])
@pytest.mark.parametrize("values, is_ambiguous", [(["x", "y"], True), (["x", "x"], False)])
def test_header_about_the_body_with_two_values_is_an_error(name: str, values: list[str], is_ambiguous: bool) -> None:
    def respond(call: Call) -> None:
        call.handler.send_response(200)
        for value in values:
            call.handler.send_header(name, value)
        call.handler.send_header("Content-Length", "0")
        call.handler.end_headers()

    with FaultyServer(faults={"/file": respond}) as server:
        request = requests.Request("GET", f"{server.url}/").prepare()
        client = HttpClient.from_request(request, verify=True, cert=None)
        assert client is not None
        expected = pytest.raises(ProtocolError, match=f"{name} has several") if is_ambiguous else nullcontext()
        with expected, client.get(f"{server.url}/file", {}) as response:
            assert response.status == 200
