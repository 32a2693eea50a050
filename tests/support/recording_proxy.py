"""A forward proxy that records every request, and forwards those to one server on this machine only."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ProxiedRequest:
    """A request: its origin and its headers. For https, only the origin is known."""

    origin: str
    headers: dict[str, str]


@dataclass
class RecordingProxy:
    """A proxy for http and https. Use it as a context manager.

    Attributes:
        allowed: The origins whose http requests are forwarded. All others are refused with status 403.
        requests: All requests so far, refused ones too.
    """

    allowed: set[str] = field(default_factory=set)
    requests: list[ProxiedRequest] = field(default_factory=list)

    def __enter__(self) -> RecordingProxy:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                proxy.requests.append(ProxiedRequest(f"https://{self.path}", dict(self.headers)))
                self.send_error(403)

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                origin = f"{parts.scheme}://{parts.netloc}"
                proxy.requests.append(ProxiedRequest(origin, dict(self.headers)))
                if origin not in proxy.allowed:
                    self.send_error(403)
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(parts.netloc, timeout=20)
                connection.request(self.command, self.path.removeprefix(origin), body, dict(self.headers))
                response = connection.getresponse()
                content = response.read()
                connection.close()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815  # names that http.server calls

            def log_message(self, *_: object) -> None:
                """Do not log: the requests are in `requests`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make HTTP clients use the proxy, also for servers on this machine."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return dict.fromkeys(names, url) | {"NO_PROXY": "", "no_proxy": ""}

    @property
    def origins(self) -> set[str]:
        """The distinct origins of all requests."""
        return {request.origin for request in self.requests}
