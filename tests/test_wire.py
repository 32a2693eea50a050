"""Files are asked for as MLflow asks: by the same way, with the same login, of nobody else."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import certificates
from faulty_server import ARTIFACTS, MODEL, Asked, FaultyServer
from gates import check

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
