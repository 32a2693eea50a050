"""A server that sends a response twice, so that later responses belong to other requests, never makes models equal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.faulty_server import Call, Fault, FaultyServer
from tests.support.faulty_store import FaultyStore
from tests.support.gates import GateResult, run

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
