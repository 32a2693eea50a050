"""A tracking server that misbehaves where a test wants it to.

It speaks as much of MLflow's protocol as a gate needs, over a real socket, and writes down what it is asked.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

_API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"

MODEL = {
    "MLmodel": b"flavors: {python_function: {loader_module: mlflow.sklearn}}\nmodel_uuid: 1\n",
    "model.pkl": bytes(range(256)) * 16,
    "data/part-0": b"some text",
}


@dataclass(frozen=True)
class Asked:
    """A request, as it came."""

    path: str
    query: Mapping[str, list[str]]
    authorization: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """A request that is being answered, and the connection to do it on."""

    server: FaultyServer
    handler: BaseHTTPRequestHandler
    asked: Asked

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer in full. Give `content_length` to lie about it."""
        told = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        told |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        self.handler.send_response(status)
        for name, value in told.items():
            if value:
                self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(body)
        self.handler.wfile.flush()

    def send_json(self, data: object, status: int = 200) -> None:
        self.send(json.dumps(data).encode(), status)

    def close(self) -> None:
        self.handler.close_connection = True

    @property
    def file(self) -> bytes:
        """The content of the file that is asked for."""
        return self.server.files[self.asked.path.removeprefix(ARTIFACTS).strip("/")]


Fault = Callable[[Call], None]


@dataclass
class FaultyServer:
    """Use it as a context manager.

    Attributes:
        files: Content by path in the artifact store.
        sources: Source by registered model and version.
        downloads: Download URI, where it is another than the source.
        faults: What to do instead of answering, by a part of the path or query of a request.
        tls: How to speak TLS; in the clear if that is not said.
        asked: All requests so far.
    """

    address: str = "127.0.0.1"
    files: dict[str, bytes] = field(default_factory=dict)
    sources: dict[tuple[str, str], str] = field(default_factory=dict)
    downloads: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    is_closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> FaultyServer:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body leave together: apart, each answer would wait for an acknowledgement.
            wbufsize = 65536

            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing: the requests are in `asked`."""

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
        """The files that were fetched, in order."""
        start = ARTIFACTS + "/"
        return [asked.path.removeprefix(start) for asked in self.asked if asked.path.startswith(start)]

    @property
    def authorizations(self) -> set[str | None]:
        return {asked.authorization for asked in self.asked}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        asked = Asked(
            unquote(parts.path), parse_qs(parts.query), handler.headers.get("Authorization"), dict(handler.headers)
        )
        self.asked.append(asked)
        call = Call(self, handler, asked)
        for part, fault in self.faults.items():
            if part in unquote(handler.path):
                fault(call)
                return
        if asked.path == ARTIFACTS:
            call.send_json({"files": self.listed(asked)})
        elif asked.path.startswith(ARTIFACTS):
            call.send(call.file, content_type="application/octet-stream")
        else:
            self._registry(call)

    def _registry(self, call: Call) -> None:
        query = {name: values[0] for name, values in call.asked.query.items()}
        operation = call.asked.path.removeprefix(_API)
        model, version = query.get("name", ""), query.get("version", "1")
        source = self.sources.get((model, version))
        if source is None:
            call.send_json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"No {operation}: {query}"}, 404)
        elif operation == "registered-models/get":
            call.send_json({"registered_model": {"name": model}})
        elif operation == "model-versions/get":
            found = {"name": model, "version": version, "source": source, "status": "READY"}
            call.send_json({"model_version": found})
        else:
            call.send_json({"artifact_uri": self.downloads.get((model, version), source)})

    def listed(self, asked: Asked) -> list[dict[str, object]]:
        """What is in the directory that is asked for."""
        start = asked.query["path"][0].strip("/") + "/"
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
        """A client that goes away is what some tests are about."""


def ranged(call: Call, tag: str = '"1"', *, until: int | None = None) -> None:
    """Send the part of the file that is asked for, as MLflow's server does; break off after `until` bytes of it."""
    asked = call.asked.headers.get("Range", "")
    if not asked or call.asked.headers.get("If-Range", tag) != tag:
        call.send(call.file, etag=tag)
        return
    start, stop = (int(number) for number in asked.removeprefix("bytes=").split("-"))
    part = call.file[start : stop + 1]
    total = len(call.file)
    call.send(part[:until], 206, content_length=str(len(part)), content_range=f"bytes {start}-{stop}/{total}", etag=tag)
    if until is not None:
        call.close()


def never(call: Call) -> None:
    """Accept, and say nothing."""
    call.server.is_closing.wait()


def hang_up(call: Call) -> None:
    """Close the connection without an answer."""
    call.close()


def broken_off(call: Call) -> None:
    """Announce the whole file, send half, close."""
    call.send(call.file[: len(call.file) // 2], content_length=str(len(call.file)))
    call.close()


def cut_short(call: Call) -> None:
    """Send half of the file as if it were all."""
    call.send(call.file[: len(call.file) // 2])


def unframed(call: Call) -> None:
    """Send half of the file without saying how long it is."""
    call.send(call.file[: len(call.file) // 2], content_length="", connection="close")
    call.close()


def chunk_lost(call: Call) -> None:
    """Send half of the file in a chunk, and no last chunk."""
    half = call.file[: len(call.file) // 2]
    call.send(b"%x\r\n%s\r\n" % (len(half), half), content_length="", transfer_encoding="chunked")
    call.close()


def stuck(call: Call) -> None:
    """Send half of the file, then nothing more."""
    call.send(call.file[: len(call.file) // 2], content_length=str(len(call.file)))
    call.server.is_closing.wait()


def login_page(call: Call) -> None:
    """A web page with status 200, as a single sign-on in front of the server sends it."""
    call.send(b"<!DOCTYPE html><title>Sign in</title>", content_type="text/html")


def status(code: int, **headers: str) -> Fault:
    """Refuse with this status and a page of a proxy."""
    return lambda call: call.send(b"<h1>Sorry</h1>", code, content_type="text/html", **headers)


def listing(*files: Mapping[str, object]) -> Fault:
    """List these, whatever is asked for."""
    return lambda call: call.send_json({"files": files})
