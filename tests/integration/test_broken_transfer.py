"""What is listed and fetched, and that nothing which goes wrong on the way is ever taken for equal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import ModelGateError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import (
    MODEL,
    Call,
    Fault,
    FaultyServer,
    broken_off,
    chunk_lost,
    cut_short,
    hang_up,
    listing,
    login_page,
    status,
    unframed,
)
from tests.support.gates import check, compare, version

LARGE = b"large" * 100_000


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    """One version whose two models are two equal copies."""
    with FaultyServer() as started:
        started.add("Wine", MODEL)
        started.add("copies", MODEL)
        started.downloads["Wine", "1"] = started.sources["copies", "1"]
        yield started


def _emptied(call: Call) -> None:
    call.send(b"")


@pytest.mark.parametrize(
    "fault, kind",
    [
        (broken_off, "TransferError"),
        (chunk_lost, "TransferError"),
        (cut_short, "TransferError"),
        (unframed, "TransferError"),
        (login_page, "TransferError"),
        (_emptied, "TransferError"),
        (hang_up, "UnreachableError"),
        (status(404), "NotFoundError"),
    ],
)
def test_two_transfers_that_break_alike_are_no_equal_files(
    tmp_path: Path, server: FaultyServer, fault: Fault, kind: str
) -> None:
    server.faults["/model.pkl"] = fault
    ran = check(tmp_path, server.url, "Wine", "1")
    ran.require_error(kind)
    assert "model.pkl" in " ".join(server.fetched)


def test_bytes_that_change_on_the_way_are_different(tmp_path: Path, server: FaultyServer) -> None:
    server.faults["copies/1/model.pkl"] = lambda call: call.send(call.file[::-1])
    ran = check(tmp_path, server.url, "Wine", "1")
    assert (ran.exit_code, ran.status) == (1, "different"), ran


@pytest.fixture(scope="module")
def listed() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        yield started


@pytest.fixture(scope="module")
def client(listed: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerClient]:
    with TrackingServerClient(parse_host(listed.url), os.environ, tmp_path_factory.mktemp("home")) as started:
        yield started


def _file(path: object, size: object = 1, *, is_dir: bool = False) -> dict[str, object]:
    return {"path": path, "is_dir": is_dir, "file_size": size}


def _within_itself(call: Call) -> None:
    name = "a-directory-with-a-rather-long-name" * 6
    call.send_json({"files": [_file(name, is_dir=True)]})


def _unsized(call: Call) -> None:
    is_listing = call.asked.query
    call.send_json({"files": [{"path": "MLmodel", "is_dir": False}]}) if is_listing else call.send(b"content")


_MISPLACED = "where it cannot be"
_UNSERVED = "does not serve"
_MALFORMED = "is not one"
_LISTINGS: dict[str, tuple[Fault, str]] = {
    "the directory above": (listing(_file("..", is_dir=True)), _MISPLACED),
    "a file above": (listing(_file("../other/MLmodel")), _MISPLACED),
    "an absolute path": (listing(_file("/etc/passwd")), _MISPLACED),
    "a file further down": (listing(_file("data/part-0")), _MISPLACED),
    "the directory itself": (listing(_file(".", is_dir=True)), _MISPLACED),
    "no name": (listing(_file("")), _MISPLACED),
    "a name twice": (listing(_file("MLmodel"), _file("MLmodel")), _MISPLACED),
    "an encoded path": (listing(_file("%2e%2e%2fetc%2fpasswd")), _UNSERVED),
    "a percent sign": (listing(_file("date=00%3A00", is_dir=True)), _UNSERVED),
    "a number sign": (listing(_file("model.pkl#1")), _UNSERVED),
    "a line break": (listing(_file("two\nlines")), _UNSERVED),
    "a null": (listing(_file("nul\0byte")), _UNSERVED),
    "no path": (listing({"is_dir": False, "file_size": 1}), _MALFORMED),
    "no number": (listing(_file("MLmodel", "many")), _MALFORMED),
    "an array": (lambda call: call.send_json(["MLmodel"]), _MALFORMED),
    "a text": (lambda call: call.send_json({"files": "MLmodel"}), _MALFORMED),
    "itself without end": (_within_itself, "does not end"),
    "content without a size": (_unsized, "does not tell the size"),
    "a web page": (login_page, "web page instead of JSON"),
}


@pytest.mark.parametrize("what", _LISTINGS)
def test_a_listing_that_is_not_one_of_a_directory_is_refused(
    listed: FaultyServer, client: TrackingServerClient, what: str
) -> None:
    fault, text = _LISTINGS[what]
    listed.faults = {"mlflow-artifacts": fault}
    with pytest.raises(ModelGateError) as raised:
        client.list("mlflow-artifacts:/Wine/1", lambda _: None)
    assert text in raised.value.message
    assert raised.value.remedy


def test_an_empty_file_is_listed_though_mlflow_leaves_its_size_out(
    listed: FaultyServer, client: TrackingServerClient
) -> None:
    listed.add("Sized", {"MLmodel": b"x", "_SUCCESS": b"", "deep/_SUCCESS": b""})

    def without_zeros(call: Call) -> None:
        files = call.server.listed(call.asked)
        call.send_json({"files": [{key: value for key, value in each.items() if value != 0} for each in files]})

    listed.faults = {"artifacts?": without_zeros}
    found = client.list(listed.sources["Sized", "1"], lambda _: None)
    assert found.files == {"MLmodel": 1, "_SUCCESS": 0, "deep/_SUCCESS": 0}


def test_what_has_no_files_is_an_error_and_not_equal(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.sources["Wine", "1"] = "mlflow-artifacts:/Wine/1"
        server.sources["Wine", "2"] = "mlflow-artifacts:/Wine/2"
        ran = compare(tmp_path, version(server.url, "Wine", "1"), version(server.url, "Wine", "2"))
    ran.require_error("ModelError", "There are no files", "empty or missing")


def test_sizes_that_differ_decide_before_anything_large_is_fetched(tmp_path: Path) -> None:
    files = MODEL | {"weights.bin": LARGE}
    with FaultyServer() as one, FaultyServer() as other:
        one.add("Wine", files | {"model.pkl": b"short", "notes.txt": b"one"})
        other.add("Wine", files | {"notes.txt": b"two"})
        ran = compare(tmp_path, version(one.url, "Wine"), version(other.url, "Wine"))
        # What is small and explains what differs, and nothing else.
        explains = ["Wine/1/MLmodel", "Wine/1/model.pkl", "Wine/1/notes.txt"]
        assert sorted(one.fetched) == sorted(other.fetched) == explains
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    comparison = ran.report["run_model_comparison"]
    assert {each["path"]: each["kind"] for each in comparison["differences"]} == {
        "model.pkl": "content",
        "notes.txt": "content",
    }
    assert comparison["not_compared"] == 2
    assert "not fetched" in ran.stdout


@pytest.mark.parametrize("is_copied", [False, True])
def test_each_location_is_listed_and_each_file_fetched_once(tmp_path: Path, is_copied: bool) -> None:
    with FaultyServer() as one, FaultyServer() as other:
        one.add("Wine", MODEL)
        other.add("Wine", MODEL)
        if is_copied:
            # Then the one location is compared with two others.
            other.add("copies", MODEL)
            other.downloads["Wine", "1"] = other.sources["copies", "1"]
        ran = compare(tmp_path, version(one.url, "Wine"), version(other.url, "Wine"))
        for server, models in ((one, ["Wine"]), (other, ["Wine", "copies"] if is_copied else ["Wine"])):
            assert sorted(server.fetched) == sorted(f"{model}/1/{path}" for model in models for path in MODEL)
            listed = [asked.query["path"][0] for asked in server.asked if "path" in asked.query]
            assert sorted(listed) == sorted(f"{model}/1{below}" for model in models for below in ("", "/data"))
    assert ran.report["comparison_summary"] == {"run_model": True, "reg_model": True}


_Locate = Callable[[FaultyServer], str]


# A server on 127.0.0.2 counts as another machine.
_SOURCES: dict[str, tuple[str, _Locate, str]] = {
    "a file URI": ("127.0.0.2", lambda _: "file:///etc/ssl", "on its own machine"),
    "a path": ("127.0.0.2", lambda _: "/etc/ssl", "on its own machine"),
    "a local file": ("127.0.0.1", lambda _: "file:///etc/passwd", "not a directory"),
    "a local directory": ("127.0.0.1", lambda _: Path(__file__).parent.as_uri(), "no MLmodel"),
    "artifacts elsewhere": ("127.0.0.1", lambda other: f"mlflow-artifacts://{other.url[7:]}/Wine/1", "another host"),
}


@pytest.mark.parametrize("what", _SOURCES)
def test_a_source_cannot_lead_to_this_machines_files_or_to_another_host(tmp_path: Path, what: str) -> None:
    address, locate, text = _SOURCES[what]
    with FaultyServer(address) as server, FaultyServer() as other:
        other.add("Wine", MODEL)
        server.sources["Wine", "1"] = locate(other)
        server.add("Mine", MODEL)
        server.downloads["Wine", "1"] = server.sources["Mine", "1"]
        environment = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "secret-of-the-test"}
        ran = check(tmp_path, server.url, "Wine", "1", environment=environment)
        assert other.asked == []
        assert None not in server.authorizations
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
def test_a_location_is_read_only_where_the_server_itself_serves_it(
    listed: FaultyServer, client: TrackingServerClient, uri: str, text: str
) -> None:
    listed.faults = {}
    with FaultyServer() as other:
        other.add("Wine", MODEL)
        with pytest.raises(ModelGateError) as raised:
            client.list(
                uri.format(other=other.url if uri.startswith("{") else other.url[7:], own=listed.url), lambda _: None
            )
        assert other.asked == []
    assert text in raised.value.message
