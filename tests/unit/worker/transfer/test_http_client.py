"""The client for files: the size of its responses, and the connections that it uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import requests

from model_gate.domain.limits import LIMITS
from model_gate.errors import TransferError
from model_gate.worker.transfer.http_client import HttpClient
from tests.support.faulty_server import ARTIFACTS, FaultyServer

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


class _Recorder(BaseHTTPRequestHandler):
    """Answers each request, and records the address of the client, which identifies the connection."""

    protocol_version = "HTTP/1.1"
    addresses: ClassVar[list[object]]

    def do_GET(self) -> None:
        self.addresses.append(self.client_address)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if self.path == "/last":
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Do not log."""


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[object]]]:
    """A server: its address, and the connection of each of its requests."""

    class Handler(_Recorder):
        addresses: ClassVar[list[object]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Handler.addresses
        server.shutdown()


def client_after(session: requests.Session, url: str) -> HttpClient:
    """Return a client that is made from the response to a request of a session."""
    response = session.get(url)
    client = HttpClient.from_request(response.request, True, None, response.connection)
    assert client is not None
    return client


def test_client_uses_the_idle_connections_of_its_adapter(recorder: tuple[str, list[object]]) -> None:
    url, connections = recorder
    with requests.Session() as session:
        client = client_after(session, url)
        for _ in range(3):
            with client.get(f"{url}/file", {}) as response:
                assert response.status == 200
    assert len(connections) == 4
    assert len(set(connections)) == 1


def test_connection_of_the_adapter_that_the_server_has_closed_is_replaced(recorder: tuple[str, list[object]]) -> None:
    url, connections = recorder
    with requests.Session() as session:
        client = client_after(session, f"{url}/last")
        with client.get(f"{url}/file", {}) as response:
            assert response.status == 200
    assert len(set(connections)) == 2


def test_requests_at_once_never_share_a_connection(recorder: tuple[str, list[object]]) -> None:
    url, connections = recorder
    with requests.Session() as session:
        client = client_after(session, url)
        with client.get(f"{url}/a", {}), client.get(f"{url}/b", {}), client.get(f"{url}/c", {}):
            session.get(f"{url}/d")
    assert len(set(connections)) == 4
