"""Named hosts of the internet, played by the tests: a proxy that ends TLS for them with a certificate of its own CA.

Clients that have their servers' names built in are led here as a company's network would lead them, by HTTPS_PROXY and
REQUESTS_CA_BUNDLE. What is asked of any other host is refused, and written down.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.databricks.emulator.exchange import Answer, Request
from tests.support.certificates import certificates

_FORWARDED = frozenset({"Content-Type", "Content-Range", "ETag"})

Site = Callable[[Request], Answer]


@dataclass(frozen=True)
class Asked:
    """A request, the host that it was for, and what was answered."""

    host: str
    request: Request
    status: int


class Internet:
    """The hosts, by name. Use it as a context manager."""

    def __init__(self, directory: Path, sites: Mapping[str, Site]) -> None:
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        authority, identity = certificates(directory, list(sites))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity)
        self._server = _Proxy(self, sites, context)
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._server.server_port}",
            "REQUESTS_CA_BUNDLE": str(authority),
        }
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Internet:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def of(self, host: str) -> list[Request]:
        """What was asked of that host."""
        return [each.request for each in self.asked if each.host == host]


def forward(url: str) -> Site:
    """A host behind which there is another server."""
    address = urlsplit(url).netloc

    def ask(request: Request) -> Answer:
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            target = f"{request.path}?{urlencode(request.query)}"
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            connection.request(request.method, target, request.body, headers)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name in _FORWARDED}
            return Answer(response.status, response.read(), kept)
        finally:
            connection.close()

    return ask


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, internet: Internet, sites: Mapping[str, Site], context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.internet = internet
        self.sites = sites
        self.context = context

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are ended hang up in the middle."""


class _Tunnel(BaseHTTPRequestHandler):
    server: _Proxy

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if host not in self.server.sites:
            self.server.internet.refused.append(host)
            self.send_error(403)
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        with self.server.context.wrap_socket(self.connection, server_side=True) as connection:
            _Exchange(connection, self.client_address, self.server)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Requests are written down elsewhere."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def _respond(self) -> None:
        host = self.headers["Host"].partition(":")[0]
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            {name.lower(): value for name, value in self.headers.items()},
        )
        answer = self.server.sites[host](request)
        self.server.internet.asked.append(Asked(host, request, answer.status))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_POST = do_HEAD = _respond  # noqa: N815  # http.server's names

    def log_message(self, *_: object) -> None:
        """Requests are written down elsewhere."""
