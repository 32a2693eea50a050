"""The files of a model are those that its store lists, or the gate is an error."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from model_gate.errors import ModelError, TransferError, UnreachableError
from model_gate.worker.listing import ModelListing
from model_gate.worker.stores.files import StoredFiles
from model_gate.worker.stores.listing_pages import MalformedPageError
from model_gate.worker.stores.s3 import S3Bucket
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from tests.support.faulty_server import Call
from tests.support.faulty_store import FaultyStore
from tests.support.opened_stores import FILES, Opened, add, ignore, open_store


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


@pytest.mark.parametrize("end", ["", "/"])
def test_location_of_a_file_is_an_error_that_names_its_directory(opened: Opened, end: str) -> None:
    store, client = opened.store, opened.client
    add(store, "m", FILES)
    file = store.location("m/MLmodel")
    if opened.cloud == "lake":
        # Only a listing of Blob Storage has the names that begin with a text.
        assert client.list(file, ignore).files == {}
        return
    with pytest.raises(ModelError, match=r"m/MLmodel/? is one file, not a directory") as raised:
        client.list(f"{file}{end}", ignore)
    assert raised.value.remedy == f"Name the directory of the model: {store.location('m')}."


@pytest.mark.parametrize("files", [{"m": b""}, {"mm": b"1", "n/m": b"1"}, {}], ids=["empty", "others", "none"])
def test_location_without_a_file_is_empty(opened: Opened, files: dict[str, bytes]) -> None:
    opened.store.files |= files
    assert opened.client.list(opened.store.location("m"), ignore).files == {}


def test_location_is_empty_if_the_store_refuses_to_say_whether_it_is_a_file(tmp_path: Path) -> None:
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", FILES)

        def refuse(call: Call) -> None:
            if call.request.query["prefix"] == ["m/MLmodel"]:
                call.send(b"<Error><Code>AccessDenied</Code></Error>", 403, content_type="application/xml")
            else:
                store.respond(call)

        store.faults["/bucket"] = refuse
        assert client.list(store.location("m/MLmodel"), ignore).files == {}


def test_location_with_files_is_listed_once(tmp_path: Path) -> None:
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", FILES)
        client.list(store.location("m"), ignore)
        assert [request.query["prefix"] for request in store.requests] == [["m/"]]


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


_S3_PAGE = """<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name>
<Prefix>m/</Prefix>{}<IsTruncated>false</IsTruncated><Contents><Key>m/MLmodel</Key><Size>1</Size></Contents>
</ListBucketResult>"""
_AZURE_PAGE = """<EnumerationResults ContainerName="bucket"><Blobs>{}<Blob><Name>m/MLmodel</Name><Properties>
<Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Etag>1</Etag><Content-Length>1</Content-Length>
<BlobType>BlockBlob</BlobType></Properties></Blob></Blobs><NextMarker/></EnumerationResults>"""
_GOOGLE_PAGE = '{{"kind": "storage#objects", {}"items": [{{"name": "m/MLmodel", "size": "1"}}]}}'


@pytest.mark.parametrize(
    "cloud, page, left_out",
    [
        ("s3", _S3_PAGE, "<CommonPrefixes><Prefix>m/d/</Prefix></CommonPrefixes>"),
        ("s3", _S3_PAGE, "<KeyCount>2</KeyCount>"),
        ("s3", _S3_PAGE, "<Version><Key>m/d/x</Key><Size>1</Size></Version>"),
        ("google", _GOOGLE_PAGE, '"prefixes": ["m/d/"], '),
        ("azure", _AZURE_PAGE, "<BlobPrefix><Name>m/d/</Name></BlobPrefix>"),
    ],
    ids=["s3 prefix", "s3 count", "s3 version", "google prefix", "azure prefix"],
)
def test_page_that_leaves_objects_out_is_an_error(cloud: str, page: str, left_out: str, tmp_path: Path) -> None:
    with open_store(cloud, tmp_path) as (store, client):

        def send(call: Call) -> None:
            kind = "application/json" if cloud == "google" else "application/xml"
            call.send(page.format(left_out).encode(), content_type=kind)

        store.faults = {"list-type": send, "comp=list": send, "/o?": send}
        with pytest.raises(TransferError, match="malformed or incomplete"):
            client.list(store.location("m"), ignore)
        left_out = ""
        assert client.list(store.location("m"), ignore).files == {"MLmodel": 1}


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
    # Google's client requests facts of the bucket for its own metrics, maybe after the gate of an earlier test.
    assert [request for request in store.requests if not request.path.endswith("/b/bucket")] == []


@pytest.mark.parametrize("path", ["/m/1", "m//1", "m/1//", "m/1?x", "m/1#x", "m/1?", "m/1#"])
def test_location_that_mlflow_may_read_differently_is_an_error(opened: Opened, path: str) -> None:
    store, client = opened.store, opened.client
    for root in ("m/1", "/m/1", "m//1", path):
        add(store, root, FILES)
    with pytest.raises(ModelError, match=r"empty segment|question mark"):
        client.list(store.location(path), ignore)
    # Google's client requests facts of the bucket for its own metrics, maybe after the gate of an earlier test.
    assert [request for request in store.requests if not request.path.endswith("/b/bucket")] == []


def test_slash_at_the_end_of_a_location_is_ignored(opened: Opened) -> None:
    store, client = opened.store, opened.client
    add(store, "m", {"MLmodel": b"1"})
    assert client.list(store.location("m/"), ignore).files == {"MLmodel": 1}


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
        bucket = S3Bucket.from_repository(RenewingRepository(store.url, stack), "bucket")
        assert bucket.renew()
        store.last_page = b"<ListBucketResult><IsTruncated/></ListBucketResult>"
        with pytest.raises(MalformedPageError):
            list(bucket.pages("m/"))


def test_search_for_an_entry_of_a_run_lists_only_keys_that_begin_with_its_name() -> None:
    with FaultyStore(cloud="s3") as store, ExitStack() as stack:
        for root in ("run/model", "run/model-2", "run/plots", "other"):
            add(store, root, FILES)
        bucket = S3Bucket.from_repository(RenewingRepository(store.url, stack), "bucket")
        files = StoredFiles(bucket, "s3://bucket/run", "run/", ConcurrencyLimiter())
        for name, is_found in (("model", True), ("mode", False), ("MLmodel", False)):
            assert ModelListing(lambda: files, "s3://bucket/run", lambda _: None).has_entry(name) == is_found
        assert [request.query["prefix"] for request in store.requests] == [["run/model"], ["run/mode"], ["run/MLmodel"]]
