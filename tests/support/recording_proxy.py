"""A forward proxy that records every request, and forwards only those to servers on this machine.

The proxy relays bytes as they arrive and does not wait for the end of a body: a slow, broken or endless response
reaches the client as the server sends it. Each connection has one exchange, or one tunnel.
"""

from __future__ import annotations

import atexit
import base64
import binascii
import functools
import ipaddress
import re
import select
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import unquote_plus, urlsplit

# The proxy adds this header, so that a server can recognize a request that bypassed the proxy.
VIA = "1.1 recording-proxy"
_BLOCK = 256 * 1024
_MAX_HEAD = 1024 * 1024
_MAX_LINE = 128 * 1024
_MAX_CONTENT = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_DROPPED = frozenset({"connection", "keep-alive", "proxy-authorization", "proxy-connection"})
_CREDENTIAL_HEADER = re.compile(
    r"(?:proxy-)?authorization|cookie|x-(?:amz|ms|goog|databricks)-.*|.*(?:token|secret|key).*"
)
_PROVISIONAL = re.compile(rb"HTTP/1\.[01] 1(?!01)\d\d")
_BASIC = re.compile(r"Basic ([A-Za-z0-9+/=]+)", re.IGNORECASE)


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL.

    >>> origin_of("https://ada:secret@Mlflow.example.com/path?query")
    'https://mlflow.example.com:443'
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    address = f"[{host}]" if ":" in host else host
    return f"{parts.scheme.lower()}://{address}:{parts.port or _PORTS.get(parts.scheme.lower(), '')}"


@dataclass(frozen=True)
class ProxiedRequest:
    """A request. For a tunnel, only the method CONNECT, the origin and the headers for the proxy are known.

    Attributes:
        method: The method.
        origin: Scheme, host and port.
        path: The path without the query.
        credentials: Names, in lower case, and values of all headers that can have a credential.
        content: The head and the start of the body, as sent.
    """

    method: str
    origin: str
    path: str
    credentials: tuple[tuple[str, str], ...] = ()
    content: bytearray = field(default_factory=bytearray, repr=False, compare=False)

    @classmethod
    def of(
        cls, method: str, url: str, headers: Iterable[tuple[str, str]], content: bytes | bytearray = b""
    ) -> ProxiedRequest:
        """Return the record of a request to `url`."""
        try:
            origin, path = origin_of(url), urlsplit(url).path
        except ValueError:
            # Not a URL. The proxy refuses the request.
            origin, path = url, ""
        found = tuple((name.lower(), value) for name, value in headers if _CREDENTIAL_HEADER.fullmatch(name.lower()))
        return cls(method, origin, path, found, bytearray(content))

    def contains(self, secret: str) -> bool:
        """Return whether the request has this text: as it is, percent-encoded, or in a basic authentication."""
        return any(secret in text for text in decoded(self.content.decode("utf-8", "replace")))


def decoded(text: str) -> list[str]:
    """Return a text as it is, percent-decoded, and each login with basic authentication in it."""
    logins: list[str] = []
    for encoded in _BASIC.findall(text):
        with suppress(binascii.Error):
            logins.append(base64.b64decode(encoded).decode("utf-8", "replace"))
    return [text, unquote_plus(text), *logins, *map(unquote_plus, logins)]


class RecordingProxy:
    """A proxy for http and https. Use it as a context manager.

    Attributes:
        requests: All requests so far, refused ones too.
    """

    def __init__(self) -> None:
        self.requests: list[ProxiedRequest] = []
        self._taken = 0
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> RecordingProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make HTTP clients use the proxy, also for servers on this machine."""
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return dict.fromkeys(names, self.url) | {"NO_PROXY": "", "no_proxy": ""}

    def serves(self, environment: Mapping[str, str]) -> bool:
        """Return whether HTTP clients in this environment send http requests to the proxy."""
        return environment.get("http_proxy") == self.url

    @property
    def origins(self) -> set[str]:
        """The distinct origins of all requests."""
        return {request.origin for request in self.requests}

    def record(
        self, method: str, url: str, headers: Iterable[tuple[str, str]], content: bytes | bytearray = b""
    ) -> ProxiedRequest:
        """Add a request, here or in another proxy, to the record."""
        request = ProxiedRequest.of(method, url, headers, content)
        self.requests.append(request)
        return request

    def take(self) -> list[ProxiedRequest]:
        """Return the requests since the last call, including those of clients that have just ended."""
        # Connections are accepted in order: when this one has its response, all earlier ones are accepted.
        with socket.create_connection(("127.0.0.1", self._server.server_address[1]), timeout=10) as connection:
            connection.sendall(b"OPTIONS * HTTP/1.1\r\n\r\n")
            connection.recv(1)
        deadline = time.monotonic() + 1
        while self._server.unrecorded and time.monotonic() < deadline:
            time.sleep(0.001)
        start, self._taken = self._taken, len(self.requests)
        return self.requests[start : self._taken]


@functools.cache
def shared_proxy() -> RecordingProxy:
    """Return the proxy of this pytest process, and start it if it does not run."""
    proxy = RecordingProxy().__enter__()
    atexit.register(proxy.__exit__)
    return proxy


class _Server(socketserver.ThreadingTCPServer):
    """Accepts connections. `unrecorded` is the number of connections whose request is not recorded yet."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, proxy: RecordingProxy) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.proxy = proxy
        self.unrecorded = 0
        self._lock = threading.Lock()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        with self._lock:
            self.unrecorded += 1
        super().process_request(request, client_address)

    def recorded(self) -> None:
        with self._lock:
            self.unrecorded -= 1


class _Exchange(socketserver.BaseRequestHandler):
    """One connection of a client: one request and its response, or one tunnel."""

    server: _Server
    request: socket.socket

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            try:
                head, rest = self._receive_head()
                method, _, target = head.partition(b"\r\n")[0].decode("latin-1").rpartition(" ")[0].partition(" ")
                url = f"https://{target}" if method == "CONNECT" else target
                headers = _headers(head)
                if not head or target == "*":
                    # The client gave up, or the request is from `take`.
                    self._respond(400, "Bad Request")
                    return
                record = self.server.proxy.record(method, url, headers, head + rest)
            finally:
                self.server.recorded()
            if _is_local(record.origin):
                self._forward(record, url, headers, rest)
            else:
                self._respond(403, "Forbidden")
        except OSError:
            # The client closed the connection.
            return

    def _receive_head(self) -> tuple[bytes, bytes]:
        """Return the head of the request, empty if it is incomplete, and the part of the body that came with it."""
        received = bytearray()
        while b"\r\n\r\n" not in received and len(received) < _MAX_HEAD:
            block = self.request.recv(_BLOCK)
            if not block:
                return b"", b""
            received += block
        head, end, rest = bytes(received).partition(b"\r\n\r\n")
        return head + end, rest

    def _respond(self, status: int, reason: str) -> None:
        text = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self.request.sendall(text.encode())

    def _forward(self, record: ProxiedRequest, url: str, headers: list[tuple[str, str]], rest: bytes) -> None:
        parts = urlsplit(url)
        try:
            server = socket.create_connection((parts.hostname, parts.port or _PORTS[parts.scheme]), timeout=10)
        except OSError:
            self._respond(502, "Bad Gateway")
            return
        with server:
            server.settimeout(None)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if record.method == "CONNECT":
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                server.sendall(rest)
                self._relay(server, None, bytes)
                return
            target = url.partition("://")[2].partition(parts.netloc)[2] or "/"
            lines = [f"{record.method} {target} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in headers if name.lower() not in _DROPPED]
            lines += [f"Via: {VIA}", "Connection: close", "", ""]
            server.sendall("\r\n".join(lines).encode("latin-1") + rest)
            self._relay(server, record, _ClosingResponse().feed)

    def _relay(self, server: socket.socket, record: ProxiedRequest | None, change: Callable[[bytes], bytes]) -> None:
        """Send all bytes of the client to the server, and all bytes of the server to the client, until one ends."""
        while True:
            readable, _, _ = select.select([self.request, server], [], [])
            if server in readable:
                try:
                    block = server.recv(_BLOCK)
                except ConnectionResetError:
                    # The client's connection is reset too.
                    self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.request.close()
                    return
                self.request.sendall(change(block))
                if not block:
                    return
            if self.request in readable:
                block = self.request.recv(_BLOCK)
                if not block:
                    return
                if record is not None and len(record.content) < _MAX_CONTENT:
                    record.content.extend(block)
                server.sendall(block)


class _ClosingResponse:
    """Adds `Connection: close` below the status line of a response, and leaves all other bytes as they are."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._is_provisional = False
        self._next: Callable[[bytes], bytes] = self._head

    def feed(self, block: bytes) -> bytes:
        """Return the bytes for the client. An empty block is the end of the response."""
        return self._next(block)

    def _head(self, block: bytes) -> bytes:
        """Return the complete lines until the status line of the final response, and after it everything."""
        self._waiting += block
        *lines, rest = bytes(self._waiting).split(b"\n")
        for number, line in enumerate(lines):
            is_final = not self._is_provisional and not _PROVISIONAL.match(line)
            if is_final:
                added = b"\nConnection: close\r\n" if line.startswith(b"HTTP/") else b"\n"
                start = b"\n".join(lines[: number + 1])
                return self._pass_on(start + added + b"\n".join([*lines[number + 1 :], rest]))
            self._is_provisional = bool(line.strip())
        if not block or len(rest) > _MAX_LINE:
            return self._pass_on(bytes(self._waiting))
        self._waiting = bytearray(rest)
        return b"".join(line + b"\n" for line in lines)

    def _pass_on(self, block: bytes) -> bytes:
        self._next = bytes
        return block


def _headers(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return [(name, value.strip()) for name, colon, value in (line.partition(":") for line in lines) if colon]


def _is_local(origin: str) -> bool:
    """Return whether an origin is on this machine. No name is resolved."""
    if not origin.startswith(("http://", "https://")):
        return False
    try:
        host = urlsplit(origin).hostname
        return host == "localhost" or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False
