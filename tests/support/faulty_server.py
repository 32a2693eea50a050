"""A tracking server that can respond with faults.

The server implements the part of MLflow's protocol that a gate uses, over a real socket, and records all requests.
"""

from __future__ import annotations

import json
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.recording_proxy import VIA, shared_proxy

_API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"

MODEL = {
    "MLmodel": b"flavors: {python_function: {loader_module: mlflow.sklearn}}\nmodel_uuid: 1\n",
    "model.pkl": bytes(range(256)) * 16,
    "data/part-0": b"some text",
}


@dataclass(frozen=True)
class Request:
    """A request that the server received. The path is percent-decoded."""

    path: str
    query: Mapping[str, list[str]]
    authorization: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """A request that the server has not answered yet, and its connection."""

    server: FaultyServer
    handler: BaseHTTPRequestHandler
    request: Request

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Send a response, without the body if the request is HEAD.

        `headers` replace default headers, such as `content_length`; the value "" omits a header.
        """
        all_headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        all_headers |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        self.handler.send_response(status)
        for name, value in all_headers.items():
            if value:
                self.handler.send_header(name, value)
        self.handler.end_headers()
        if self.handler.command != "HEAD":
            self.handler.wfile.write(body)
        self.handler.wfile.flush()

    def send_json(self, data: object, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(data).encode(), status, **headers)

    def close(self) -> None:
        self.handler.close_connection = True

    @property
    def file(self) -> bytes:
        """The content of the requested file."""
        return self.server.file_at(self.request.path)


Fault = Callable[[Call], None]


@dataclass
class FaultyServer:
    """A tracking server with faults. Use it as a context manager.

    Attributes:
        files: Content of each file, by its path in the artifact store.
        sources: Source URI of each version, by model name and version number.
        downloads: Download URI of a version, by model name and version number. Without an entry, it is the source URI.
        faults: Functions that respond instead of the server. The key of a function is a text: it responds to every
            request whose path or query contains this text.
        requests: All requests so far.
        tls: TLS settings; None for plain HTTP.
        bypassing: Paths of requests that bypassed the recording proxy, if the test uses this proxy.
    """

    address: str = "127.0.0.1"
    files: dict[str, bytes] = field(default_factory=dict)
    sources: dict[tuple[str, str], str] = field(default_factory=dict)
    downloads: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    bypassing: list[str] = field(default_factory=list)
    is_closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        server = self
        self._is_proxied = self.tls is None and shared_proxy().serves(os.environ)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # The response is buffered. If head and body were separate packets, each response would wait for an ACK.
            wbufsize = 65536

            def do_GET(self) -> None:
                server.answer(self)

            def do_HEAD(self) -> None:
                server.answer(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.answer(self)

            def log_message(self, *_: object) -> None:
                """Do not log: the requests are in `requests`."""

        self._http = _Http((self.address, 0), Handler)
        if self.tls is not None:
            self._http.socket = self.tls.wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_closing.set()
        self._http.shutdown()
        self._http.server_close()
        assert self.bypassing == []

    @property
    def url(self) -> str:
        if self.tls is not None:
            return f"https://localhost:{self._http.server_address[1]}"
        return f"http://{self.address}:{self._http.server_address[1]}"

    def add(self, model: str, files: Mapping[str, bytes], version: str = "1") -> None:
        """Register a version of a model with these files."""
        self.sources[model, version] = f"mlflow-artifacts:/{model}/{version}"
        self.files |= {f"{model}/{version}/{path}": content for path, content in files.items()}

    @property
    def fetched(self) -> list[str]:
        """Paths of the requested files, in order."""
        start = ARTIFACTS + "/"
        return [request.path.removeprefix(start) for request in self.requests if request.path.startswith(start)]

    @property
    def authorizations(self) -> set[str | None]:
        """The distinct Authorization headers of all requests."""
        return {request.authorization for request in self.requests}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        request = Request(
            unquote(parts.path), parse_qs(parts.query), handler.headers.get("Authorization"), dict(handler.headers)
        )
        self.requests.append(request)
        if self._is_proxied and handler.headers.get("Via") != VIA:
            self.bypassing.append(request.path)
        call = Call(self, handler, request)
        for part, fault in self.faults.items():
            if part in unquote(handler.path):
                fault(call)
                return
        self.respond(call)

    def file_at(self, path: str) -> bytes:
        """Return the content of the file at the path of a request."""
        return self.files[path.removeprefix(ARTIFACTS).strip("/")]

    def respond(self, call: Call) -> None:
        """Respond to a request without a fault."""
        if call.request.path == ARTIFACTS:
            call.send_json({"files": self.entries(call.request)})
        elif call.request.path.startswith(ARTIFACTS):
            call.send(call.file, content_type="application/octet-stream")
        else:
            self._registry(call)

    def _registry(self, call: Call) -> None:
        query = {name: values[0] for name, values in call.request.query.items()}
        operation = call.request.path.removeprefix(_API)
        model, version = query.get("name", ""), query.get("version", "1")
        source = self.sources.get((model, version))
        if source is None:
            call.send_json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"No {operation}: {query}"}, 404)
        elif operation == "registered-models/get":
            call.send_json({"registered_model": {"name": model}})
        elif operation == "model-versions/get":
            data = {"name": model, "version": version, "source": source, "status": "READY"}
            call.send_json({"model_version": data})
        else:
            call.send_json({"artifact_uri": self.downloads.get((model, version), source)})

    def entries(self, request: Request) -> list[dict[str, object]]:
        """Return the normal listing of the directory that is requested, as MLflow's server sends it."""
        start = request.query["path"][0].strip("/") + "/"
        below = {path.removeprefix(start): content for path, content in self.files.items() if path.startswith(start)}
        listing: dict[str, dict[str, object]] = {}
        for path, content in below.items():
            name, slash, _ = path.partition("/")
            listing[name] = {"path": name, "is_dir": bool(slash)} | ({} if slash else {"file_size": len(content)})
        return list(listing.values())


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection: some tests do so."""


def serve_range(call: Call, tag: str = '"1"', *, until: int | None = None) -> None:
    """Send the requested range of the file, as MLflow's server does. Close the connection after `until` bytes of it."""
    header = call.request.headers.get("Range", "")
    if not header or call.request.headers.get("If-Range", tag) != tag:
        call.send(call.file, etag=tag)
        return
    start, stop = (int(number) for number in header.removeprefix("bytes=").split("-"))
    content = call.file[start : stop + 1]
    total = len(call.file)
    content_range = f"bytes {start}-{stop}/{total}"
    call.send(content[:until], 206, content_length=str(len(content)), content_range=content_range, etag=tag)
    if until is not None:
        call.close()


def never_respond(call: Call) -> None:
    """Accept the connection and send nothing."""
    call.server.is_closing.wait()


def hang_up(call: Call) -> None:
    """Close the connection without a response."""
    call.close()


def break_off(call: Call) -> None:
    """Send half of the file with the Content-Length of the whole file, and close the connection."""
    call.send(call.file[: len(call.file) // 2], content_length=str(len(call.file)))
    call.close()


def truncate(call: Call) -> None:
    """Send half of the file with the Content-Length of this half."""
    call.send(call.file[: len(call.file) // 2])


def truncate_without_length(call: Call) -> None:
    """Send half of the file without a Content-Length."""
    call.send(call.file[: len(call.file) // 2], content_length="", connection="close")
    call.close()


def drop_last_chunk(call: Call) -> None:
    """Send half of the file as one chunk, without the final chunk that marks the end."""
    half = call.file[: len(call.file) // 2]
    call.send(b"%x\r\n%s\r\n" % (len(half), half), content_length="", transfer_encoding="chunked")
    call.close()


def stall(call: Call) -> None:
    """Send half of the file, then keep the connection open."""
    call.send(call.file[: len(call.file) // 2], content_length=str(len(call.file)))
    call.server.is_closing.wait()


def login_page(call: Call) -> None:
    """Send a web page with status 200, like a single sign-on proxy in front of the server."""
    call.send(b"<!DOCTYPE html><title>Sign in</title>", content_type="text/html")


def status(code: int, **headers: str) -> Fault:
    """Return a fault that responds with this status and an error page, as a proxy does."""
    return lambda call: call.send(b"<h1>Sorry</h1>", code, content_type="text/html", **headers)


def listing(*files: Mapping[str, object]) -> Fault:
    """Return a fault that responds with these entries to the listing of every directory."""
    return lambda call: call.send_json({"files": files})
