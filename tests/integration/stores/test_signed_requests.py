"""Signed requests are renewed with their credentials, and ask for one version of an object."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from model_gate.errors import AccessError, ModelError
from model_gate.worker.stores.bucket import StoredObject
from model_gate.worker.stores.client import StoreClient
from model_gate.worker.stores.listing_pages import MalformedPageError
from model_gate.worker.stores.s3 import S3Bucket
from model_gate.worker.transfer.presigned_url import PresignedUrl
from tests.support.faulty_server import Call, FaultyServer
from tests.support.faulty_store import FaultyStore
from tests.support.opened_stores import FILES, add


class ExpiringBucket:
    """A bucket on a server, with credentials that the server rejects until they are renewed."""

    verify = True
    client_decompresses = True

    def __init__(self, server: FaultyServer) -> None:
        self._server = server
        self.renewals = 0

    def pages(self, prefix: str) -> Iterator[Sequence[StoredObject]]:
        raise AssertionError

    def sign(self, key: str) -> PresignedUrl:
        return PresignedUrl(f"{self._server.url}/{key}", {"Authorization": f"login {self.renewals}"})

    def renew(self) -> bool:
        self.renewals += 1
        return True


def test_expired_credentials_are_renewed_once_for_all_threads() -> None:
    def serve(call: Call) -> None:
        is_valid = call.request.authorization == "login 1"
        call.send(b"content" if is_valid else b"<Code>ExpiredToken</Code>", 200 if is_valid else 400)

    with FaultyServer() as server:
        server.faults["/a"] = serve
        bucket = ExpiringBucket(server)
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
        client = StoreClient(ExpiringBucket(server), "s3://bucket/m")
        with pytest.raises(AccessError, match="ExpiredToken"), client.get("a", {}):
            pass
        assert len(server.requests) == 2


def test_range_of_an_object_that_a_download_decompresses_is_an_error() -> None:
    with FaultyServer() as server:
        server.faults["/a"] = lambda call: call.send(b"c", 206, x_goog_stored_content_encoding="gzip")
        client = StoreClient(ExpiringBucket(server), "gs://bucket/m")
        with pytest.raises(ModelError, match="Content-Encoding gzip"), client.get("a", {"Range": "bytes=0-0"}):
            pass


def test_range_is_requested_of_the_version_with_the_etag() -> None:
    with FaultyServer() as server:
        server.faults["/a"] = lambda call: call.send(b"", 412)
        client = StoreClient(ExpiringBucket(server), "s3://bucket/m")
        with client.get("a", {"Range": "bytes=0-0", "If-Range": '"1"'}) as response:
            assert response.status == 412
    headers = server.requests[0].headers
    assert (headers["If-Match"], headers.get("If-Range")) == ('"1"', None)


class RenewingRepository:
    """Stands for MLflow's repository of S3 with credentials of Unity Catalog."""

    _credential_refresh_def = True

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._url = url
        self._stack = stack

    def _get_s3_client(self) -> object:
        import boto3

        client = boto3.client(
            "s3", endpoint_url=self._url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self._stack.callback(client.close)
        return client

    _refresh_credentials = _get_s3_client


def test_pages_of_s3_are_checked_after_a_renewal_of_the_credentials_too() -> None:
    store = FaultyStore(cloud="s3", page=3)
    with store, ExitStack() as stack:
        add(store, "m", FILES)
        bucket = S3Bucket(RenewingRepository(store.url, stack), "bucket")
        assert bucket.renew()
        store.last_page = b"<ListBucketResult><IsTruncated/></ListBucketResult>"
        with pytest.raises(MalformedPageError):
            list(bucket.pages("m/"))
