"""The client for files reads no more than a response may have, and no bytes that follow a response."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from model_gate.domain.limits import LIMITS
from model_gate.errors import TransferError
from model_gate.worker.transfer.http_client import HttpClient
from tests.support.certificates import certificates
from tests.support.faulty_server import ARTIFACTS, Call, FaultyServer

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


# `http.client` reads this much at once. What follows stays in the TLS layer, where the socket does not show it.
_BUFFER_BYTES = 8192
_NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSTOLEN"


def send_two_responses(call: Call) -> None:
    """Send a response that fills the reader's buffer, and one that nobody requested."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %05d\r\n\r\n"
    size = _BUFFER_BYTES - len(head % 0)
    call.handler.wfile.write(head % size + bytes(size) + _NEXT)
    call.handler.wfile.flush()


@pytest.mark.parametrize("has_tls", [True, False], ids=["tls", "plain"])
def test_bytes_after_a_response_are_never_the_next_response(has_tls: bool, tmp_path: Path) -> None:
    authority, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    faults = {"first": send_two_responses, "file": lambda call: call.send(b"right!")}
    with FaultyServer(tls=context if has_tls else None, faults=faults) as server:
        request = requests.Request("GET", server.url).prepare()
        client = HttpClient.from_request(request, str(authority), None)
        assert client is not None
        for path, start in (("first", b"\0"), ("file", b"right!"), ("file", b"right!")):
            with client.get(f"{server.url}/{path}", {}) as response:
                assert response.read().startswith(start)
