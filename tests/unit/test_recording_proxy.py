"""The recording proxy of the tests changes no response, and its record shows a credential at a wrong origin."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from tests.support.destinations import Destinations
from tests.support.faulty_server import ARTIFACTS, MODEL, Fault, FaultyServer, break_off, drop_last_chunk, hang_up
from tests.support.hostile import stream_endlessly
from tests.support.listener import Listener
from tests.support.recording_proxy import RecordingProxy

LOGIN = {"Authorization": "Basic YWRhOnNlY3JldC1vZi10aGUtdGVzdA=="}


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    with RecordingProxy() as started:
        yield started


def get(proxy: RecordingProxy, url: str, size: int | None = None) -> tuple[int, bytes]:
    """Request a URL through the proxy. Return the status and the first bytes of the body."""
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", url, headers=LOGIN)
        response = connection.getresponse()
        return response.status, response.read(size)
    finally:
        connection.close()


@pytest.mark.parametrize(
    "fault, error",
    [
        (break_off, http.client.IncompleteRead),
        (drop_last_chunk, http.client.IncompleteRead),
        (hang_up, http.client.RemoteDisconnected),
    ],
)
def test_broken_response_arrives_broken(proxy: RecordingProxy, fault: Fault, error: type[Exception]) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        url = f"{server.url}{ARTIFACTS}/Wine/1/model.pkl"
        assert get(proxy, url) == (200, MODEL["model.pkl"])
        server.faults["/model.pkl"] = fault
        with pytest.raises(error):
            get(proxy, url)


def test_endless_response_arrives_before_its_end(proxy: RecordingProxy) -> None:
    with FaultyServer(faults={"/endless": stream_endlessly}) as server:
        assert get(proxy, f"{server.url}/endless", 1_000_000) == (200, b"x" * 1_000_000)


@pytest.mark.parametrize("url", ["http://10.0.0.1/x", "http://mlflow.example.com/x", "http://127.0.0.1.example.com/x"])
def test_request_to_another_machine_is_refused_and_recorded(proxy: RecordingProxy, url: str) -> None:
    assert get(proxy, url)[0] == 403
    (request,) = proxy.take()
    assert (request.method, request.origin, request.path) == ("GET", f"{url.removesuffix('/x')}:80", "/x")


def test_tunnel_to_this_machine_is_opened_and_recorded(proxy: RecordingProxy) -> None:
    with Listener() as listener:
        connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=10)
        connection.set_tunnel("127.0.0.1", listener.port)
        connection.connect()
        connection.send(b"hello")
        assert connection.sock.recv(1) == b""
        connection.close()
    assert listener.received == b"hello"
    assert [(each.method, each.origin) for each in proxy.take()] == [("CONNECT", f"https://127.0.0.1:{listener.port}")]


@pytest.mark.parametrize(
    "query, own, message",
    [
        ("", ["secret-of-the-test"], ""),
        ("", [], "they do not belong to"),
        ("", None, "is not declared"),
        ("", ["another-secret"], "they do not belong to"),
        ("?sig=a%2Fsas%3D", ["secret-of-the-test"], "they do not belong to"),
    ],
)
def test_undeclared_request_fails_a_test(
    proxy: RecordingProxy, query: str, own: list[str] | None, message: str
) -> None:
    destinations = Destinations(secrets={"secret-of-the-test", "a/sas="})
    with FaultyServer() as server:
        get(proxy, f"{server.url}/x{query}")
        if own is not None:
            destinations.add(server.url, *own)
    if not message:
        destinations.require(proxy.take())
        return
    with pytest.raises(AssertionError, match=message):
        destinations.require(proxy.take())


def test_unknown_login_fails_a_test(proxy: RecordingProxy) -> None:
    with FaultyServer() as server:
        get(proxy, f"{server.url}/x")
        with pytest.raises(AssertionError, match="no such login is declared"):
            Destinations.to(server.url).require(proxy.take())
