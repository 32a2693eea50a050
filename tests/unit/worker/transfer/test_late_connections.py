"""No connection is opened before a request needs it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from model_gate.domain.origin import parse_store_endpoints
from model_gate.worker.transfer.artifact_server import DeclaredServer
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.proxied_files import ProxiedFiles

# The client leaves its connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LISTING = json.dumps({"files": [{"path": "file", "is_dir": False, "file_size": 7}]}).encode()
# A server that takes longer than 15 ms is far.
FAR_SECONDS = 0.05


class Server(ThreadingHTTPServer):
    """A far server that counts its connections, and answers each request with a listing."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.connections = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536

            def do_GET(self) -> None:
                time.sleep(FAR_SECONDS)
                self.send_response(200)
                self.send_header("Content-Length", str(len(LISTING)))
                self.end_headers()
                self.wfile.write(LISTING)

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


def test_no_connection_is_opened_before_a_request_needs_it() -> None:
    # A server with one thread for each connection would wait for a request on each idle one, and serve nobody else.
    server = Server()
    with running(server) as files:
        files.list_artifacts(None)
        time.sleep(0.3)
        assert server.connections == 1
