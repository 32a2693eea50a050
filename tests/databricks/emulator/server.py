"""The HTTP server: authentication, faults, routing and the request log."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from tests.databricks.emulator import catalog, oidc, registry, tracking
from tests.databricks.emulator.content import Content, Fault, Settings
from tests.databricks.emulator.messages import ApiError, Request, Response, Routes
from tests.databricks.emulator.store import Store

ROUTES: Routes = [*tracking.ROUTES, *registry.ROUTES, *catalog.ROUTES, *oidc.ROUTES]
_SIGNED = re.compile(r"/signed/(.+)")


class WorkspaceServer(ThreadingHTTPServer):
    """HTTP server of one workspace."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, content: Content, port: int, requests: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.content = content
        self.address = f"http://127.0.0.1:{self.server_port}"
        self._access_tokens = oidc.AccessTokens(content.settings, self.server_port)
        self._store = Store(self.address, content.settings)
        self._requests = requests
        self._lock = threading.Lock()
        self._matches: Counter[int] = Counter()

    @property
    def settings(self) -> Settings:
        """The settings that change the behavior of the workspace."""
        return self.content.settings

    def new_access_token(self) -> str:
        """Issue an access token."""
        return self._access_tokens.new()

    def sign(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """Return a presigned URL of a file and the headers that the client must send."""
        return self._store.sign(path)

    def respond(self, request: Request) -> Response:
        """Return the normal response to a request."""
        try:
            if path := _signed_path(request):
                return self._store.respond(str(path), request)
            for method, pattern, needs_token, route in ROUTES:
                match = re.fullmatch(pattern, request.path)
                if match and method in {request.method, "ANY"}:
                    if needs_token:
                        self._require_token(request)
                    return route(self, request, tuple(unquote(group) for group in match.groups()))
            raise ApiError(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")
        except ApiError as error:
            return error.response

    def fault_for(self, request: Request) -> Fault | None:
        """Return the fault that applies to a request, None if there is none."""
        query, byte_range = unquote(urlencode(request.query)), request.headers.get("range", "")
        text = f"{request.method} {request.path}?{query} {byte_range}"
        with self._lock:
            for number, fault in enumerate(self.content.faults):
                if re.search(fault.request, text):
                    self._matches[number] += 1
                    position = self._matches[number] - fault.after
                    if position > 0 and (not fault.times or position <= fault.times):
                        return fault
        return None

    def prepare(self, request: Request, fault: Fault) -> Request:
        """Apply the effects that a fault has before the response. Return the request without the ignored headers."""
        path = _signed_path(request)
        if path is not None and fault.expires:
            self._store.expire(request)
        if path is not None and fault.replacement:
            os.replace(path.parent / fault.replacement, path)
        headers = {name: value for name, value in request.headers.items() if name not in fault.ignored}
        return replace(request, headers=headers)

    def log_request(self, request: Request, status: int, client: int) -> None:
        """Append a request to the log, with its credential and the port of the client."""
        if self._requests is None:
            return
        entry = {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "authorization": request.headers.get("authorization", ""),
            "body": request.body.decode("utf-8", "replace"),
            "range": request.headers.get("range", ""),
            "if_range": request.headers.get("if-range", ""),
            "via": request.headers.get("via", ""),
            "client": client,
            "status": status,
            "time": time.time(),
        }
        with self._lock, self._requests.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _require_token(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.content.tokens or oidc.is_entra_token(self, token):
            return
        if not self._access_tokens.is_valid(token):
            raise ApiError(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type.")


def _signed_path(request: Request) -> Path | None:
    """Return the file of a presigned URL, or None for any other URL."""
    signed = _SIGNED.fullmatch(request.path)
    return Path("/" + unquote(signed.group(1))) if signed else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WorkspaceServer

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
        fault = self.server.fault_for(request) or Fault("")
        time.sleep(fault.seconds)
        response = self.server.respond(self.server.prepare(request, fault))
        if fault.status:
            response = Response(fault.status, (fault.body or "{}").encode(), {"Content-Type": "application/json"})
        elif fault.body is not None:
            response = Response(response.status, fault.body.encode(), response.headers)
        self.server.log_request(request, response.status, self.client_address[1])
        self._send(response, fault)

    def _send(self, response: Response, fault: Fault) -> None:
        body = response.body if fault.cut < 0 else response.body[: fault.cut]
        self.send_response(response.status)
        for name, value in {**response.headers, **fault.headers}.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body if fault.honest else response.body)))
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

    do_GET = do_POST = do_HEAD = _respond  # noqa: N815  # names that http.server calls

    def log_message(self, *_: object) -> None:
        """Write no log to stderr; requests have their own log file."""


def serve(content: Content, port: int, requests: Path | None) -> WorkspaceServer:
    """Return a server that listens but does not serve yet."""
    return WorkspaceServer(content, port, requests)
