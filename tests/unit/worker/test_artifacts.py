"""Downloads have a time limit by their listed sizes, outlive a login, and free memory. Only servers can be near."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_gate.domain.limits import LIMITS
from model_gate.domain.model import FileRequest, PartRequest
from model_gate.errors import TransferError
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.free_memory import FreeMemory
from tests.support.faulty_server import Call, FaultyServer, listing, serve_range
from tests.support.faulty_store import FaultyStore

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


def test_store_beside_a_near_server_is_not_near(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FaultyStore(cloud="s3")
    with FaultyServer() as server, store:
        for name, value in store.variables.items():
            monkeypatch.setenv(name, value)
        server.add("Wine", {"MLmodel": b""})
        store.files["m/MLmodel"] = b""
        reader = ArtifactReader(server.url)
        on_server, in_store = "mlflow-artifacts:/Wine/1", store.location("m")
        for _ in range(200):
            # The reader keeps the lowest latency of all listings.
            reader.list(on_server, lambda _: None)
            if reader.is_near(on_server):
                break
        reader.list(in_store, lambda _: None)
        assert (reader.is_near(on_server), reader.is_near(in_store)) == (True, False)


def test_free_memory_is_returned_after_files_and_after_parts(tmp_path: Path) -> None:
    trims: list[int] = []
    file = tmp_path / "file"
    file.touch()
    with FaultyServer() as server:
        server.add("Wine", {"MLmodel": b"content"})
        reader = ArtifactReader(server.url, free_memory=FreeMemory(interval=7, trim=trims.append))
        uri = "mlflow-artifacts:/Wine/1"
        reader.list(uri, lambda _: None)
        reader.fetch(uri, [FileRequest("MLmodel", 7, str(file))], lambda _: None)
        assert len(trims) == 1
        reader.read(PartRequest(1, uri, "MLmodel", 7, 0, 7, str(file)), lambda _: None)
        assert len(trims) == 2
        reader.close(1)


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


class PartsOfWine:
    """Reads the parts of `model.bin` of one model, 1,000 bytes each, as the gate's process requests them."""

    def __init__(self, reader: ArtifactReader, size: int, directory: Path) -> None:
        self.reader = reader
        self._size = size
        self._directory = directory

    def read(self, start: int) -> bytes:
        destination = self._directory / str(start)
        destination.touch()
        request = PartRequest(
            1, "mlflow-artifacts:/Wine/1", "model.bin", self._size, start, start + 1000, str(destination)
        )
        self.reader.read(request, lambda _: None)
        return destination.read_bytes()


def test_renewal_of_the_login_during_the_first_parts_leaves_all_parts_to_one_response(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(4000)
    is_renewed = threading.Event()

    def serve(call: Call) -> None:
        is_renewed.wait(10)
        call.send(call.file, etag='"1"')

    with FaultyServer(faults={"/model.bin": serve}) as server, ThreadPoolExecutor(4) as pool:
        server.add("Wine", {"model.bin": content})
        parts = PartsOfWine(ArtifactReader(server.url), len(content), tmp_path)
        try:
            first = [pool.submit(parts.read, start) for start in (0, 1000)]
            while not server.requests:
                time.sleep(0.01)
            parts.reader.clear_cache()
            rest = [pool.submit(parts.read, start) for start in (2000, 3000)]
            time.sleep(0.1)
            is_renewed.set()
            assert b"".join(part.result(10) for part in [*first, *rest]) == content
        finally:
            # Without it, a part that waits for ever would keep the pool from its end.
            parts.reader.close(1)
        assert len([request for request in server.requests if "model.bin" in request.path]) == 1


def test_file_whose_first_request_failed_is_requested_again_with_a_renewed_login(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(2000)
    refused: list[Call] = []

    def serve(call: Call) -> None:
        if refused:
            call.send(call.file, etag='"1"')
        else:
            refused.append(call)
            call.send(b"", 401)

    with FaultyServer(faults={"/model.bin": serve}) as server, ThreadPoolExecutor(2) as pool:
        server.add("Wine", {"model.bin": content})
        parts = PartsOfWine(ArtifactReader(server.url), len(content), tmp_path)
        with pytest.raises(Exception, match="401"):
            parts.read(0)
        parts.reader.clear_cache()
        try:
            results = [pool.submit(parts.read, start) for start in (0, 1000)]
            assert b"".join(part.result(10) for part in results) == content
        finally:
            parts.reader.close(1)


def test_part_of_a_closed_file_is_refused_without_a_request(tmp_path: Path) -> None:
    with FaultyServer() as server, ThreadPoolExecutor(1) as pool:
        server.add("Wine", {"model.bin": bytes(2000)})
        parts = PartsOfWine(ArtifactReader(server.url), 2000, tmp_path)
        parts.read(0)
        parts.reader.close(1)
        count = len(server.requests)
        refused = pool.submit(parts.read, 1000)
        try:
            with pytest.raises(TransferError, match="was ended"):
                refused.result(5)
        finally:
            # Without it, a part that waits for ever would keep the pool from its end.
            parts.reader.close(1)
        assert len(server.requests) == count
