"""Requests to a store are signed again after a rejection, ask for one version, and have the same settings by proxy."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from urllib3.exceptions import HTTPError

from model_gate.errors import AccessError, ModelError
from model_gate.worker.stores.bucket import StoredObject
from model_gate.worker.stores.client import StoreClient
from model_gate.worker.transfer.presigned_url import PresignedUrl
from tests.support.certificates import certificates
from tests.support.faulty_server import Call, FaultyServer


@dataclass
class RenewableBucket:
    """A bucket on a server, whose login is another one after each renewal."""

    url: str
    verify: bool | str = True
    renewals: int = 0
    client_decompresses: bool = False

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        raise AssertionError

    def sign(self, key: str) -> PresignedUrl:
        return PresignedUrl(f"{self.url}/{key}", {"Authorization": f"login {self.renewals}"})

    def secrets(self) -> list[str]:
        return []

    def renew(self) -> bool:
        self.renewals += 1
        return True


def read(bucket: RenewableBucket) -> bytes:
    """Read an object without a wait between two attempts."""
    with StoreClient(bucket, "s3://bucket/m", lambda _: None).whole("object") as response:
        return response.read1(100)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_login_that_a_store_rejects_is_renewed(status: int) -> None:
    def serve(call: Call) -> None:
        is_valid = call.request.authorization == "login 1"
        call.send(b"content" if is_valid else b"<Code>ExpiredToken</Code>", 200 if is_valid else status)

    with FaultyServer(faults={"/object": serve}) as server:
        assert read(RenewableBucket(server.url)) == b"content"


def test_expired_credentials_are_renewed_once_for_all_threads() -> None:
    def serve(call: Call) -> None:
        is_valid = call.request.authorization == "login 1"
        call.send(b"content" if is_valid else b"<Code>ExpiredToken</Code>", 200 if is_valid else 400)

    with FaultyServer() as server:
        server.faults["/a"] = serve
        bucket = RenewableBucket(server.url)
        client = StoreClient(bucket, "s3://bucket/m")
        contents = []

        def read() -> None:
            with client.get("a", {}) as response:
                contents.append(response.read1(100))

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert contents == [b"content"] * 8
    assert bucket.renewals == 1


def test_credentials_that_stay_invalid_are_an_error() -> None:
    with FaultyServer() as server:
        server.faults["/a"] = lambda call: call.send(b"<Code>ExpiredToken</Code>", 400)
        client = StoreClient(RenewableBucket(server.url), "s3://bucket/m")
        with pytest.raises(AccessError, match="ExpiredToken"), client.get("a", {}):
            pass
        assert len(server.requests) == 2


def test_range_of_an_object_that_a_download_decompresses_is_an_error() -> None:
    with FaultyServer() as server:
        server.faults["/a"] = lambda call: call.send(b"c", 206, x_goog_stored_content_encoding="gzip")
        client = StoreClient(RenewableBucket(server.url, client_decompresses=True), "gs://bucket/m")
        with pytest.raises(ModelError, match="Content-Encoding gzip"), client.get("a", {"Range": "bytes=0-0"}):
            pass


def test_range_is_requested_of_the_version_with_the_etag() -> None:
    with FaultyServer() as server:
        server.faults["/a"] = lambda call: call.send(b"", 412)
        client = StoreClient(RenewableBucket(server.url), "s3://bucket/m")
        with client.get("a", {"Range": "bytes=0-0", "If-Range": '"1"'}) as response:
            assert response.status == 412
    headers = server.requests[0].headers
    assert (headers["If-Match"], headers.get("If-Range")) == ('"1"', None)


@pytest.mark.parametrize("proxied", [True, False], indirect=True, ids=["proxy", "direct"])
@pytest.mark.usefixtures("proxied")
def test_request_for_an_object_accepts_no_compression() -> None:
    with FaultyServer(faults={"/object": lambda call: call.send(b"content")}) as server:
        assert read(RenewableBucket(server.url)) == b"content"
    assert [request.headers["Accept-Encoding"] for request in server.requests] == ["identity"]


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[FaultyServer]:
    """A server with a certificate of the authority in `authority.pem`."""
    _, identity = certificates(tmp_path, ["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    with FaultyServer(tls=context, faults={"/object": lambda call: call.send(b"content")}) as server:
        yield server


@pytest.mark.parametrize("proxied", [True, False], indirect=True, ids=["proxy", "direct"])
@pytest.mark.usefixtures("proxied")
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificate_of_a_store_is_checked_as_its_client_checks_it(
    tls_server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for verify in (False, str(tmp_path / "authority.pem")):
        assert read(RenewableBucket(tls_server.url, verify)) == b"content"
    with pytest.raises(HTTPError):
        read(RenewableBucket(tls_server.url))
    assert len(tls_server.requests) == 2
