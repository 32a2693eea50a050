"""The parent does not trust what a worker sends, because the worker reads the responses of a server."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.domain.model import Listing
from model_gate.errors import InternalError
from model_gate.sources.tracking_server import TrackingServerClient, WorkerChannel
from model_gate.sources.worker_process import Pipes


def listing_from_worker(files: object, home: Path) -> Listing:
    """Return the listing that the client reads if a worker sends these `files`."""
    (requests, to_worker), (from_worker, responses), (errors, closed) = os.pipe(), os.pipe(), os.pipe()
    os.close(closed)

    def answer() -> None:
        with os.fdopen(requests, "rb") as lines, os.fdopen(responses, "wb") as output:
            lines.readline()
            request = json.loads(lines.readline())
            result = {"files": files, "is_near": False}
            output.write(json.dumps({"id": request["id"], "result": result}).encode() + b"\n")

    worker = threading.Thread(target=answer)
    worker.start()
    pipes = Pipes(os.fdopen(to_worker, "wb"), os.fdopen(from_worker, "rb"), os.fdopen(errors, "rb"))
    with TrackingServerClient(parse_host("http://127.0.0.1:9"), {}, home, WorkerChannel(pipes, None)) as client:
        try:
            return client.list("mlflow-artifacts:/1", lambda _: None)
        finally:
            worker.join()


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
