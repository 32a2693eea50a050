"""Connections that are opened for files while their directories are listed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model_gate.domain.origin import parse_store_endpoints
from model_gate.worker.transfer.artifact_server import DeclaredServer
from model_gate.worker.transfer.concurrency import INITIAL_FAR, ConcurrencyLimiter
from model_gate.worker.transfer.proxied_files import ProxiedFiles

# The client leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTENT = b"content"
LISTING = json.dumps({"files": [{"path": "file", "is_dir": False, "file_size": len(CONTENT)}]}).encode()
FAR = 0.05


class Server(ThreadingHTTPServer):
    """A server that counts its connections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, seconds: float, *, keeps_connections: bool = True) -> None:
        self.connections = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def do_GET(self) -> None:
                time.sleep(seconds)
                body = LISTING if "path=" in self.path else CONTENT
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                if not keeps_connections:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Do not log."""

        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self):  # type: ignore[no-untyped-def]  # as the class of the standard library
        self.connections += 1
        return super().get_request()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running(server: Server) -> Iterator[ProxiedFiles]:
    """Run a server, and yield the files that it proxies."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        (endpoint,) = parse_store_endpoints(server.url)
        uri = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/1/model"
        yield ProxiedFiles(DeclaredServer(endpoint), uri, ConcurrencyLimiter())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def becomes_true(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_connections_to_a_far_server_are_opened_after_its_first_listing() -> None:
    server = Server(FAR)
    with running(server) as files:
        files.list_artifacts(None)
        assert becomes_true(lambda: server.connections == 1 + INITIAL_FAR, 20)
        assert not becomes_true(lambda: server.connections > 1 + INITIAL_FAR, 0.2)


def test_file_uses_a_connection_that_is_open(tmp_path: Path) -> None:
    server = Server(FAR)
    with running(server) as files:
        files.list_artifacts(None)
        assert becomes_true(lambda: server.connections == 1 + INITIAL_FAR, 20)
        (tmp_path / "file").touch()
        files.fetch("file", len(CONTENT), str(tmp_path / "file"), lambda _: None)
        assert (tmp_path / "file").read_bytes() == CONTENT
        assert server.connections == 1 + INITIAL_FAR


def test_connections_are_opened_early_for_one_model_only() -> None:
    server = Server(FAR)
    with running(server) as files:
        files.list_artifacts(None)
        other = ProxiedFiles(files._server, files._uri, files._limiter)
        other.list_artifacts(None)
        # The server of the test keeps one connection for MLflow's requests.
        assert becomes_true(lambda: server.connections == 1 + INITIAL_FAR, 20)
        assert not becomes_true(lambda: server.connections > 1 + INITIAL_FAR, 0.3)


def test_no_connection_is_opened_early_to_a_near_server() -> None:
    server = Server(0)
    with running(server) as files:
        # The first request of a process can take long. The shortest time decides whether a server is near.
        files._limiter.record_latency(0.001)
        files.list_artifacts(None)
        assert not becomes_true(lambda: server.connections > 1, 0.3)


def test_no_connection_is_opened_early_to_a_server_that_closes_connections() -> None:
    server = Server(FAR, keeps_connections=False)
    with running(server) as files:
        files.list_artifacts(None)
        assert not becomes_true(lambda: server.connections > 1, 0.3)
