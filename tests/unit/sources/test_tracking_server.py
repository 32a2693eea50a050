"""The parent does not trust what a worker sends, and does not wait for it without end."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from model_gate.access.hosts import parse_host
from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.model import Listing
from model_gate.errors import InternalError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient, WorkerChannel
from model_gate.sources.worker_process import Pipes


@contextmanager
def client_of(
    answer: Callable[[int, BinaryIO], None], home: Path, limits: Limits = LIMITS
) -> Iterator[TrackingServerClient]:
    """Start the client of a worker that answers its first request with `answer`, which gets the request's number."""
    (requests, to_worker), (from_worker, responses), (errors, closed) = os.pipe(), os.pipe(), os.pipe()
    os.close(closed)

    def work() -> None:
        with os.fdopen(requests, "rb") as lines, os.fdopen(responses, "wb", buffering=0) as output:
            lines.readline()
            answer(json.loads(lines.readline())["id"], output)

    worker = threading.Thread(target=work)
    worker.start()
    pipes = Pipes(os.fdopen(to_worker, "wb"), os.fdopen(from_worker, "rb"), os.fdopen(errors, "rb"))
    host, channel = parse_host("http://127.0.0.1:9"), WorkerChannel(pipes, None)
    with TrackingServerClient(host, {}, home, channel, limits=limits) as client:
        try:
            yield client
        finally:
            worker.join()


def listing_from_worker(files: object, home: Path) -> Listing:
    """Return the listing that the client reads if a worker sends these `files`."""

    def answer(number: int, output: BinaryIO) -> None:
        result = {"files": files, "is_near": False, "has_parts": True}
        output.write(json.dumps({"id": number, "result": result}).encode() + b"\n")

    with client_of(answer, home) as client:
        return client.list("mlflow-artifacts:/1", lambda _: None)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a/.", "a/", "a\0b"])
def test_path_outside_the_model_in_a_listing_from_a_worker_is_an_error(path: str, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="is not a path inside a model"):
        listing_from_worker({"MLmodel": 1, path: 1}, tmp_path)


@pytest.mark.parametrize("size", [-1, "1", 1.5, None, True])
def test_invalid_file_size_in_a_listing_from_a_worker_is_an_error(size: object, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="is no count"):
        listing_from_worker({"MLmodel": size}, tmp_path)


def test_valid_listing_from_a_worker_is_accepted_unchanged(tmp_path: Path) -> None:
    files = {"MLmodel": 1, "data/...": 0, "a b/é\udcff": 2**40, "..a": 3, "\\..\\x": 4}
    assert listing_from_worker(files, tmp_path).files == files


# The worker ends after this time, which is another error.
_WORKER_SECONDS = 3.0
_SHORT = replace(LIMITS, silence_seconds=0.5)


def test_worker_that_sends_nothing_is_an_error(tmp_path: Path) -> None:
    is_done = threading.Event()

    def answer(_: int, __: BinaryIO) -> None:
        is_done.wait(_WORKER_SECONDS)

    with client_of(answer, tmp_path, _SHORT) as client:
        with pytest.raises(UnreachableError, match=r"did not arrive within"):
            client.list("mlflow-artifacts:/1", lambda _: None)
        is_done.set()


@pytest.mark.parametrize(
    "uri, source", [("mlflow-artifacts:/1", "http://127.0.0.1:9"), ("s3://models/1", "s3://models")]
)
def test_client_names_what_it_waits_for(uri: str, source: str, tmp_path: Path) -> None:
    awaited: list[str] = []
    is_done = threading.Event()

    def answer(number: int, output: BinaryIO) -> None:
        awaited.append(client.awaited)
        message = {"id": number, "result": {"files": {"MLmodel": 1}, "is_near": False, "has_parts": False}}
        output.write(json.dumps(message).encode() + b"\n")
        is_done.wait(_WORKER_SECONDS)

    with client_of(answer, tmp_path) as client:
        client.list(uri, lambda _: None)
        assert (awaited, client.awaited) == ([f"the list of files at {uri} from {source}"], "")
        is_done.set()


def test_notes_of_a_worker_do_not_prolong_a_download(tmp_path: Path) -> None:
    is_done = threading.Event()

    def answer(number: int, output: BinaryIO) -> None:
        note = json.dumps({"id": number, "note": {"bytes": 1}}).encode() + b"\n"
        for _ in range(int(_WORKER_SECONDS / 0.1)):
            output.write(note)
            if is_done.wait(0.1):
                return

    with client_of(answer, tmp_path, _SHORT) as client:
        with pytest.raises(UnreachableError, match=r"The file model\.pkl did not arrive within"):
            client.fetch("mlflow-artifacts:/1", "model.pkl", 3, tmp_path / "model.pkl")
        is_done.set()
