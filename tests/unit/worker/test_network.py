"""Redirects within one origin, responses without a misleading status, and presigned URLs to public addresses only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from model_gate.domain.origin import parse_store_endpoints
from model_gate.errors import ModelError, TransferError, UnreachableError
from model_gate.worker.network import (
    guard_azure_redirects,
    guard_redirects,
    guard_statuses,
    require_same_origin,
)
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.presigned_url import PresignedStore, PresignedUrl, Timeouts
from tests.support.faulty_server import Call, FaultyServer, status
from tests.support.listener import Listener


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    # The guards stay installed for later tests in this process. None of them needs a response that they reject.
    guard_redirects()
    guard_statuses()
    with FaultyServer() as started:
        yield started


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as started:
        yield started


def redirect(server: FaultyServer, path: str, location: str, status: int = 302) -> None:
    server.faults[path] = lambda call: call.send(b"", status, location=location)


@pytest.mark.parametrize(
    "location",
    [
        "http://mlflow.example.com/login",
        "https://mlflow.example.com:8443/login",
        "https://login.example.com/",
        "//login.example.com/",
        "https://mlflow.example.com@login.example.com/",
        "https://login.example.com\\@mlflow.example.com/",
        "https://mlflow.example.com./login",
        "HTTP:mlflow.example.com",
        "ftp://mlflow.example.com/",
    ],
)
def test_redirect_to_another_origin_is_rejected(location: str) -> None:
    with pytest.raises(UnreachableError, match="redirects a request to") as raised:
        require_same_origin("https://mlflow.example.com/api?secret-part", location + "?secret-part")
    assert "secret-part" not in raised.value.message + raised.value.remedy


@pytest.mark.parametrize(
    "location", ["/login", "login", "?a=b", "https://MLflow.example.com:443/login", "//mlflow.example.com/x", "///x"]
)
def test_redirect_within_one_origin_is_allowed(location: str) -> None:
    require_same_origin("https://mlflow.example.com/api", location)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_chain_sends_no_request_to_another_origin(
    server: FaultyServer, listener: Listener, status: int
) -> None:
    redirect(server, "/first", "/second", status)
    redirect(server, "/second", f"http://127.0.0.1:{listener.port}/third", status)
    with pytest.raises(UnreachableError, match=f"redirects a request to http://127.0.0.1:{listener.port}"):
        requests.get(f"{server.url}/first", auth=("ada", "password"), timeout=5)
    assert [request.path for request in server.requests] == ["/first", "/second"]
    assert listener.connections == 0


@pytest.mark.parametrize("location", ["http://[x", "http://[::1", "//[bad]/", "/caf\xe9"])
def test_error_for_a_malformed_redirect_says_that_it_is_one(server: FaultyServer, location: str) -> None:
    server.faults["start"] = lambda call: call.send(b"", 302, location=location)
    with pytest.raises(UnreachableError, match=r"http://.* redirects a request to a malformed address") as raised:
        requests.get(f"{server.url}/start", timeout=10)
    assert raised.value.remedy.startswith("Check the server, and the proxy")


def test_redirect_chain_within_one_origin_is_followed_with_the_login(server: FaultyServer) -> None:
    redirect(server, "/first", "/second")
    redirect(server, "/second", f"{server.url}/third")
    server.faults["/third"] = lambda call: call.send(b"content")
    assert requests.get(f"{server.url}/first", auth=("ada", "password"), timeout=5).content == b"content"
    assert len(server.requests) == 3
    assert None not in server.authorizations


def test_redirect_response_is_returned_if_the_caller_does_not_follow_redirects(server: FaultyServer) -> None:
    redirect(server, "/first", "https://login.example.com/tenant")
    response = requests.get(f"{server.url}/first", allow_redirects=False, timeout=5)
    assert response.headers["Location"] == "https://login.example.com/tenant"


@pytest.mark.parametrize("status", [300, 302, 307])
def test_azure_client_follows_no_redirect_to_another_origin(
    server: FaultyServer, listener: Listener, status: int
) -> None:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import RedirectPolicy
    from azure.core.rest import HttpRequest

    guard_azure_redirects("ABFSS://fs@acct.dfs.core.windows.net/m")
    redirect(server, "/first", "/second", status)
    redirect(server, "/second", f"http://127.0.0.1:{listener.port}/third", status)
    client: PipelineClient[object, object] = PipelineClient(server.url, policies=[RedirectPolicy()])
    with pytest.raises(UnreachableError, match="redirects a request to"):
        client.send_request(HttpRequest("GET", f"{server.url}/first", headers={"x-ms-copy-source": "secret"}))
    assert [request.path for request in server.requests] == ["/first", "/second"]
    assert listener.connections == 0


def fetch(directory: Path, url: str, endpoints: str = "", **headers: str) -> bytes:
    store = PresignedStore(ConcurrencyLimiter(), parse_store_endpoints(endpoints), Timeouts(2, 2, 0))
    presigned = PresignedUrl(url, {name.replace("_", "-"): value for name, value in headers.items()})
    destination = directory / "fetched"
    destination.touch()
    store.fetch(lambda: presigned, "model.pkl", 7, str(destination), lambda _: None)
    return destination.read_bytes()


def test_file_at_a_presigned_url_of_a_declared_store_is_downloaded(server: FaultyServer, tmp_path: Path) -> None:
    server.faults["/model.pkl"] = lambda call: call.send(b"content")
    assert fetch(tmp_path, f"{server.url}/model.pkl", server.url) == b"content"


def test_presigned_url_with_a_metadata_header_is_not_requested(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="demands the header Metadata-Flavor") as raised:
        fetch(tmp_path, f"{server.url}/model.pkl", server.url, Metadata_Flavor="value-of-header")
    assert "value-of-header" not in raised.value.message
    assert server.requests == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/m", "https://127.0.0.1:{}/m", "https://localhost:{}/m"])
def test_presigned_url_to_this_machine_opens_no_connection(listener: Listener, tmp_path: Path, url: str) -> None:
    with pytest.raises(ModelError, match="presigned URL"):
        fetch(tmp_path, url.format(listener.port))
    assert listener.connections == 0


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make each resolution of a name return the next address, and the last one again and again."""
    remaining = list(addresses)

    def getaddrinfo(host: object, port: int, *_: object, **__: object) -> list[object]:
        address = remaining.pop(0) if len(remaining) > 1 else remaining[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_presigned_url_whose_name_resolves_to_this_machine_opens_no_connection(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, "127.0.0.1")
    with pytest.raises(ModelError, match="leads to an address that is not on the internet"):
        fetch(tmp_path, f"https://store.example.com:{listener.port}/m")
    assert listener.connections == 0


def test_presigned_url_whose_name_is_rebound_to_this_machine_sends_no_byte(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve(monkeypatch, "8.8.8.8", "127.0.0.1")
    with pytest.raises(ModelError, match="leads to an address that is not on the internet"):
        fetch(tmp_path, f"https://store.example.com:{listener.port}/m")
    assert listener.received == b""


def test_redirect_of_a_store_is_followed_only_within_its_origin(
    server: FaultyServer, listener: Listener, tmp_path: Path
) -> None:
    redirect(server, "/old", "/new")
    server.faults["/new"] = lambda call: call.send(b"content")
    assert fetch(tmp_path, f"{server.url}/old", server.url) == b"content"

    def send_elsewhere(call: Call) -> None:
        call.send(b"", 307, location=f"http://127.0.0.1:{listener.port}/new")

    server.faults["/old"] = send_elsewhere
    with pytest.raises(UnreachableError, match="redirects a request to"):
        # A declared store may not redirect to another declared store either.
        fetch(tmp_path, f"{server.url}/old", f"{server.url},http://127.0.0.1:{listener.port}")
    assert listener.connections == 0


@pytest.mark.parametrize("code", [202, 203, 204, 206, 226, 300, 302, 304, 999])
def test_response_whose_status_is_neither_200_nor_an_error_is_rejected(server: FaultyServer, code: int) -> None:
    server.faults["/file"] = status(code)
    with pytest.raises(TransferError, match=f"^{server.url} answers a request with status {code}"):
        requests.get(f"{server.url}/file", timeout=10)


@pytest.mark.parametrize("code", [200, 206, 404, 500])
def test_response_to_a_range_request_may_have_status_206(server: FaultyServer, code: int) -> None:
    server.faults["/file"] = status(code)
    assert requests.get(f"{server.url}/file", headers={"range": "bytes=0-1"}, timeout=10).status_code == code


def test_part_of_a_file_is_rejected_also_with_a_location(server: FaultyServer) -> None:
    redirect(server, "/old", "/new", 206)
    with pytest.raises(TransferError, match="with status 206"):
        requests.get(f"{server.url}/old", allow_redirects=False, timeout=10)


def test_redirect_is_returned_to_a_caller_who_does_not_follow_it(server: FaultyServer) -> None:
    redirect(server, "/old", "/new")
    assert requests.get(f"{server.url}/old", allow_redirects=False, timeout=10).status_code == 302
