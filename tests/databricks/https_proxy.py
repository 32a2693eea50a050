"""An HTTPS proxy that answers for named internet hosts with certificates of a test authority.

With HTTPS_PROXY and REQUESTS_CA_BUNDLE, clients whose host names are fixed send their requests to this proxy. The
proxy refuses connections to any other host, and records them. It reports all requests to the recording proxy too.
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

from tests.databricks.emulator.messages import Request, Response
from tests.support.certificates import certificates
from tests.support.recording_proxy import VIA, shared_proxy

_FORWARDED = frozenset({"Content-Type", "Content-Range", "ETag"})

Site = Callable[[Request], Response]


@dataclass(frozen=True)
class ProxiedRequest:
    """A request with its host and the status of the response."""

    host: str
    request: Request
    status: int


class HttpsProxy:
    """A proxy for the hosts in `sites`. Use it as a context manager."""

    def __init__(self, directory: Path, sites: Mapping[str, Site]) -> None:
        self.requests: list[ProxiedRequest] = []
        self.refused_hosts: list[str] = []
        authority, identity = certificates(directory, list(sites))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity)
        self._server = _ProxyServer(self, sites, context)
        url = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = {"HTTPS_PROXY": url, "https_proxy": url, "REQUESTS_CA_BUNDLE": str(authority)}
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> HttpsProxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def requests_to(self, host: str) -> list[Request]:
        """Return the requests to one host."""
        return [proxied.request for proxied in self.requests if proxied.host == host]


def forward_to(url: str) -> Site:
    """Return a site that forwards every request to the server at `url`."""
    address = urlsplit(url).netloc

    def forward(request: Request) -> Response:
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            target = f"{request.path}?{urlencode(request.query)}"
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            headers["via"] = VIA
            connection.request(request.method, target, request.body, headers)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name in _FORWARDED}
            return Response(response.status, response.read(), kept)
        finally:
            connection.close()

    return forward


class _ProxyServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: HttpsProxy, sites: Mapping[str, Site], context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.proxy = proxy
        self.sites = sites
        self.context = context

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore connections that a stopped client drops."""


class _Tunnel(BaseHTTPRequestHandler):
    server: _ProxyServer

    def do_CONNECT(self) -> None:
        host = self.path.rpartition(":")[0]
        if host not in self.server.sites:
            self.server.proxy.refused_hosts.append(host)
            shared_proxy().record("CONNECT", f"https://{self.path}", self.headers.items())
            self.send_error(403)
            return
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.wfile.flush()
        with self.server.context.wrap_socket(self.connection, server_side=True) as connection:
            _Exchange(connection, self.client_address, self.server)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Write no log; the proxy keeps its requests."""


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _ProxyServer

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
        head = str(self.headers).encode()
        shared_proxy().record(
            self.command, f"https://{host}{self.path}", self.headers.items(), self.path.encode() + head + request.body
        )
        response = self.server.sites[host](request)
        self.server.proxy.requests.append(ProxiedRequest(host, request, response.status))
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    do_GET = do_POST = do_HEAD = _respond  # noqa: N815  # names that http.server calls

    def log_message(self, *_: object) -> None:
        """Write no log; the proxy keeps its requests."""
