"""File requests use the certificates, login and proxy of MLflow's requests, and fall back to MLflow on errors."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import certificates
from tests.support.faulty_server import (
    ARTIFACTS,
    MODEL,
    Call,
    Fault,
    FaultyServer,
    Request,
    hang_up,
    login_page,
    status,
)
from tests.support.gates import check


def broken_json(call: Call) -> None:
    """Send the first half of a listing with the Content-Length of this half."""
    call.send(b'{"files": [{"path": "part-0", "is_dir": false, "file_s')


COPIES = {"Wine": MODEL, "copies": MODEL}


def add_copies(server: FaultyServer) -> None:
    for model, files in COPIES.items():
        server.add(model, files)
    server.downloads["Wine", "1"] = server.sources["copies", "1"]


def file_requests(server: FaultyServer) -> list[Request]:
    return [request for request in server.requests if request.path.startswith(ARTIFACTS + "/")]


def is_direct(request: Request) -> bool:
    """Return whether `HttpClient` sent the request. Requests of MLflow itself accept compressed responses."""
    return request.headers["Accept-Encoding"] == "identity"


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[FaultyServer, Path]]:
    """Run a server with TLS. Return it and the path of its certificate authority's certificate."""
    authority, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    with FaultyServer(tls=context) as server:
        add_copies(server)
        yield server, authority


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "MLFLOW_TRACKING_SERVER_CERT_PATH"])
def test_certificate_authority_configured_for_mlflow_is_trusted(
    tmp_path: Path, tls_server: tuple[FaultyServer, Path], name: str
) -> None:
    server, authority = tls_server
    ran = check(tmp_path, server.url, "Wine", environment={name: str(authority)})
    assert ran.status == "equal", ran
    assert all(is_direct(request) for request in file_requests(server))
    assert len(file_requests(server)) == 2 * len(MODEL)


def test_untrusted_certificate_is_an_error(tmp_path: Path, tls_server: tuple[FaultyServer, Path]) -> None:
    server, _ = tls_server
    check(tmp_path, server.url, "Wine").require_error("UnreachableError", "certificate is not trusted")
    assert server.requests == []


def test_insecure_tls_setting_disables_certificate_checks(
    tmp_path: Path, tls_server: tuple[FaultyServer, Path]
) -> None:
    server, _ = tls_server
    ran = check(tmp_path, server.url, "Wine", environment={"MLFLOW_TRACKING_INSECURE_TLS": "true"})
    assert ran.status == "equal", ran
    assert all(is_direct(request) for request in file_requests(server))


def test_file_requests_carry_the_login_of_their_server(tmp_path: Path) -> None:
    with FaultyServer() as server:
        add_copies(server)
        ran = check(tmp_path, server.url.replace("://", "://ada:secret-of-the-test@"), "Wine")
    assert ran.status == "equal", ran
    login = "Basic " + base64.b64encode(b"ada:secret-of-the-test").decode()
    assert {request.authorization for request in file_requests(server)} == {login}
    assert all(is_direct(request) for request in file_requests(server))


def test_file_requests_use_the_proxy(tmp_path: Path) -> None:
    with FaultyServer() as proxy:
        add_copies(proxy)
        ran = check(
            tmp_path, "http://mlflow.invalid", "Wine", environment={"HTTP_PROXY": proxy.url, "http_proxy": proxy.url}
        )
    assert ran.status == "equal", ran
    assert len(file_requests(proxy)) == 2 * len(MODEL)
    # If there is a proxy, MLflow sends all requests.
    assert not any(is_direct(request) for request in file_requests(proxy))


def test_redirect_to_another_host_is_an_error_and_is_not_followed(tmp_path: Path) -> None:
    with FaultyServer() as server, FaultyServer(address="127.0.0.2") as store:
        add_copies(server)
        store.files = dict(server.files)
        server.faults["/model.pkl"] = lambda call: call.send(b"", 302, location=store.url + call.request.path)
        ran = check(tmp_path, server.url.replace("://", "://ada:secret-of-the-test@"), "Wine")
    ran.require_error("UnreachableError", server.url, store.url, "not followed")
    assert store.requests == []


def test_client_opens_a_new_connection_after_the_server_closed_the_old_one(tmp_path: Path) -> None:
    def send_and_close(call: Call) -> None:
        call.send(call.file)
        call.close()

    with FaultyServer() as server:
        add_copies(server)
        server.faults["/model.pkl"] = send_and_close
        ran = check(tmp_path, server.url, "Wine")
    assert ran.status == "equal", ran
    assert len(file_requests(server)) == 2 * len(MODEL)
    assert all(is_direct(request) for request in file_requests(server))


def test_unread_response_body_is_not_part_of_the_next_response(tmp_path: Path) -> None:
    with FaultyServer() as server:
        add_copies(server)
        # The client rejects the response by its head, so the body stays unread on the connection.
        server.faults["copies/1/MLmodel"] = lambda call: call.send(call.file * 3)
        ran = check(tmp_path, server.url, "Wine")
    ran.require_error("TransferError", "MLmodel")


def listing_requests(server: FaultyServer) -> list[Request]:
    return [request for request in server.requests if request.path == ARTIFACTS]


def test_mlflow_sends_the_first_listing_request_and_model_gate_sends_the_others(tmp_path: Path) -> None:
    with FaultyServer() as server:
        add_copies(server)
        ran = check(tmp_path, server.url, "Wine")
    assert ran.status == "equal", ran
    # Each location has its own HTTP client, which copies the headers of MLflow's first request to that location.
    are_direct = {request.query["path"][0]: is_direct(request) for request in listing_requests(server)}
    assert are_direct == {"Wine/1": False, "Wine/1/data": True, "copies/1": False, "copies/1/data": True}
    assert len(listing_requests(server)) == 4


@pytest.mark.parametrize("fault", [hang_up, login_page, status(500), broken_json], ids=lambda fault: fault.__name__)
def test_failed_listing_request_is_repeated_by_mlflow(tmp_path: Path, fault: Fault) -> None:
    def fail_if_direct(call: Call) -> None:
        if is_direct(call.request):
            fault(call)
        else:
            call.send_json({"files": call.server.entries(call.request)})

    with FaultyServer() as server:
        add_copies(server)
        server.faults["data"] = lambda call: (
            fail_if_direct(call) if call.request.path == ARTIFACTS else call.send(call.file)
        )
        ran = check(tmp_path, server.url, "Wine")
    assert ran.status == "equal", ran
    assert ran.report["comparison"]["compared"] == len(MODEL)
