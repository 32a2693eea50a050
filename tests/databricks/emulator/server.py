"""The HTTP server: who may ask, what goes wrong, what is written down."""

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
from tests.databricks.emulator.exchange import Answer, RefusedError, Request, Routes
from tests.databricks.emulator.store import Store

ROUTES: Routes = [*tracking.ROUTES, *registry.ROUTES, *catalog.ROUTES, *oidc.ROUTES]
_SIGNED = re.compile(r"/signed/(.+)")


class EmulatedWorkspace(ThreadingHTTPServer):
    """One workspace."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, content: Content, port: int, requests: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.content = content
        self.address = f"http://127.0.0.1:{self.server_port}"
        self._access_tokens = oidc.AccessTokens(content.settings)
        self._store = Store(self.address, content.settings)
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

    def sign(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """A URL that gives the file at this path without a token, for a while, and what must be sent along."""
        return self._store.sign(path)

    def give(self, request: Request) -> Answer:
        """The right answer to a request."""
        try:
            if place := _place(request):
                return self._store.give(str(place), request)
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
        query, part = unquote(urlencode(request.query)), request.headers.get("range", "")
        asked = f"{request.method} {request.path}?{query} {part}"
        with self._lock:
            for number, fault in enumerate(self.content.faults):
                if re.search(fault.request, asked):
                    self._seen[number] += 1
                    late = self._seen[number] - fault.after
                    if late > 0 and (not fault.times or late <= fault.times):
                        return fault
        return None

    def prepare(self, request: Request, fault: Fault) -> Request:
        """Let happen what a fault does before the answer; returns the request as far as it is heeded."""
        place = _place(request)
        if place is not None and fault.expires:
            self._store.expire(request)
        if place is not None and fault.replacement:
            os.replace(place.parent / fault.replacement, place)
        headers = {name: value for name, value in request.headers.items() if name not in fault.ignored}
        return replace(request, headers=headers)

    def write_down(self, request: Request, status: int, client: int) -> None:
        """Keep what was asked, with which credential, and from which port."""
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
        if not self._access_tokens.is_good(token):
            raise RefusedError(401, "UNAUTHENTICATED", "Credential was not sent or was of an unsupported type.")


def _place(request: Request) -> Path | None:
    """The file that a presigned URL leads to, None for any other URL."""
    signed = _SIGNED.fullmatch(request.path)
    return Path("/" + unquote(signed.group(1))) if signed else None


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
        answer = self.server.give(self.server.prepare(request, fault))
        if fault.status:
            answer = Answer(fault.status, (fault.body or "{}").encode(), {"Content-Type": "application/json"})
        elif fault.body is not None:
            answer = Answer(answer.status, fault.body.encode(), answer.headers)
        self.server.write_down(request, answer.status, self.client_address[1])
        self._send(answer, fault)

    def _send(self, answer: Answer, fault: Fault) -> None:
        body = answer.body if fault.cut < 0 else answer.body[: fault.cut]
        self.send_response(answer.status)
        for name, value in {**answer.headers, **fault.headers}.items():
            if value:
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
