"""Models are read directly from object stores, with or without a tracking server."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from model_gate.access.declared import Declarations
from model_gate.domain.host import Host, HostKind
from model_gate.domain.limits import LIMITS
from model_gate.domain.model import FileRequest
from model_gate.errors import AccessError, ModelError, NotFoundError, TransferError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.worker.stores.bucket import StoredObject
from model_gate.worker.stores.client import StoreClient
from model_gate.worker.stores.listing_pages import MalformedPageError
from model_gate.worker.stores.s3 import S3Bucket
from model_gate.worker.transfer.presigned_url import PresignedUrl
from tests.databricks.workspaces import read_files, read_in_windows
from tests.support.faulty_server import Call, FaultyServer
from tests.support.faulty_store import KEY, SECRET, FaultyStore, serve_object
from tests.support.gates import run
from tests.support.listener import Listener
from tests.support.recording_proxy import shared_proxy

CLOUDS = ["s3", "azure", "google", "lake"]
# Names that clients and stores encode in different ways.
FILES = {
    "MLmodel": b"flavors: {}\n",
    "a#b": b"1",
    "a%41": b"2",
    "aA": b"3",
    "a+b c": b"4",
    "q?x=1&y;z": b"5",
    "a%2Fb": b"6",
    "tilde~": b"7",
    "ü/é": b"8",
    "empty": b"",
    "data/deep/large": bytes(range(256)) * 20,
}


@contextmanager
def open_store(cloud: str, directory: Path, **variables: str) -> Iterator[tuple[FaultyStore, TrackingServerClient]]:
    """Start a store and a worker that reads it."""
    environment = {name: os.environ[name] for name in ("PATH", *shared_proxy().environment) if name in os.environ}
    environment |= {"HOME": str(directory), "MLFLOW_HTTP_REQUEST_TIMEOUT": "2", **variables}
    store = FaultyStore(cloud=cloud)
    environment |= store.use_tls(directory)
    with store:
        environment |= {"MLFLOW_TRACKING_URI": store.url, **store.variables, **variables}
        with TrackingServerClient(Declarations(environment).default(), environment, directory) as client:
            yield store, client


def add(store: FaultyStore, root: str, files: dict[str, bytes]) -> None:
    store.files |= {f"{root}/{path}": content for path, content in files.items()}


def ignore(_: object) -> None:
    """Ignore progress."""


@dataclass(frozen=True)
class Opened:
    """A store without objects and faults, and a worker that reads it."""

    store: FaultyStore
    client: TrackingServerClient

    @property
    def cloud(self) -> str:
        return self.store.cloud


# The worker of each cloud starts once.
@pytest.fixture(
    scope="module", params=[pytest.param(cloud, marks=pytest.mark.xdist_group(f"stores_{cloud}")) for cloud in CLOUDS]
)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with open_store(request.param, tmp_path_factory.mktemp("home")) as (store, client):
        yield Opened(store, client)


@pytest.fixture
def opened(started: Opened) -> Opened:
    for part in (started.store.files, started.store.faults, started.store.requests):
        part.clear()
    return started


def test_files_and_windows_have_their_original_bytes_whatever_their_names(opened: Opened, tmp_path: Path) -> None:
    require_original_bytes(opened.store, opened.client, tmp_path)


@pytest.mark.parametrize("cloud", ["s3", "azure"])
@pytest.mark.usefixtures("proxied")
def test_files_and_windows_have_their_original_bytes_behind_a_proxy(cloud: str, tmp_path: Path) -> None:
    with open_store(cloud, tmp_path) as (store, client):
        require_original_bytes(store, client, tmp_path)


def require_original_bytes(store: FaultyStore, client: TrackingServerClient, directory: Path) -> None:
    """Require that the files of two models arrive whole and in windows."""
    for root in ("models/1", "sp ace/m%1+"):
        add(store, root, FILES)
        # Another model, whose keys begin with the same text.
        add(store, root + "0", {"MLmodel": b"other"})
        location = store.location(quote(root, safe="/") if store.cloud == "lake" else root)
        assert read_files(client, location, directory / root.replace("/", "-")) == FILES
        assert read_in_windows(client, location, 300) == FILES


def test_large_listing_arrives_in_pages(opened: Opened, tmp_path: Path) -> None:
    files = {f"{number % 100}/{number}": b"" for number in range(5_000)}
    store, client = opened.store, opened.client
    add(store, "m", files)
    assert client.list(store.location("m"), ignore).files == dict.fromkeys(files, 0)
    pages = [request for request in store.requests if request.path not in store.files]
    assert len(pages) >= 5


def test_listing_of_100_000_objects_is_complete(tmp_path: Path) -> None:
    files = {f"{number % 1000}/{number}": b"" for number in range(100_000)}
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", files)
        assert client.list(store.location("m"), ignore).files == dict.fromkeys(files, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"error": {"code": 503}}', b"<html>", b"<html/>", b"<Error><Code>SlowDown</Code></Error>"],
)
def test_foreign_page_of_a_listing_is_an_error(opened: Opened, body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    monkeypatch.setattr(store, "page", 3)
    monkeypatch.setattr(store, "last_page", body)
    # The client of S3 takes some of these for a fault of the server.
    message = r"bucket\) (is malformed or incomplete|answers with an error)"
    with pytest.raises((TransferError, UnreachableError), match=message):
        client.list(store.location("m"), ignore)


# Pages that do not say that no page follows, or that do so in a way which the clouds do not use.
CUT_PAGES = {
    "s3": [
        "<ListBucketResult/>",
        "<ListBucketResult><IsTruncated/></ListBucketResult>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    ],
    "azure": ["<EnumerationResults><Prefix>m/</Prefix><Blobs/></EnumerationResults>"],
    "google": ["{}", '{"kind": "storage#objects", "nextPageToken": 0}'],
    "lake": ["{}", '{"paths": null}'],
}


def test_page_that_does_not_say_whether_another_one_follows_is_an_error(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    monkeypatch.setattr(store, "page", 3)
    for page in CUT_PAGES[opened.cloud]:
        monkeypatch.setattr(store, "last_page", page.encode())
        with pytest.raises(TransferError, match=r"bucket\) is malformed or incomplete"):
            client.list(store.location("m"), ignore)


OUTSIDE = {
    "s3": "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>n/a</Key><Size>1</Size></Contents>"
    "</ListBucketResult>",
    "azure": "<EnumerationResults><Prefix>m/</Prefix><Blobs><Blob><Name>n/a</Name><Properties>"
    "<Content-Length>1</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob></Blobs><NextMarker/>"
    "</EnumerationResults>",
    "google": '{"kind": "storage#objects", "items": [{"name": "n/a", "size": "1"}]}',
    "lake": '{"paths": [{"name": "n/a", "contentLength": "1"}]}',
}


def test_listed_object_outside_the_location_is_an_error(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    monkeypatch.setattr(store, "page", 3)
    monkeypatch.setattr(store, "last_page", OUTSIDE[opened.cloud].encode())
    with pytest.raises(ModelError, match=r"lists n/a, which is not in m/"):
        client.list(store.location("m"), ignore)


def test_directory_marker_is_no_file(opened: Opened, tmp_path: Path) -> None:
    store, client = opened.store, opened.client
    add(store, "m", {"": b"", "data/": b"", "data/a": b"x", "void/": b""})
    assert client.list(store.location("m"), ignore).files == {"data/a": 1}


def test_azure_folder_without_blobs_below_it_is_an_empty_file(tmp_path: Path) -> None:
    blob = (
        "<Blob><Name>m/{}</Name><Properties><Content-Length>0</Content-Length><BlobType>BlockBlob</BlobType>"
        "</Properties><Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>"
    )
    blobs = "".join(map(blob.format, ("data", "void")))
    page = f"<EnumerationResults><Prefix>m/</Prefix><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", {"data/a": b"x", "z": b""})
        store.page, store.last_page = 1, page.encode()
        assert client.list(store.location("m"), ignore).files == {"data/a": 1, "void": 0}


def test_azure_blob_with_content_is_a_file_although_it_is_marked_as_a_folder(tmp_path: Path) -> None:
    blob = (
        "<Blob><Name>m/data</Name><Properties><Content-Length>5</Content-Length><BlobType>BlockBlob</BlobType>"
        "</Properties><Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>"
    )
    page = f"<EnumerationResults><Prefix>m/</Prefix><Blobs>{blob}</Blobs><NextMarker/></EnumerationResults>"
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", {"MLmodel": b"x", "z": b""})
        store.page, store.last_page = 1, page.encode()
        assert client.list(store.location("m"), ignore).files == {"MLmodel": 1, "data": 5}


@pytest.mark.parametrize(
    "files, message",
    [
        ({"data/": b"content"}, "has the name of a directory"),
        ({"data": b"x", "data/a": b"x"}, "no directory can contain"),
        ({"a//b": b"x"}, "no directory can contain"),
        ({"a/../b": b"x"}, "no directory can contain"),
        ({"./b": b"x"}, "no directory can contain"),
    ],
)
def test_objects_that_no_directory_can_contain_are_an_error(
    opened: Opened, files: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    store, client = opened.store, opened.client
    add(store, "m", files)
    with pytest.raises(ModelError, match=message):
        client.list(store.location("m"), ignore)


def test_location_with_dot_segments_is_an_error(opened: Opened, tmp_path: Path) -> None:
    store, client = opened.store, opened.client
    add(store, "secret", FILES)
    with pytest.raises(ModelError, match="segment"):
        client.list(store.location("m/../secret"), ignore)
    assert store.requests == []


@pytest.mark.parametrize("path", ["/m/1", "m//1", "m/1//", "m/1?x", "m/1#x", "m/1?", "m/1#"])
def test_location_that_mlflow_may_read_differently_is_an_error(opened: Opened, path: str) -> None:
    store, client = opened.store, opened.client
    for root in ("m/1", "/m/1", "m//1", path):
        add(store, root, FILES)
    with pytest.raises(ModelError, match=r"empty segment|question mark"):
        client.list(store.location(path), ignore)
    assert store.requests == []


def test_slash_at_the_end_of_a_location_is_ignored(opened: Opened) -> None:
    store, client = opened.store, opened.client
    add(store, "m", {"MLmodel": b"1"})
    assert client.list(store.location("m/"), ignore).files == {"MLmodel": 1}


def test_redirect_of_an_object_is_not_followed(opened: Opened, tmp_path: Path) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    store, client = opened.store, opened.client
    with Listener() as listener:
        add(store, "m", FILES)
        target = f"http://127.0.0.1:{listener.port}/x"
        store.faults["m/MLmodel"] = lambda call: call.send(b"", 307, location=target)
        with pytest.raises(UnreachableError, match="307"):
            client.fetch(store.location("m"), "MLmodel", 12, destination)
        assert listener.connections == 0
    assert destination.read_bytes() == b""


@pytest.mark.usefixtures("proxied")
def test_redirect_to_another_object_of_a_store_is_not_followed_behind_a_proxy(tmp_path: Path) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", {"MLmodel": b"right", "other": b"wrong"})
        target = f"{store.url}/bucket/m/other"
        store.faults["m/MLmodel"] = lambda call: call.send(b"", 307, location=target)
        with pytest.raises(UnreachableError, match="307"):
            client.fetch(store.location("m"), "MLmodel", 5, destination)
        assert not any(request.path.endswith("other") for request in store.requests)


def test_object_is_read_again_after_the_store_was_busy(opened: Opened, tmp_path: Path) -> None:
    busy = iter([503, 500])
    lock = threading.Lock()

    def serve(call: Call) -> None:
        with lock:
            status = next(busy, 0)
        if status:
            call.send(b"", status, retry_after="0")
        else:
            serve_object(call)

    store, client = opened.store, opened.client
    add(store, "m", {"a": b"content"})
    store.faults["m/a"] = serve
    assert read_files(client, store.location("m"), tmp_path / "files") == {"a": b"content"}


@pytest.mark.parametrize("cloud", ["s3", "azure", "google"])
def test_store_gets_many_requests_at_once_from_the_start(cloud: str, tmp_path: Path) -> None:
    count = 64
    all_arrived = threading.Barrier(count)

    def serve(call: Call) -> None:
        all_arrived.wait(timeout=30)
        serve_object(call)

    with open_store(cloud, tmp_path, MLFLOW_HTTP_REQUEST_TIMEOUT="60") as (store, client):
        add(store, "m", {f"{number:02}": b"content" for number in range(count)})
        client.list(store.location("m"), ignore)
        store.faults["m/"] = serve
        fetches = []
        for number in range(count):
            destination = tmp_path / str(number)
            destination.touch()
            file = FileRequest(f"{number:02}", 7, str(destination))
            fetches.append(client.begin_fetch(store.location("m"), [file]))
        for fetch in fetches:
            fetch.result()


@pytest.mark.parametrize("status, kind", [(403, AccessError), (404, NotFoundError), (500, UnreachableError)])
def test_refused_object_is_an_error_that_names_the_store_and_no_signature(
    opened: Opened, status: int, kind: type[Exception], tmp_path: Path
) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    store.faults["m/MLmodel"] = lambda call: call.send(b"<Error><Code>SomeCode</Code></Error>", status)
    with pytest.raises(kind, match=f"bucket.*SomeCode, {status}") as raised:
        client.fetch(store.location("m"), "MLmodel", 12, destination)
    detail = str(getattr(raised.value, "detail", ""))
    assert "Signature=" not in detail
    assert "sig=" not in detail


@pytest.mark.parametrize("code", [f"x{SECRET}1", "AKIA1234", "a_b", "A" * 65, "Ä"])
def test_text_of_an_error_that_is_no_code_is_not_shown(tmp_path: Path, code: str) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    body = f"<Error><Code>{code}</Code></Error>".encode()
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", FILES)
        store.faults["m/MLmodel"] = lambda call: call.send(body, 403)
        with pytest.raises(AccessError, match=r"\(403\)"):
            client.fetch(store.location("m"), "MLmodel", 12, destination)


def test_code_of_an_error_is_found_in_a_body_that_arrives_in_chunks(tmp_path: Path) -> None:
    destination = tmp_path / "fetched"
    destination.touch()

    def refuse(call: Call) -> None:
        handler = call.handler
        handler.send_response(403)
        handler.send_header("Content-Length", "37")
        handler.end_headers()
        handler.wfile.write(b"<Error><Code>Some")
        handler.wfile.flush()
        time.sleep(0.2)
        handler.wfile.write(b"Code</Code></Error> ")

    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", FILES)
        store.faults["m/MLmodel"] = refuse
        with pytest.raises(AccessError, match=r"\(SomeCode, 403\)"):
            client.fetch(store.location("m"), "MLmodel", 12, destination)


def test_object_of_another_size_than_listed_is_an_error(tmp_path: Path) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", FILES)
        for content in (FILES["MLmodel"][:-1], FILES["MLmodel"] + b"!"):
            store.faults["m/MLmodel"] = lambda call, content=content: call.send(content, etag='"2"')  # type: ignore[misc]
            with pytest.raises(Exception, match="was listed with 12"):
                client.fetch(store.location("m"), "MLmodel", 12, destination)


@pytest.mark.parametrize("header", ["content_encoding", "x_goog_stored_content_encoding"])
def test_object_that_a_download_decompresses_is_an_error(opened: Opened, tmp_path: Path, header: str) -> None:
    if opened.cloud == "s3":
        return
    destination = tmp_path / "fetched"
    destination.touch()
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    store.faults["m/MLmodel"] = lambda call: call.send(b"flavors: {...}\n", 200, etag='"1"', **{header: "gzip"})
    with pytest.raises(ModelError, match=r"bucket.*m/MLmodel with the Content-Encoding gzip"):
        client.fetch(store.location("m"), "MLmodel", 12, destination)
    with pytest.raises(ModelError, match=r"bucket.*m/MLmodel with the Content-Encoding gzip"):
        read_in_windows(client, store.location("m"), 300)


def test_compressed_object_of_s3_is_read_as_it_is_stored(tmp_path: Path) -> None:
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", FILES)
        store.faults["m/data"] = lambda call: call.send(call.file, etag='"1"', content_encoding="gzip")
        assert read_files(client, store.location("m"), tmp_path / "files") == FILES
        assert read_in_windows(client, store.location("m"), 300) == FILES


@pytest.mark.parametrize("status, text", [(204, "answers with status 204"), (301, "does not follow redirects")])
def test_status_that_is_no_answer_with_a_file_is_named(opened: Opened, tmp_path: Path, status: int, text: str) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    store.faults["m/MLmodel"] = lambda call: call.send(b"", status)
    with pytest.raises(UnreachableError, match=text):
        client.fetch(store.location("m"), "MLmodel", 12, destination)


def test_user_can_pay_for_the_requests_to_a_bucket(tmp_path: Path) -> None:
    with open_store("s3", tmp_path, AWS_REQUEST_PAYER="requester") as (store, client):
        add(store, "m", FILES)
        read_files(client, store.location("m"), tmp_path / "files")
        payers = {request.headers.get("x-amz-request-payer") for request in store.requests}
    assert payers == {"requester"}


def test_project_of_the_user_can_pay_for_the_requests_to_a_bucket_of_google(tmp_path: Path) -> None:
    with open_store("google", tmp_path, GOOGLE_CLOUD_QUOTA_PROJECT="billing-project") as (store, client):
        add(store, "m", {"a": b"content"})
        assert read_files(client, store.location("m"), tmp_path / "files") == {"a": b"content"}
        # Google's client also requests facts of the bucket for its own metrics, and ignores any error.
        reads = [request for request in store.requests if not request.path.endswith("/b/bucket")]
    assert [request.query.get("userProject") for request in reads] == [["billing-project"]] * 2


def test_signature_for_a_blob_of_azure_grants_reading_only(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", {"a": b"content"})
        read_files(client, store.location("m"), tmp_path / "files")
        granted = [request.query["sp"] for request in store.requests if request.path.endswith("/m/a")]
    assert granted == [["r"]]


def test_connection_string_of_another_azure_account_is_an_error(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", FILES)
        with pytest.raises(ModelError, match="for the account acct"):
            client.list("wasbs://bucket@other.blob.core.windows.net/m", ignore)
        assert store.requests == []


def test_connection_string_of_another_azure_cloud_is_an_error(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, client):
        add(store, "m", FILES)
        with pytest.raises(ModelError, match="for the account acct at"):
            client.list("wasbs://bucket@acct.blob.core.chinacloudapi.cn/m", ignore)
        assert store.requests == []


def test_connection_string_with_the_endpoint_of_another_azure_cloud_is_an_error(tmp_path: Path) -> None:
    endpoint = "acct.blob.core.chinacloudapi.cn"
    login = f"AccountName=acct;AccountKey={KEY};BlobEndpoint=https://{endpoint}"
    with (
        open_store("azure", tmp_path, AZURE_STORAGE_CONNECTION_STRING=login) as (store, client),
        pytest.raises(ModelError, match=f"for the account acct at {endpoint}"),
    ):
        client.list(store.location("m"), ignore)


def test_connection_string_without_an_account_is_an_error(tmp_path: Path) -> None:
    with open_store("azure", tmp_path) as (store, _):
        endpoint = store.url.replace("127.0.0.1", "[::1]")
        login = f"BlobEndpoint={endpoint};SharedAccessSignature=sv=2021&sig={SECRET}"
        environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": store.url, "HOME": str(tmp_path)}
        environment["AZURE_STORAGE_CONNECTION_STRING"] = login
        with (
            TrackingServerClient(Declarations(environment).default(), environment, tmp_path) as client,
            pytest.raises(ModelError, match="names no account"),
        ):
            client.list("wasbs://bucket@acct.blob.core.windows.net/m", ignore)
        assert store.requests == []


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


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an S3 server with the bucket `models`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def variables(s3: str) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def put(url: str, bucket: str, root: str, files: dict[str, bytes]) -> None:
    import boto3

    with ExitStack() as stack:
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        stack.callback(client.close)
        client.create_bucket(Bucket=bucket)
        for path, content in files.items():
            client.put_object(Bucket=bucket, Key=f"{root}/{path}", Body=content)


@pytest.mark.parametrize("endpoint", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_models_in_a_store_are_compared_without_a_tracking_server(
    s3: str, variables: dict[str, str], endpoint: str, tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    put(s3, "others", "m", {**FILES, "aA": b"!"})
    model = tmp_path / "model"
    for path, content in FILES.items():
        file = model / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    environment = {**variables, endpoint: s3}
    equal = run(tmp_path, "diff", "s3://models/m", model, environment=environment)
    assert (equal.exit_code, equal.status) == (0, "equal"), equal
    assert equal.report["comparison"]["left"]["uri"] == "s3://models/m"
    different = run(tmp_path, "diff", "s3://models/m", "s3://others/m", environment=environment)
    assert (different.exit_code, different.status) == (1, "different"), different
    assert [difference["path"] for difference in different.report["comparison"]["differences"]] == ["aA"]
    same = run(tmp_path, "diff", "s3://models/m", "s3://models/m", environment=environment)
    assert same.report["comparison"]["same_location"] is True


def test_missing_model_in_a_store_without_a_tracking_server_is_an_error(
    s3: str, variables: dict[str, str], tmp_path: Path
) -> None:
    put(s3, "models", "m", FILES)
    environment = {**variables, "MLFLOW_S3_ENDPOINT_URL": s3}
    missing = run(tmp_path, "diff", "s3://models/none", "s3://models/m", environment=environment)
    assert (missing.exit_code, missing.status) == (2, "error"), missing
    refused = run(tmp_path, "diff", "s3://nothing/m", "s3://models/m", environment=environment)
    refused.require_error("NotFoundError", "bucket nothing")
    server = run(tmp_path, "diff", "models:/Wine/1", "s3://models/m", environment=environment)
    server.require_error("InputError", "No tracking server is named")


@pytest.mark.parametrize(
    "uri, problem",
    [
        ("s4://models/m", "scheme 's4'"),
        ("gcs://models/m", "scheme 'gcs'"),
        ("https://models.s3.amazonaws.com/m", "scheme 'https'"),
        ("s3:/models/m", "names no bucket"),
        ("s3://", "names no bucket"),
        ("gs:///m", "names no bucket"),
    ],
)
def test_uri_that_names_no_store_is_an_error_that_shows_the_right_form(uri: str, problem: str, tmp_path: Path) -> None:
    run(tmp_path, "diff", uri, "model").require_error("InputError", problem, "s3://BUCKET/PATH")


def test_store_whose_login_does_not_arrive_is_named_in_the_error(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # The system accepts the connections of this socket, and nothing answers them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        account = {"type": "service_account", "client_email": "gate@example.com", "private_key": pem}
        account["token_uri"] = f"http://127.0.0.1:{silent.getsockname()[1]}/token"
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account))
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
        environment["GOOGLE_CLOUD_PROJECT"] = "project"
        host = Host(HostKind.STORE, "gs://models", "", is_declared=True)
        limits = replace(LIMITS, silence_seconds=8)
        with (
            TrackingServerClient(host, environment, tmp_path, limits=limits) as client,
            pytest.raises(UnreachableError, match="The store gs://models, or the service that issues its login"),
        ):
            client.list("gs://models/m", ignore)
