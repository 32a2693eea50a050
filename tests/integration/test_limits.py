"""Whatever a hostile server sends, the gate ends in an error, with bounded memory, disk space and time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import ModelGateError
from model_gate.sources.storage import SHARED_MEMORY
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.destinations import Destinations, verified
from tests.support.faulty_server import MODEL, Call, Fault, FaultyServer, hang_up, listing, never_respond
from tests.support.gates import GateResult, check
from tests.support.hostile import (
    MIB,
    bomb,
    compressed_endlessly,
    compressed_values,
    continue_endlessly,
    many_files,
    monitored,
    stream_endlessly,
    stream_without_length,
)
from tests.support.recording_proxy import shared_proxy
from tests.support.reports import require_valid

VERSION, LISTING, FILE = "model-versions/get", "?path=", "/model.pkl"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """Run a server that has one version. Its run model and its registry model are equal copies."""
    with FaultyServer() as started:
        started.add("Wine", {**MODEL, "model.pkl": b"abc"})
        started.add("copies", {**MODEL, "model.pkl": b"abc"})
        started.downloads["Wine", "1"] = started.sources["copies", "1"]
        yield started


def _for_mlflow(fault: Fault) -> Fault:
    """Return a fault that refuses the first request for each file, so that MLflow sends the next one."""
    refused: set[str] = set()

    def respond(call: Call) -> None:
        if call.request.path in refused:
            fault(call)
        else:
            refused.add(call.request.path)
            hang_up(call)

    return respond


def _monitored_check(directory: Path, server: FaultyServer, *options: str) -> GateResult:
    with monitored(directory, SHARED_MEMORY) as usage:
        result = check(directory, server.url, "Wine", "1", *options)
    usage.require_bounded()
    return result


def _long_version(call: Call) -> None:
    version = {"name": "Wine", "version": "1", "status": "READY", "source": "mlflow-artifacts:/" + "x" * 3 * MIB}
    call.send_json({"model_version": version})


def _chain(call: Call) -> None:
    call.send_json({"files": [{"path": "d", "is_dir": True}]})


def _many_directories(call: Call) -> None:
    is_root = call.request.query["path"][0].count("/") == 1
    if is_root:
        call.send_json({"files": [{"path": f"d{number}", "is_dir": True} for number in range(12)]})
    else:
        _FIFTY_THOUSAND(call)


_FIFTY_THOUSAND = many_files(50_000)
_TOO_LARGE = "more than 33,554,432 bytes"
_GATE_ATTACKS: dict[str, tuple[str, Callable[[], Fault], str, str]] = {
    "endless file": (FILE, lambda: stream_endlessly, "TransferError", "whose listed size is 3 bytes"),
    "endless file for MLflow": (FILE, lambda: _for_mlflow(stream_without_length), "TransferError", "is 3 bytes"),
    "endless compressed file": (FILE, lambda: compressed_endlessly, "TransferError", "is 3 bytes"),
    "compressed version": (VERSION, bomb, "TransferError", _TOO_LARGE),
    "a million files": (LISTING, lambda: many_files(1_000_000), "TransferError", _TOO_LARGE),
    "a file of 10 TB": (
        LISTING,
        lambda: listing({"path": "MLmodel", "is_dir": False, "file_size": 10**13}),
        # The file is read in windows, so it does not need space for all of it.
        "TransferError",
        "was listed with 10,000,000,000,000",
    ),
}


# The fast client of the worker downloads files only without a proxy.
_DIRECT = ("endless file", "endless compressed file")


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(
    "name, proxied", [(name, name not in _DIRECT) for name in _GATE_ATTACKS], ids=_GATE_ATTACKS, indirect=["proxied"]
)
def test_endless_or_huge_response_ends_the_gate_in_an_error(tmp_path: Path, server: FaultyServer, name: str) -> None:
    part, fault, kind, text = _GATE_ATTACKS[name]
    server.faults[part] = fault()
    _monitored_check(tmp_path, server).require_error(kind, text)


@pytest.fixture(scope="module")
def metadata_server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        started.add("Wine", MODEL)
        yield started


@pytest.fixture(scope="module")
def client(metadata_server: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerClient]:
    environment, home = os.environ | shared_proxy().environment, tmp_path_factory.mktemp("home")
    with TrackingServerClient(parse_host(metadata_server.url), environment, home) as started:
        yield started


_METADATA_ATTACKS: dict[str, tuple[str, Callable[[], Fault], str]] = {
    "endless version": (VERSION, lambda: stream_endlessly, _TOO_LARGE),
    "endless headers": (VERSION, lambda: continue_endlessly, "more than 68,157,440 bytes"),
    "long source": (VERSION, lambda: _long_version, "(source)"),
    "endless listing": (LISTING, lambda: stream_endlessly, _TOO_LARGE),
    "compressed listing": (LISTING, bomb, _TOO_LARGE),
    "many JSON values": (LISTING, lambda: compressed_values, "JSON values"),
    "600,000 files in twelve directories": (LISTING, lambda: _many_directories, "500,000 files"),
    "directories without end": (LISTING, lambda: _chain, "more than 250 levels of directories"),
}


def _resolve_and_list(client: TrackingServerClient) -> None:
    client.resolve("Wine", "1")
    client.list("mlflow-artifacts:/Wine/1", lambda _: None)


@pytest.mark.parametrize("name", _METADATA_ATTACKS)
def test_endless_or_huge_metadata_is_an_error(
    metadata_server: FaultyServer, client: TrackingServerClient, name: str
) -> None:
    part, fault, text = _METADATA_ATTACKS[name]
    metadata_server.faults = {part: fault()}
    destinations = Destinations.to(metadata_server.url)
    with verified(destinations), monitored() as usage, pytest.raises(ModelGateError) as raised:
        _resolve_and_list(client)
    usage.require_bounded()
    assert text in raised.value.message


@pytest.mark.usefixtures("proxied")
def test_gate_ends_at_its_timeout(tmp_path: Path, server: FaultyServer) -> None:
    server.faults[VERSION] = never_respond
    result = _monitored_check(tmp_path, server, "--timeout", "3")
    result.require_error("StoppedError", "did not end within 3 s", "--timeout")
    require_valid(json.loads((tmp_path / "report.json").read_text()))
