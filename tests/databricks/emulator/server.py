"""The HTTP server: who may ask, what goes wrong, what is written down."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from emulator import catalog, oidc, registry, tracking
from emulator.content import Content, Fault, Settings
from emulator.exchange import Answer, RefusedError, Request, Routes, missing

ROUTES: Routes = [*tracking.ROUTES, *registry.ROUTES, *catalog.ROUTES, *oidc.ROUTES]
_SIGNED = re.compile(r"/signed/(.+)")
_SIGNED_SECONDS = 900
# A presigned URL of a cloud's may ask for headers of its own; one that is asked for must be sent.
SIGNED_HEADER = ("x-emulator-signed", "yes")


class EmulatedWorkspace(ThreadingHTTPServer):
    """One workspace."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, content: Content, port: int, requests: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.content = content
        self.address = f"http://127.0.0.1:{self.server_port}"
        self._access_tokens = oidc.AccessTokens(content.settings)
        self._key = secrets.token_bytes(16)
        self._requests = requests
        self._lock = threading.Lock()
        self._seen: Counter[int] = Counter()

    @property
    def settings(self) -> Settings:
        """How it behaves."""
        return self.content.settings

    def new_access_token(self) -> str:
        """An access token."""
        return self._access_tokens.new()

    def sign(self, path: str) -> str:
        """A URL that gives the file at this path of this machine without a token, for a while."""
        expires = str(int(time.time()) + _SIGNED_SECONDS)
        query = urlencode({"expires": expires, "signature": self._signature(path, expires)})
        return f"{self.address}/signed/{quote(path.lstrip('/'))}?{query}"

    def give(self, request: Request) -> Answer:
        """The right answer to a request."""
        try:
            if signed := _SIGNED.fullmatch(request.path):
                return self._signed("/" + unquote(signed.group(1)), request)
            for method, pattern, needs_token, route in ROUTES:
                match = re.fullmatch(pattern, request.path)
                if match and method in {request.method, "ANY"}:
                    if needs_token:
                        self._require_token(request)
                    return route(self, request, tuple(unquote(group) for group in match.groups()))
            raise RefusedError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")
        except RefusedError as refused:
            return refused.answer

    def fault_of(self, request: Request) -> Fault | None:
        """What goes wrong with this request, if anything."""
        with self._lock:
            for number, fault in enumerate(self.content.faults):
                if re.search(fault.request, f"{request.method} {request.path}?{unquote(urlencode(request.query))}"):
                    self._seen[number] += 1
                    late = self._seen[number] - fault.after
                    if late > 0 and (not fault.times or late <= fault.times):
                        return fault
        return None

    def write_down(self, request: Request, status: int) -> None:
        """Keep what was asked, and with which credential."""
        if self._requests is None:
            return
        entry = {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "authorization": request.headers.get("authorization", ""),
            "body": request.body.decode("utf-8", "replace"),
            "status": status,
            "time": time.time(),
        }
        with self._lock, self._requests.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _require_token(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.content.tokens or oidc.is_entra_token(self, token):
            return
        if not self._access_tokens.is_good(token):
            raise RefusedError(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type.")

    def _signed(self, path: str, request: Request) -> Answer:
        expires = request.query.get("expires", "0")
        if request.query.get("signature") != self._signature(path, expires) or float(expires) < time.time():
            raise RefusedError(403, "AccessDenied", "Request has expired")
        if request.headers.get(SIGNED_HEADER[0]) != SIGNED_HEADER[1]:
            raise RefusedError(403, "SignatureDoesNotMatch", "A signed header is missing")
        if "authorization" in request.headers:
            raise RefusedError(400, "InvalidArgument", "Only one auth mechanism allowed")
        if not Path(path).is_file():
            raise missing(path)
        return Answer(200, Path(path).read_bytes(), {"Content-Type": "application/octet-stream"})

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: EmulatedWorkspace

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _respond(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            self.rfile.read(length),
            {name.lower(): value for name, value in self.headers.items()},
        )
        fault = self.server.fault_of(request) or Fault("")
        time.sleep(fault.seconds)
        answer = self.server.give(request)
        if fault.status:
            answer = Answer(fault.status, (fault.body or "{}").encode(), {"Content-Type": "application/json"})
        elif fault.body is not None:
            answer = Answer(answer.status, fault.body.encode(), answer.headers)
        self.server.write_down(request, answer.status)
        self._send(answer, fault)

    def _send(self, answer: Answer, fault: Fault) -> None:
        body = answer.body if fault.cut < 0 else answer.body[: fault.cut]
        self.send_response(answer.status)
        for name, value in {**answer.headers, **fault.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body if fault.honest else answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.trickle:
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(fault.trickle)
        else:
            self.wfile.write(body)
        if not fault.honest:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_POST = do_HEAD = _respond  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Requests are written down in their own file."""


def serve(content: Content, port: int, requests: Path | None) -> EmulatedWorkspace:
    """A server that is bound, not yet serving."""
    return EmulatedWorkspace(content, port, requests)
