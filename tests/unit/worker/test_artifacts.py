"""The time limit of a download depends on the listed sizes, within bounds; a long read outlives a login."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_gate.domain.limits import LIMITS
from model_gate.domain.model import PartRequest
from model_gate.errors import TransferError
from model_gate.worker.artifacts import ArtifactReader
from tests.support.faulty_server import Call, FaultyServer, listing, serve_range

# MLflow leaves some connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    "size, seconds",
    [
        (0, LIMITS.first_byte_seconds),
        (LIMITS.store_bytes_per_second * 100, LIMITS.first_byte_seconds + 100),
        (10**15, LIMITS.first_byte_max_seconds),
    ],
)
def test_time_until_the_first_byte_is_limited_whatever_the_listed_size(
    size: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_GATE_OWN_TIMEOUT", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    entry = {"path": "MLmodel", "is_dir": False, "file_size": size}
    with FaultyServer(faults={"artifacts?": listing(entry)}) as server:
        assert ArtifactReader(server.url).list("mlflow-artifacts:/Wine/1", lambda _: None) == {"MLmodel": size}
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == str(seconds)


def test_rest_of_a_file_is_read_with_a_renewed_login(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(4000)
    refused: list[Call] = []

    def serve(call: Call) -> None:
        is_renewed = bool(refused)
        if call.request.headers.get("Range", "").startswith("bytes=2000-") and not is_renewed:
            refused.append(call)
            call.send(b"", 403)
        elif "Range" in call.request.headers:
            serve_range(call)
        else:
            call.send(call.file[:500], content_length=str(len(call.file)), etag='"1"')
            time.sleep(0.3)
            call.handler.wfile.write(call.file[500:])

    def list_slowly(call: Call) -> None:
        time.sleep(0.02)
        call.send_json({"files": call.server.entries(call.request)})

    with FaultyServer(faults={"artifacts?": list_slowly, "/model.bin": serve}) as server:
        server.add("Wine", {"model.bin": content})
        reader = ArtifactReader(server.url)
        reader.list("mlflow-artifacts:/Wine/1", lambda _: None)

        def read(start: int) -> bytes:
            destination = tmp_path / str(start)
            destination.touch()
            request = PartRequest(
                1, "mlflow-artifacts:/Wine/1", "model.bin", len(content), start, start + 1000, str(destination)
            )
            reader.read(request, lambda _: None)
            return destination.read_bytes()

        with ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(read, (0, 1000)))
        with pytest.raises(TransferError, match="status 403"):
            read(2000)
        reader.clear_cache()
        # The first listing of a location makes the client for its files.
        reader.list("mlflow-artifacts:/Wine/1", lambda _: None)
        assert b"".join([*parts, read(2000), read(3000)]) == content
        ranges = [request.headers for request in server.requests if "Range" in request.headers]
        assert {headers["If-Range"] for headers in ranges} == {'"1"'}
        reader.close(1)
