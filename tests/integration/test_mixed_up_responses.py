"""A server that sends a response twice, so that later responses belong to other requests, never makes models equal."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from model_gate.access.declared import Declarations
from model_gate.domain.model import FileRequest
from model_gate.errors import TransferError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import Call, Fault, FaultyServer
from tests.support.faulty_store import FaultyStore
from tests.support.gate_in_windows import WINDOW, open_gate
from tests.support.gate_in_windows import serve as answer_range
from tests.support.gates import GateResult, run
from tests.support.opened_stores import add, ignore, open_store

_FILES = {"MLmodel": b"flavors: {}\n", "first": b"same", "second": b"left"}
_CHANGED = {**_FILES, "second": b"diff"}


def respond_twice(server: FaultyServer, pause: float) -> Fault:
    """Return a function that sends the right response, and sends it once more after a pause."""

    def respond(call: Call) -> None:
        server.respond(call)
        time.sleep(pause)
        server.respond(call)

    return respond


def serve(kind: str, left: Mapping[str, bytes] = _FILES, right: Mapping[str, bytes] = _CHANGED) -> FaultyServer:
    """Return a server with two models."""
    server = FaultyServer() if kind == "server" else FaultyStore(cloud=kind)
    for root, files in (("left", left), ("right", right)):
        server.files |= {f"{root}/{path}": content for path, content in files.items()}
    return server


def gate(directory: Path, server: FaultyServer, command: str, *options: str | Path) -> GateResult:
    if isinstance(server, FaultyStore):
        variables, locations = server.variables, [server.location("left"), server.location("right")]
    else:
        variables = {"MLFLOW_TRACKING_URI": server.url}
        locations = ["mlflow-artifacts:/left", "mlflow-artifacts:/right"]
    models = locations if command == "diff" else locations[:1]
    return run(directory, command, *models, *options, environment=variables)


# Without a pause, the second response arrives before the next request is sent. With a pause, it arrives after that.
# Small files of a store are fetched over many connections, so a late response precedes no other one.
@pytest.mark.parametrize("kind, pause", [("server", 0), ("server", 0.05), ("s3", 0), ("google", 0)])
def test_file_that_a_server_sends_twice_is_an_error(kind: str, pause: float, tmp_path: Path) -> None:
    with serve(kind) as server:
        server.faults["first"] = respond_twice(server, pause)
        result = gate(tmp_path, server, "diff")
    result.require_error("TransferError", "a response to no request")


def test_file_of_another_size_after_mixed_up_responses_does_not_hide_them(tmp_path: Path) -> None:
    files = {**_FILES, "third": b"longer than the second file"}
    with serve("server", files, {**files, "second": b"diff"}) as server:
        server.faults["first"] = respond_twice(server, 0.05)
        result = gate(tmp_path, server, "diff")
    result.require_error("TransferError", "a response to no request")


@pytest.mark.parametrize("kind", ["server", "s3", "google"])
def test_file_that_once_had_another_size_is_an_error(kind: str, tmp_path: Path) -> None:
    requests = itertools.count()

    def respond(call: Call) -> None:
        if next(requests):
            server.respond(call)
        else:
            call.send(b"of another size")

    with serve(kind) as server:
        server.faults["first"] = respond
        result = gate(tmp_path, server, "diff")
    result.require_error(
        "TransferError", f"The host {server.url} once sent a response of another size in place of first"
    )


@pytest.mark.parametrize("status", [404, 500])
def test_error_response_to_a_request_for_a_file_does_not_hide_mixed_up_responses(status: int, tmp_path: Path) -> None:
    with serve("server") as server:
        server.faults |= {"first": respond_twice(server, 0.05), "second": lambda call: call.send(b"", status)}
        result = gate(tmp_path, server, "diff")
    assert result.status == "error", result


def test_listing_that_a_server_sends_twice_is_an_error(tmp_path: Path) -> None:
    nested = {**_FILES, "a/x": b"1", "b/x": b"1"}
    with serve("server", nested, {**nested, "b/y": b"1"}) as server:
        server.faults |= {"path=left/a": respond_twice(server, 0), "path=right/a": respond_twice(server, 0)}
        result = gate(tmp_path, server, "diff")
    result.require_error("TransferError", "a response to no request")


@pytest.mark.parametrize("pause", [0, 0.05])
def test_file_that_a_server_sends_twice_is_not_sealed(pause: float, tmp_path: Path) -> None:
    seal = tmp_path / "seal.json"
    with serve("server") as server:
        server.faults["first"] = respond_twice(server, pause)
        result = gate(tmp_path, server, "seal", "--output", seal)
    result.require_error("TransferError", "a response to no request")
    assert not seal.exists()


def test_connection_that_times_out_with_an_error_response_is_not_an_error(tmp_path: Path) -> None:
    def respond_and_time_out(call: Call) -> None:
        server.respond(call)
        call.handler.wfile.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        call.close()

    with serve("server") as server:
        server.faults["/first"] = respond_and_time_out
        result = gate(tmp_path, server, "diff")
    assert (result.exit_code, result.status) == (1, "different"), result


def require(condition: bool) -> None:
    assert condition


# A worker keeps the clients of 64 locations.
@pytest.mark.parametrize("kind", ["server", "s3"])
@pytest.mark.parametrize("is_twice", [True, False])
def test_check_of_the_responses_covers_a_location_that_many_others_follow(
    kind: str, is_twice: bool, tmp_path: Path
) -> None:
    with served_to_a_worker(kind, tmp_path) as (server, client, location):
        wrong = [b"of another size"]

        def respond_wrongly_once(call: Call) -> None:
            call.send(wrong.pop()) if wrong else server.respond(call)

        server.faults["left/first"] = respond_twice(server, 0.05) if is_twice else respond_wrongly_once
        destination = tmp_path / "first"
        destination.touch()
        client.list(location("left"), ignore)
        client.fetch(location("left"), "first", len(_FILES["first"]), destination)
        for root in (f"m{number}" for number in range(70)):
            server.files[f"{root}/MLmodel"] = b"1"
            client.list(location(root), ignore)
        with pytest.raises(TransferError, match="no request" if is_twice else "another size"):
            client.begin_settle(time.monotonic() - 60).result()


@contextmanager
def served_to_a_worker(
    kind: str, directory: Path
) -> Iterator[tuple[FaultyServer, TrackingServerClient, Callable[[str], str]]]:
    """Serve two models to a worker. Yield the server, the worker's client, and what returns the location of a model."""
    server = serve(kind)
    with server:
        variables = server.variables if isinstance(server, FaultyStore) else {}
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "MLFLOW_TRACKING_URI": server.url}
        environment |= variables
        location = server.location if isinstance(server, FaultyStore) else "mlflow-artifacts:/{}".format
        with TrackingServerClient(Declarations(environment).default(), environment, directory) as client:
            yield server, client, location


def test_check_of_the_responses_does_not_wait_for_other_downloads(tmp_path: Path) -> None:
    is_done = threading.Event()
    names = [f"{number:03}" for number in range(100)]
    with open_store("s3", tmp_path) as (store, client):
        add(store, "m", dict.fromkeys(names, b"content"))
        client.list(store.location("m"), ignore)
        store.faults["m/0"] = lambda _: require(is_done.wait(60))
        for name in names:
            (tmp_path / name).touch()
            client.begin_fetch(store.location("m"), [FileRequest(name, 7, str(tmp_path / name))])
        # The downloads end after 2 s, because the server does not respond.
        client.begin_settle(time.monotonic() - 60).result(timeout=1)
        is_done.set()


@pytest.mark.parametrize(
    "page", [b"HTTP/1.1 500 Internal Server Error\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"garbage\r\n"]
)
def test_connection_is_not_used_again_after_a_malformed_chunk(page: bytes, tmp_path: Path) -> None:
    large = bytes(20 * WINDOW)
    broken: set[object] = set()
    reused: list[str] = []

    def break_chunk(call: Call) -> None:
        connection = call.handler.connection
        if connection in broken:
            reused.append(call.request.path)
        if call.request.headers.get("Range"):
            answer_range(call)
            return
        broken.add(connection)
        call.handler.send_response(200)
        call.handler.send_header("Transfer-Encoding", "chunked")
        call.handler.send_header("ETag", '"1"')
        call.handler.end_headers()
        # The page is longer than the buffer of a response, so a part of it stays in the socket.
        call.handler.wfile.write(b"%x\r\n%s\r\n" % (WINDOW + 5, large[: WINDOW + 5]) + page + b"x" * 20_000)

    with open_gate("near", tmp_path) as opened:
        with suppress(TransferError):
            assert opened.compare({"model.bin": large}, {"model.bin": large}, fault=break_chunk).equals
        assert broken
        if b" 200 " not in page:
            assert opened.compare({"model.bin": large}, {"model.bin": large}).equals
    assert reused == []


@pytest.mark.parametrize("size", [7, 20 * WINDOW], ids=["whole", "windows"])
def test_connection_is_not_used_again_after_a_response_of_another_size(size: int, tmp_path: Path) -> None:
    files = {"model.bin": bytes(size), **{f"model{number}": b"same" for number in range(20)}}
    broken: set[object] = set()
    reused: list[str] = []

    def shorten(call: Call) -> None:
        connection = call.handler.connection
        if connection in broken:
            reused.append(call.request.path)
        if call.request.path.endswith("model.bin"):
            # MLflow accepts compressed files. Its connections are its own.
            if call.request.headers["Accept-Encoding"] == "identity":
                broken.add(connection)
            call.send(b"short")
        else:
            call.send(call.file)

    with open_gate("near", tmp_path) as opened:
        for _ in range(2):
            with pytest.raises(TransferError, match=r"model\.bin"):
                opened.compare(files, files, fault=shorten)
    assert broken
    assert reused == []
