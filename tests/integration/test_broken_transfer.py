"""Faults in listings and downloads are errors and never a verdict of equality."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import ModelGateError, TransferError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.destinations import Destinations, verified
from tests.support.faulty_server import (
    MODEL,
    Call,
    Fault,
    FaultyServer,
    break_off,
    drop_last_chunk,
    hang_up,
    listing,
    login_page,
    status,
    truncate,
    truncate_without_length,
)
from tests.support.gates import check, compare, run, version
from tests.support.recording_proxy import shared_proxy

LARGE = b"large" * 100_000


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """Run a server that has one version. Its run model and its registry model are equal copies."""
    with FaultyServer() as started:
        started.add("Wine", MODEL)
        started.add("copies", MODEL)
        started.downloads["Wine", "1"] = started.sources["copies", "1"]
        yield started


def _empty(call: Call) -> None:
    call.send(b"")


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("proxied", [True, False], ids=["proxy", "direct"], indirect=True)
@pytest.mark.parametrize(
    "fault, kind",
    [
        (break_off, "TransferError"),
        (drop_last_chunk, "TransferError"),
        (truncate, "TransferError"),
        (truncate_without_length, "TransferError"),
        (login_page, "TransferError"),
        (_empty, "TransferError"),
        (hang_up, "UnreachableError"),
        (status(404), "NotFoundError"),
    ],
)
def test_transfer_fault_in_both_files_of_a_pair_is_an_error(
    tmp_path: Path, server: FaultyServer, fault: Fault, kind: str
) -> None:
    server.faults["/model.pkl"] = fault
    ran = check(tmp_path, server.url, "Wine", "1")
    ran.require_error(kind)
    assert "model.pkl" in " ".join(server.fetched)


def test_byte_changed_in_transfer_is_a_difference(tmp_path: Path, server: FaultyServer) -> None:
    server.faults["copies/1/model.pkl"] = lambda call: call.send(call.file[::-1])
    ran = check(tmp_path, server.url, "Wine", "1")
    assert (ran.exit_code, ran.status) == (1, "different"), ran


@pytest.fixture(scope="module")
def listing_server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        yield started


@pytest.fixture(scope="module")
def client(listing_server: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerClient]:
    environment, home = os.environ | shared_proxy().environment, tmp_path_factory.mktemp("home")
    with TrackingServerClient(parse_host(listing_server.url), environment, home) as started:
        yield started


def _file(path: object, size: object = 1, *, is_dir: bool = False) -> dict[str, object]:
    return {"path": path, "is_dir": is_dir, "file_size": size}


def _nest_endlessly(call: Call) -> None:
    name = "a-directory-with-a-rather-long-name" * 6
    call.send_json({"files": [_file(name, is_dir=True)]})


def _omit_size(call: Call) -> None:
    is_listing = call.request.query
    call.send_json({"files": [{"path": "MLmodel", "is_dir": False}]}) if is_listing else call.send(b"content")


def _send(text: bytes) -> Fault:
    return lambda call: call.send(text)


_INVALID_ENTRY = "not a valid entry"
_NOT_SERVED = "does not serve"
_MALFORMED = "is malformed"
_LISTINGS: dict[str, tuple[Fault, str]] = {
    "the directory above": (listing(_file("..", is_dir=True)), _INVALID_ENTRY),
    "a file above": (listing(_file("../other/MLmodel")), _INVALID_ENTRY),
    "an absolute path": (listing(_file("/etc/passwd")), _INVALID_ENTRY),
    "a file further down": (listing(_file("data/part-0")), _INVALID_ENTRY),
    "the directory itself": (listing(_file(".", is_dir=True)), _INVALID_ENTRY),
    "no name": (listing(_file("")), _INVALID_ENTRY),
    "a name twice": (listing(_file("MLmodel"), _file("MLmodel")), _INVALID_ENTRY),
    "an encoded path": (listing(_file("%2e%2e%2fetc%2fpasswd")), _NOT_SERVED),
    "a percent sign": (listing(_file("date=00%3A00", is_dir=True)), _NOT_SERVED),
    "a number sign": (listing(_file("model.pkl#1")), _NOT_SERVED),
    "a line break": (listing(_file("two\nlines")), _NOT_SERVED),
    "a null": (listing(_file("nul\0byte")), _NOT_SERVED),
    "no path": (listing({"is_dir": False, "file_size": 1}), _MALFORMED),
    "a size that is no number": (listing(_file("MLmodel", "many")), _MALFORMED),
    "a size that is no whole number": (listing(_file("MLmodel", 1.5)), _MALFORMED),
    "a size that is a truth value": (listing(_file("MLmodel", True)), _MALFORMED),
    "an infinite size": (_send(b'{"files": [{"path": "MLmodel", "file_size": 1e999}]}'), _MALFORMED),
    "a size of 5,000 digits": (_send(b'{"files": [{"path": "a", "file_size": %s}]}' % (b"9" * 5_000)), _MALFORMED),
    "a size that no file has": (listing(_file("MLmodel", 10**30)), "which no file has"),
    "a name that is no text": (listing(_file(5)), _MALFORMED),
    "a directory by text": (listing({"path": "MLmodel", "is_dir": "false", "file_size": 1}), _MALFORMED),
    "deep nesting": (_send(b'{"files": %s%s}' % (b"[" * 100_000, b"]" * 100_000)), _MALFORMED),
    "an array": (lambda call: call.send_json(["MLmodel"]), _MALFORMED),
    "a text": (lambda call: call.send_json({"files": "MLmodel"}), _MALFORMED),
    "the response to another request": (lambda call: call.send_json({"run": {"info": {}}}), _MALFORMED),
    "a second page": (lambda call: call.send_json({"files": [_file("MLmodel")], "next_page_token": "2"}), _MALFORMED),
    "endless nesting": (_nest_endlessly, "a path has more than 16,384 characters"),
    "content without a size": (_omit_size, "does not report the size"),
    "a web page": (login_page, "web page instead of JSON"),
}


@pytest.mark.parametrize("name", _LISTINGS)
def test_invalid_artifact_listing_is_rejected(
    listing_server: FaultyServer, client: TrackingServerClient, name: str
) -> None:
    fault, text = _LISTINGS[name]
    listing_server.faults = {"mlflow-artifacts": fault}
    with verified(Destinations.to(listing_server.url)), pytest.raises(ModelGateError) as raised:
        client.list("mlflow-artifacts:/Wine/1", lambda _: None)
    assert text in raised.value.message
    assert raised.value.message.count(listing_server.url) == 1
    assert raised.value.remedy


def test_file_without_a_size_in_the_listing_gets_size_zero(
    listing_server: FaultyServer, client: TrackingServerClient
) -> None:
    listing_server.add("Sized", {"MLmodel": b"x", "_SUCCESS": b"", "deep/_SUCCESS": b""})

    def omit_zeros(call: Call) -> None:
        entries = call.server.entries(call.request)
        call.send_json({"files": [{key: value for key, value in entry.items() if value != 0} for entry in entries]})

    listing_server.faults = {"artifacts?": omit_zeros}
    files = client.list(listing_server.sources["Sized", "1"], lambda _: None).files
    assert files == {"MLmodel": 1, "_SUCCESS": 0, "deep/_SUCCESS": 0}


def _raw(response: bytes) -> Fault:
    """Return a function that sends these bytes, and closes the connection."""

    def send(call: Call) -> None:
        call.handler.wfile.write(response)
        call.handler.close_connection = True

    return send


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"content", mtime=0)[:8],
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000",
    ],
)
def test_file_without_a_size_whose_response_breaks_off_is_not_empty(
    listing_server: FaultyServer, client: TrackingServerClient, response: bytes
) -> None:
    listing_server.faults = {"artifacts?": _omit_size, "artifacts/Wine": _raw(response)}
    with pytest.raises(ModelGateError) as raised:
        client.list("mlflow-artifacts:/Wine/1", lambda _: None)
    assert type(raised.value) in {TransferError, UnreachableError}


@pytest.mark.parametrize("end", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"])
def test_file_without_a_size_whose_response_is_complete_is_empty(
    listing_server: FaultyServer, client: TrackingServerClient, end: bytes
) -> None:
    listing_server.faults = {"artifacts?": _omit_size, "artifacts/Wine": _raw(b"HTTP/1.1 200 OK\r\n" + end)}
    files = client.list("mlflow-artifacts:/Wine/1", lambda _: None).files
    assert set(files.values()) == {0}


def test_empty_file_without_a_size_is_read_through_a_proxy_that_compresses(
    listing_server: FaultyServer, client: TrackingServerClient
) -> None:
    def compress(call: Call) -> None:
        if "gzip" in call.handler.headers["Accept-Encoding"]:
            call.send(gzip.compress(b""), content_encoding="gzip")
        else:
            call.send(b"")

    listing_server.faults = {"artifacts?": _omit_size, "artifacts/Wine": compress}
    files = client.list("mlflow-artifacts:/Wine/1", lambda _: None).files
    assert set(files.values()) == {0}


def _redirect(old: str, new: str) -> Fault:
    """Return a function that redirects a request to another path or query of the same server."""
    return lambda call: call.send(b"", 302, location=call.handler.path.replace(old, new))


@pytest.mark.parametrize("size", [7, 17 * 1024 * 1024])
def test_redirect_to_another_file_is_an_error(tmp_path: Path, size: int) -> None:
    with FaultyServer() as server:
        server.files = {"left/MLmodel": bytes(size), "right/MLmodel": b"1" * size}
        server.faults["artifacts/right"] = _redirect("right", "left")
        models = ("mlflow-artifacts:/left", "mlflow-artifacts:/right")
        ran = run(tmp_path, "diff", *models, environment={"MLFLOW_TRACKING_URI": server.url})
    ran.require_error("UnreachableError", "redirects the request for", "right/MLmodel to something else")


def test_redirect_of_a_file_without_a_size_to_an_empty_page_is_an_error(
    listing_server: FaultyServer, client: TrackingServerClient
) -> None:
    listing_server.faults = {
        "artifacts?": _omit_size,
        "artifacts/Wine": lambda call: call.send(b"", 302, location="/login"),
        "/login": lambda call: call.send(b""),
    }
    with pytest.raises(UnreachableError, match=r"redirects the request for .*MLmodel to something else"):
        client.list("mlflow-artifacts:/Wine/1", lambda _: None)


def test_redirect_of_a_listing_to_another_directory_is_an_error(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.files = {"left/MLmodel": b"1", "right/MLmodel": b"2"}
        server.faults["artifacts?path=right"] = _redirect("right", "left")
        models = ("mlflow-artifacts:/left", "mlflow-artifacts:/right")
        ran = run(tmp_path, "diff", *models, environment={"MLFLOW_TRACKING_URI": server.url})
    ran.require_error("UnreachableError", "redirects the request for", "artifacts to something else")


def test_redirect_to_the_same_file_below_another_prefix_is_followed(tmp_path: Path) -> None:
    def respond(call: Call) -> None:
        request = replace(call.request, path=call.request.path.removeprefix("/prefix"))
        call.server.respond(replace(call, request=request))

    with FaultyServer() as server:
        server.files = {"left/MLmodel": b"1", "left/a b": b"", "right/MLmodel": b"1", "right/a b": b""}
        server.faults = {"/prefix/": respond, "/mlflow-artifacts/": _redirect("/api", "/prefix/api")}
        models = ("mlflow-artifacts:/left", "mlflow-artifacts:/right")
        ran = run(tmp_path, "diff", *models, environment={"MLFLOW_TRACKING_URI": server.url})
    assert (ran.exit_code, ran.status) == (0, "equal"), ran


@pytest.mark.parametrize("encoding", ["br", "zstd", "x-own", "gzip, br"])
@pytest.mark.parametrize("size", [7, 17 * 1024 * 1024])
def test_file_with_an_encoding_that_is_not_decoded_is_an_error(tmp_path: Path, encoding: str, size: int) -> None:
    content = bytes(size)
    with FaultyServer() as server:
        server.files = {"left/MLmodel": content, "right/MLmodel": content}
        server.faults["right/MLmodel"] = lambda call: call.send(content, content_encoding=encoding)
        models = ("mlflow-artifacts:/left", "mlflow-artifacts:/right")
        ran = run(tmp_path, "diff", *models, environment={"MLFLOW_TRACKING_URI": server.url})
    ran.require_error("TransferError", f"MLmodel with the Content-Encoding {encoding}, which was not requested")


@pytest.mark.parametrize("name", ["m#1", "m?a", "m%41", "sp%20ace", "a/m%2Fb"])
@pytest.mark.parametrize("names_server", [True, False])
def test_location_that_a_server_would_read_in_another_way_is_an_error(
    tmp_path: Path, name: str, names_server: bool
) -> None:
    with FaultyServer() as server:
        server.files = {"m/MLmodel": b"1", "mA/MLmodel": b"1", "sp ace/MLmodel": b"1"}
        base = f"mlflow-artifacts://{server.url.partition('://')[2]}/" if names_server else "mlflow-artifacts:/"
        environment = {"MLFLOW_TRACKING_URI": server.url}
        ran = run(tmp_path, "diff", base + name, base + "m", environment=environment)
    ran.require_error("ModelError", f"{name}. A server would read another one")


@pytest.mark.parametrize("name", ["sp ace", "a+b", "ü/日本", "a&b=c;d", "~m"])
def test_location_with_other_special_characters_is_read(tmp_path: Path, name: str) -> None:
    with FaultyServer() as server:
        server.files = {f"{name}/MLmodel": b"1", "m/MLmodel": b"1"}
        models = (f"mlflow-artifacts:/{name}", "mlflow-artifacts:/m")
        ran = run(tmp_path, "diff", *models, environment={"MLFLOW_TRACKING_URI": server.url})
    assert (ran.exit_code, ran.status) == (0, "equal"), ran


def test_comparing_two_models_without_files_is_an_error(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.sources["Wine", "1"] = "mlflow-artifacts:/Wine/1"
        server.sources["Wine", "2"] = "mlflow-artifacts:/Wine/2"
        ran = compare(tmp_path, version(server.url, "Wine", "1"), version(server.url, "Wine", "2"))
    ran.require_error("ModelError", "There are no files", "empty or missing")


@pytest.mark.parametrize("options", [(), ("--fail-fast",)])
def test_files_of_equal_size_are_compared_if_other_files_differ_in_size(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    # Neither size shows that the weights were changed.
    changed = LARGE[:-1] + b"?"
    with FaultyServer() as left, FaultyServer() as right:
        left.add("Wine", MODEL | {"weights.bin": LARGE, "notes.bin": b"short"})
        right.add("Wine", MODEL | {"weights.bin": changed, "notes.bin": b"longer"})
        ran = compare(tmp_path, version(left.url, "Wine"), version(right.url, "Wine"), *options)
        fetched = sorted({path for server in (left, right) for path in server.fetched})
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    comparison = ran.report["run_model_comparison"]
    differing = [difference["path"] for difference in comparison["differences"]]
    equal_sized = sorted({*MODEL, "weights.bin"})
    if options:
        assert (fetched, differing, comparison["not_compared_paths"]) == ([], ["notes.bin"], equal_sized)
        reason = "(fail-fast stopped the gate at the first difference)"
        assert f"not compared {reason}, so they may differ too: {', '.join(equal_sized)}" in ran.stdout
    else:
        assert fetched == [f"Wine/1/{path}" for path in equal_sized]
        assert (differing, comparison["not_compared_paths"]) == (["notes.bin", "weights.bin"], [])
        assert "(the weights differ)" in ran.stdout


@pytest.mark.parametrize("is_copied", [False, True])
def test_no_location_is_listed_twice_and_no_file_is_fetched_twice(tmp_path: Path, is_copied: bool) -> None:
    with FaultyServer() as left, FaultyServer() as right:
        left.add("Wine", MODEL)
        right.add("Wine", MODEL)
        if is_copied:
            # On the left server, both models share one location. On the right server, they have two locations.
            right.add("copies", MODEL)
            right.downloads["Wine", "1"] = right.sources["copies", "1"]
        ran = compare(tmp_path, version(left.url, "Wine"), version(right.url, "Wine"))
        for server, models in ((left, ["Wine"]), (right, ["Wine", "copies"] if is_copied else ["Wine"])):
            assert sorted(server.fetched) == sorted(f"{model}/1/{path}" for model in models for path in MODEL)
            listed = [request.query["path"][0] for request in server.requests if "path" in request.query]
            assert sorted(listed) == sorted(f"{model}/1{directory}" for model in models for directory in ("", "/data"))
    assert ran.report["comparison_summary"] == {"run_model": True, "reg_model": True}


_Locate = Callable[[FaultyServer], str]


# A server on 127.0.0.2 counts as a server on another machine.
_SOURCES: dict[str, tuple[str, _Locate, str]] = {
    "a file URI": ("127.0.0.2", lambda _: "file:///etc/ssl", "on its own machine"),
    "a path": ("127.0.0.2", lambda _: "/etc/ssl", "on its own machine"),
    "a local file": ("127.0.0.1", lambda _: "file:///etc/passwd", "a path on this machine"),
    "a local directory": ("127.0.0.1", lambda _: Path(__file__).parent.as_uri(), "a path on this machine"),
    "artifacts elsewhere": ("127.0.0.1", lambda other: f"mlflow-artifacts://{other.url[7:]}/Wine/1", "another host"),
}


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize("name", _SOURCES)
def test_model_version_whose_source_is_outside_its_server_is_rejected(tmp_path: Path, name: str) -> None:
    address, locate, text = _SOURCES[name]
    with FaultyServer(address) as server, FaultyServer() as other:
        other.add("Wine", MODEL)
        server.sources["Wine", "1"] = locate(other)
        server.add("Mine", MODEL)
        server.downloads["Wine", "1"] = server.sources["Mine", "1"]
        environment = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "secret-of-the-test"}
        ran = check(tmp_path, server.url, "Wine", "1", environment=environment)
        assert other.requests == []
        assert None not in server.authorizations
    ran.require_error("ModelError", text)


@pytest.mark.parametrize(
    "uri, text",
    [("file:///etc/passwd", "not a directory"), (Path(__file__).parent.as_uri(), "no MLmodel")],
    ids=["a file", "a directory without MLmodel"],
)
def test_allowed_local_path_that_is_no_model_is_an_error(tmp_path: Path, uri: str, text: str) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.downloads["Wine", "1"] = server.sources["Wine", "1"]
        server.sources["Wine", "1"] = uri
        ran = check(tmp_path, server.url, "Wine", "1", "--allow-local-artifacts")
    ran.require_error("ModelError", text)


@pytest.mark.parametrize(
    "uri, text",
    [
        ("FILE:///etc/ssl", "cannot be read from here"),
        ("ftp://files.example.com/model", "cannot be read from here"),
        ("dbfs:/model", "cannot be read from here"),
        ("{other}/api/2.0/mlflow-artifacts/artifacts/Wine/1", "another host"),
        ("HTTP://ada@{other}/api/2.0/mlflow-artifacts/artifacts/Wine/1", "another host"),
        ("mlflow-artifacts://{other}@elsewhere.example.com/Wine/1", "another host"),
        ("{own}/Wine/1", "where no tracking server serves artifacts"),
    ],
)
def test_artifact_location_that_the_server_does_not_serve_is_rejected(
    listing_server: FaultyServer, client: TrackingServerClient, uri: str, text: str
) -> None:
    listing_server.faults = {}
    with FaultyServer() as other:
        other.add("Wine", MODEL)
        with verified(Destinations.to(listing_server.url)), pytest.raises(ModelGateError) as raised:
            client.list(
                uri.format(other=other.url if uri.startswith("{") else other.url[7:], own=listing_server.url),
                lambda _: None,
            )
        assert other.requests == []
    assert text in raised.value.message
