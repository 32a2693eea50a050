"""The parent process trusts no path, number or text that a worker sends."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from model_gate.access.hosts import parse_host
from model_gate.domain.limits import Limits
from model_gate.domain.version import SelectedVersion
from model_gate.errors import InternalError, TransferError
from model_gate.sources.tracking_server import TrackingServerClient, WorkerChannel
from model_gate.sources.worker_message import (
    MalformedMessageError,
    read_listing,
    read_messages,
    read_secrets,
    read_selected,
    read_version,
)
from model_gate.sources.worker_process import Pipes
from tests.support.outcomes import model_version


def _version(**changes: object) -> Any:
    return json.loads(json.dumps(asdict(model_version()))) | changes


def _listing(path: str = "MLmodel", size: object = 1) -> Any:
    return {"files": {path: size}, "is_near": False, "has_parts": True}


def test_valid_version_and_listing_from_a_worker_are_accepted_unchanged() -> None:
    assert read_version(_version()) == model_version()
    assert read_listing(_listing("data/..a/b..c/...", 5)).files == {"data/..a/b..c/...": 5}


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "..", "../a", "a/../b", "a/..", ".", "./a", "a//b", "a/", "a\0b", "a/..\0", "x" * 20_000],
)
def test_listed_path_that_is_not_inside_the_model_is_rejected(path: str) -> None:
    with pytest.raises(MalformedMessageError):
        read_listing(_listing(path))


def _selected(**changes: object) -> Any:
    return {"model": "Wine", "version": "7", "aliases": ["champion"], "stage": "", "problem": ""} | changes


def test_valid_selected_versions_are_accepted_unchanged() -> None:
    closed = _selected(model="Churn", version="", problem="no grant", aliases=[])
    assert read_selected([_selected(), closed]) == (
        SelectedVersion("Wine", "7", ("champion",)),
        SelectedVersion("Churn", "", problem="no grant"),
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        [_selected(), _selected()],
        [_selected(model="")],
        [_selected(version="")],
        [_selected(problem="and a number")],
        *([_selected(version=version)] for version in ("0", "07", "-1", "latest", "1/../2", "9" * 20, 7)),
        [_selected(aliases="champion")],
        [_selected(aliases=[1])],
        [_selected(tags={})],
        [{"model": "Wine", "version": "7"}],
    ],
)
def test_malformed_selected_versions_are_rejected(data: object) -> None:
    with pytest.raises(MalformedMessageError):
        read_selected(data)


def test_too_many_selected_versions_are_an_error() -> None:
    with pytest.raises(TransferError):
        read_selected([_selected(version=str(number)) for number in range(1, 4)], replace(Limits(), search_versions=2))


@pytest.mark.parametrize("size", [-1, 1.5, "1", None, True, [], {}])
def test_listed_size_that_is_no_whole_number_of_bytes_is_rejected(size: object) -> None:
    with pytest.raises(MalformedMessageError):
        read_listing(_listing(size=size))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "",
        {"files": []},
        {"files": {}},
        {"files": {}, "is_near": 1},
        {"files": {}, "is_near": True, "has_parts": 1},
    ],
)
def test_malformed_listing_is_rejected(data: object) -> None:
    with pytest.raises(MalformedMessageError):
        read_listing(data)


def test_secrets_of_a_worker_are_read_with_its_listing() -> None:
    assert read_secrets(_listing()) == ()
    assert read_secrets(_listing() | {"secrets": ["a-secret-access-key"]}) == ("a-secret-access-key",)


@pytest.mark.parametrize("secret", ["", "different", "x" * 70_000])
def test_worker_cannot_mask_common_words_or_huge_texts(secret: str) -> None:
    assert read_secrets(_listing() | {"secrets": [secret]}) == ()


def test_secrets_that_cannot_be_encoded_or_are_too_many_are_left_out() -> None:
    secrets = ["\ud800" * 16, *(f"{number:032}" for number in range(3_000))]
    assert read_secrets(_listing() | {"secrets": secrets}) == tuple(secrets[1:2049])


@pytest.mark.parametrize("secrets", [None, "a", {}, [1], [None]])
def test_malformed_secrets_are_rejected(secrets: object) -> None:
    with pytest.raises(MalformedMessageError):
        read_secrets(_listing() | {"secrets": secrets})


def test_listing_with_too_many_files_is_rejected() -> None:
    files = {str(number): 1 for number in range(11)}
    with pytest.raises(MalformedMessageError, match="11 files"):
        read_listing({"files": files, "is_near": True, "has_parts": False}, replace(Limits(), listing_files=10))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 1},
        {"source": None},
        {"created": "now"},
        {"created": -1},
        {"aliases": "best"},
        {"aliases": [1]},
        {"lineage": []},
        {"lineage": {"reachable": True}},
        {"run_model_hops": [{"uri": "models:/m-1"}]},
        {"run_model_hops": {}},
        {"unknown": ""},
    ],
)
def test_malformed_model_version_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedMessageError):
        read_version(_version(**changes))


@pytest.mark.parametrize("changes", [{"source": "x" * 65_537}, {"aliases": ["a"] * 10_001}])
def test_model_version_that_exceeds_a_limit_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(TransferError, match="describes the model version with"):
        read_version(_version(**changes))


def test_long_reason_for_a_missing_run_model_is_truncated() -> None:
    assert len(read_version(_version(run_model_reason="x" * 100_000)).run_model_reason) == 65_536


@pytest.mark.parametrize(
    "line",
    [
        b"[]\n",
        b"null\n",
        b"{}\n",
        b"not JSON\n",
        b"[" * 100_000 + b"\n",
        b'{"id": "1", "result": null}\n',
        b'{"id": 1}\n',
        b'{"id": 1, "note": {"bytes": -1}}\n',
        b'{"id": 1, "note": {"bytes": "1"}}\n',
        b'{"id": 1, "error": {"type": "TransferError"}}\n',
        b"x" * 200,
    ],
)
def test_malformed_message_is_rejected(line: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        list(read_messages(io.BytesIO(line), replace(Limits(), message_bytes=max(100, line.count(b"[")))))


@pytest.mark.parametrize(
    "answer",
    [
        b'{"id": 0, "result": {"files": {"../../victim": 3}, "is_near": true, "has_parts": true}}\n',
        b'{"id": 0, "result": {"files": {"/etc/passwd": 3}, "is_near": true, "has_parts": true}}\n',
        b'{"id": 0, "result": {"files": {"a": -3}, "is_near": true, "has_parts": true}}\n',
        b'{"id": 0, "result": 5}\n',
        b'{"id": 0, "note": 5}\n',
        b'{"id": [], "result": 5}\n',
        b"[1]\n",
    ],
)
def test_malformed_response_of_a_worker_is_an_error(tmp_path: Path, answer: bytes) -> None:
    (worker_stdin, stdin), (stdout, worker_stdout), (stderr, worker_stderr) = os.pipe(), os.pipe(), os.pipe()
    pipes = Pipes(os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"), os.fdopen(stderr, "rb"))
    os.close(worker_stderr)
    with (
        TrackingServerClient(parse_host("http://localhost:1"), {}, tmp_path, WorkerChannel(pipes, None)) as client,
        os.fdopen(worker_stdout, "wb", buffering=0) as responses,
        os.fdopen(worker_stdin, "rb") as requests,
    ):

        def respond() -> None:
            requests.readline()
            requests.readline()
            responses.write(answer)

        thread = threading.Thread(target=respond)
        thread.start()
        with pytest.raises(InternalError, match="malformed message"):
            client.list("s3://bucket/model", lambda _: None)
        thread.join()
