"""The objects of a store arrive with their bytes, or the gate is an error."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from model_gate.errors import AccessError, ModelError, NotFoundError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import read_files, read_in_windows
from tests.support.faulty_server import Call
from tests.support.faulty_store import SECRET, FaultyStore, serve_object
from tests.support.listener import Listener
from tests.support.opened_stores import FILES, Opened, add, open_store, require_requests_at_once


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
    with open_store(cloud, tmp_path, MLFLOW_HTTP_REQUEST_TIMEOUT="60") as (store, client):
        require_requests_at_once(store, client, "m", store.location("m"), tmp_path)


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


def test_code_of_an_error_of_a_data_lake_is_shown(tmp_path: Path) -> None:
    destination = tmp_path / "fetched"
    destination.touch()
    body = b'{"error": {"code": "AuthorizationFailure", "message": "This request is not authorized."}}'
    with open_store("lake", tmp_path) as (store, client):
        add(store, "m", FILES)
        store.faults["m/MLmodel"] = lambda call: call.send(body, 403)
        with pytest.raises(AccessError, match=r"\(AuthorizationFailure, 403\)"):
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
