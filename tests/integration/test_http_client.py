"""Files are asked for as MLflow asks: by the same way, with the same login, of nobody else."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import certificates
from tests.support.faulty_server import ARTIFACTS, MODEL, Asked, Call, Fault, FaultyServer, hang_up, login_page, status
from tests.support.gates import check


def broken_json(call: Call) -> None:
    """Half of a listing, as if it were all."""
    call.send(b'{"files": [{"path": "part-0", "is_dir": false, "file_s')


COPIES = {"Wine": MODEL, "copies": MODEL}


def add_copies(server: FaultyServer) -> None:
    for model, files in COPIES.items():
        server.add(model, files)
    server.downloads["Wine", "1"] = server.sources["copies", "1"]


def files_asked_for(server: FaultyServer) -> list[Asked]:
    return [asked for asked in server.asked if asked.path.startswith(ARTIFACTS + "/")]


def is_by_wire(asked: Asked) -> bool:
    """MLflow's own requests take what is compressed."""
    return asked.headers["Accept-Encoding"] == "identity"


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[tuple[FaultyServer, Path]]:
    """A server with TLS, and the authority that its certificate is of."""
    authority, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    with FaultyServer(tls=context) as server:
        add_copies(server)
        yield server, authority


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "MLFLOW_TRACKING_SERVER_CERT_PATH"])
def test_a_certificate_is_trusted_where_mlflow_trusts_it(
    tmp_path: Path, trusted: tuple[FaultyServer, Path], name: str
) -> None:
    server, authority = trusted
    ran = check(tmp_path, server.url, "Wine", environment={name: str(authority)})
    assert ran.status == "equal", ran
    assert all(is_by_wire(asked) for asked in files_asked_for(server))
    assert len(files_asked_for(server)) == 2 * len(MODEL)


def test_a_certificate_that_nobody_vouches_for_is_an_error(tmp_path: Path, trusted: tuple[FaultyServer, Path]) -> None:
    server, _ = trusted
    check(tmp_path, server.url, "Wine").require_error("UnreachableError", "certificate is not trusted")
    assert server.asked == []


def test_a_user_who_wants_none_checked_gets_it(tmp_path: Path, trusted: tuple[FaultyServer, Path]) -> None:
    server, _ = trusted
    ran = check(tmp_path, server.url, "Wine", environment={"MLFLOW_TRACKING_INSECURE_TLS": "true"})
    assert ran.status == "equal", ran
    assert all(is_by_wire(asked) for asked in files_asked_for(server))


def test_files_are_asked_for_with_the_login_of_this_server(tmp_path: Path) -> None:
    with FaultyServer() as server:
        add_copies(server)
        ran = check(tmp_path, server.url.replace("://", "://ada:secret-of-the-test@"), "Wine")
    assert ran.status == "equal", ran
    login = "Basic " + base64.b64encode(b"ada:secret-of-the-test").decode()
    assert {asked.authorization for asked in files_asked_for(server)} == {login}
    assert all(is_by_wire(asked) for asked in files_asked_for(server))


def test_a_proxy_is_used_for_files_too(tmp_path: Path) -> None:
    with FaultyServer() as proxy:
        add_copies(proxy)
        ran = check(
            tmp_path, "http://mlflow.invalid", "Wine", environment={"HTTP_PROXY": proxy.url, "http_proxy": proxy.url}
        )
    assert ran.status == "equal", ran
    assert len(files_asked_for(proxy)) == 2 * len(MODEL)
    # Whatever a proxy needs is MLflow's to know.
    assert not any(is_by_wire(asked) for asked in files_asked_for(proxy))


def test_a_redirect_does_not_take_the_login_elsewhere(tmp_path: Path) -> None:
    with FaultyServer() as server, FaultyServer(address="127.0.0.2") as store:
        add_copies(server)
        store.files = dict(server.files)
        server.faults["/model.pkl"] = lambda call: call.send(b"", 302, location=store.url + call.asked.path)
        ran = check(tmp_path, server.url.replace("://", "://ada:secret-of-the-test@"), "Wine")
    assert ran.status == "equal", ran
    assert len(files_asked_for(store)) == 2
    assert store.authorizations == {None}


def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced(tmp_path: Path) -> None:
    def then_closed(call: Call) -> None:
        call.send(call.file)
        call.close()

    with FaultyServer() as server:
        add_copies(server)
        server.faults["/model.pkl"] = then_closed
        ran = check(tmp_path, server.url, "Wine")
    assert ran.status == "equal", ran
    assert len(files_asked_for(server)) == 2 * len(MODEL)
    assert all(is_by_wire(asked) for asked in files_asked_for(server))


def test_what_is_left_of_an_answer_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    with FaultyServer() as server:
        add_copies(server)
        # It is refused at its head, and what follows is left on the connection.
        server.faults["copies/1/MLmodel"] = lambda call: call.send(call.file * 3)
        ran = check(tmp_path, server.url, "Wine")
    ran.require_error("TransferError", "MLmodel")


def listings_asked_for(server: FaultyServer) -> list[Asked]:
    return [asked for asked in server.asked if asked.path == ARTIFACTS]


def test_directories_are_listed_by_wire_once_mlflow_has_listed_one(tmp_path: Path) -> None:
    with FaultyServer() as server:
        add_copies(server)
        ran = check(tmp_path, server.url, "Wine")
    assert ran.status == "equal", ran
    # Two models, each with a directory of its own; the pattern is a location's.
    by_wire = {asked.query["path"][0]: is_by_wire(asked) for asked in listings_asked_for(server)}
    assert by_wire == {"Wine/1": False, "Wine/1/data": True, "copies/1": False, "copies/1/data": True}
    assert len(listings_asked_for(server)) == 4


@pytest.mark.parametrize("fault", [hang_up, login_page, status(500), broken_json], ids=lambda fault: fault.__name__)
def test_a_listing_that_does_not_go_smoothly_is_left_to_mlflow(tmp_path: Path, fault: Fault) -> None:
    def once_by_wire(call: Call) -> None:
        if is_by_wire(call.asked):
            fault(call)
        else:
            call.send_json({"files": call.server.listed(call.asked)})

    with FaultyServer() as server:
        add_copies(server)
        server.faults["data"] = lambda call: (
            once_by_wire(call) if call.asked.path == ARTIFACTS else call.send(call.file)
        )
        ran = check(tmp_path, server.url, "Wine")
    assert ran.status == "equal", ran
    assert ran.report["comparison"]["compared"] == len(MODEL)
