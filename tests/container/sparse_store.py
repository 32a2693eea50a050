"""An S3 server for large sparse files: it sends the files of a directory, and counts the bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"
_DATE = "2026-01-01T00:00:00.000Z"
# Small steps, so that the count does not run ahead of what the gate receives.
_STEP = 256 * 1024


class SparseStore:
    """A running store.

    Attributes:
        sent: Bytes of all files that were sent so far.
    """

    def __init__(self, directory: Path) -> None:
        self.sent = 0
        self._directory = directory
        self._lock = threading.Lock()
        self.port = 0

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with the login and the address of the store."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "secret-of-the-test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Send a listing, a file or a range of a file."""
        parts = urlsplit(handler.path)
        query = parse_qs(parts.query)
        if "list-type" in query:
            self._list(handler, query["prefix"][0])
            return
        file = self._directory / unquote(parts.path).removeprefix(f"/{BUCKET}/")
        tag = f'"{file.stat().st_mtime_ns}"'
        size = file.stat().st_size
        if handler.headers.get("If-Match", tag) != tag:
            _send_head(handler, 412, {"Content-Length": "0"})
            return
        header = handler.headers.get("Range", "")
        start, stop = (int(number) for number in (header.removeprefix("bytes=") or f"0-{size - 1}").split("-"))
        headers = {"ETag": tag, "Content-Length": str(stop + 1 - start)}
        headers |= {"Content-Range": f"bytes {start}-{stop}/{size}"} if header else {}
        _send_head(handler, 206 if header else 200, headers)
        self._send(handler, file, start, stop + 1)

    def _send(self, handler: BaseHTTPRequestHandler, file: Path, start: int, stop: int) -> None:
        handler.wfile.flush()
        with file.open("rb") as opened:
            while start < stop:
                sent = os.sendfile(handler.connection.fileno(), opened.fileno(), start, min(_STEP, stop - start))
                start += sent
                with self._lock:
                    self.sent += sent

    def _list(self, handler: BaseHTTPRequestHandler, prefix: str) -> None:
        paths = sorted(path for path in self._directory.rglob("*") if path.is_file())
        entries = [(path.relative_to(self._directory).as_posix(), path.stat().st_size) for path in paths]
        contents = "".join(
            f"<Contents><Key>{escape(quote(key))}</Key><LastModified>{_DATE}</LastModified><Size>{size}</Size></Contents>"
            for key, size in entries
            if key.startswith(prefix)
        )
        body = (
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name>'
            f"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ).encode()
        _send_head(handler, 200, {"Content-Length": str(len(body)), "Content-Type": "application/xml"})
        handler.wfile.write(body)


def _send_head(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()


@contextmanager
def sparse_store(directory: Path) -> Iterator[SparseStore]:
    """Run a store whose one bucket has the files of `directory`. Stop it at the exit."""
    store = SparseStore(directory)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            # A gate that needs no more of a file closes the connection.
            with suppress(ConnectionError):
                store.respond(self)

        def log_message(self, *_: object) -> None:
            """Do not log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        store.port = int(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield store
        server.shutdown()
