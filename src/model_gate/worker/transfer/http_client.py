"""Fast GET requests for files on kept-alive connections, modelled on a request that MLflow sent.

MLflow prepares each request anew (plugins, proxies, retries). For a small file this takes four times the processor time
of the request itself. `HttpClient` copies a successful request of MLflow instead: same credentials, same certificates,
another path. `HttpClient` handles no errors: on any error, the caller lets MLflow download the file, with MLflow's
retries and error messages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection as PlainConnection
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from model_gate.worker.transfer.quick_ack import set_quick_ack

# These headers belong to MLflow's JSON requests, not to downloads.
_DROPPED_HEADERS = frozenset({"accept-encoding", "content-length", "content-type"})
_CONNECT_SECONDS = 10.0
# Reading this much of an unread body is cheaper than a new connection.
_MAX_DRAINED_BYTES = 64 * 1024
_DEFAULT_READ_SECONDS = 18.0


class _Response:
    """A response with an unread body. Connection errors are raised as urllib3's HTTPError."""

    def __init__(self, response: HTTPResponse, pool: HTTPConnectionPool, target: str) -> None:
        self.status = response.status
        # The declared type lacks Mapping's methods, but the object has them.
        self.headers = cast("Mapping[str, str]", response.headers)
        self._response = response
        self._pool = pool
        self._target = target

    def read1(self, amount: int) -> bytes:
        """Return up to `amount` bytes of the body as soon as some are available; b"" at the end."""
        with _as_urllib3_errors(self._pool, self._target):
            return self._response.read1(amount)

    def read(self) -> bytes:
        """Return the rest of the body. The body may be shorter than its Content-Length."""
        return b"".join(iter(lambda: self.read1(_MAX_DRAINED_BYTES), b""))

    def drain(self) -> bool:
        """Discard the rest of a short body. Return whether the connection can be reused."""
        if not self._response.isclosed():
            remaining = self._response.length
            if remaining is None or remaining > _MAX_DRAINED_BYTES:
                return False
            try:
                self._response.read()
            except (OSError, HTTPException):
                return False
        return not self._response.will_close


class HttpClient:
    """Kept-alive connections to one server.

    urllib3 opens the connections, because it handles certificates. The standard library sends the requests, because
    urllib3's own requests and responses take twice as long.
    """

    def __init__(self, pool: HTTPConnectionPool, headers: Mapping[str, str]) -> None:
        self._pool = pool
        self._headers = headers
        self._idle: list[HTTPConnection] = []

    @classmethod
    def from_request(cls, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HttpClient | None:
        """Return a client that sends requests like a successful `request`; None if `request` uses a proxy.

        `verify` and `cert` are the arguments that MLflow gave to `requests` with it.
        """
        with requests.Session() as session:
            settings = session.merge_environment_settings(str(request.url), {}, True, verify, cert)
        if requests.utils.select_proxy(str(request.url), settings["proxies"]):
            # A proxy needs the whole URL in the request line, and its own credentials.
            return None
        pool = _PoolFactory().pool_for(request, settings["verify"], settings["cert"])
        headers = {name: str(value) for name, value in request.headers.items() if name.lower() not in _DROPPED_HEADERS}
        return cls(pool, headers | {"Accept-Encoding": "identity"})

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[_Response]:
        """Send a GET and yield the response with an unread body. Redirects are not followed.

        The connection is kept if the body was read to its end.

        Raises:
            HTTPError: urllib3's. A new connection failed, or any connection timed out.
        """
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection, http_response = self._send(target, {**self._headers, **headers})
        is_reusable = False
        try:
            response = _Response(http_response, self._pool, target)
            yield response
            is_reusable = response.drain()
        finally:
            if is_reusable:
                self._idle.append(connection)
            else:
                connection.close()

    def _send(self, target: str, headers: Mapping[str, str]) -> tuple[HTTPConnection, HTTPResponse]:
        """Send a GET on an idle or a new connection. The caller has exclusive use of the returned connection."""
        # A server may close an idle connection at the moment of its reuse.
        while (connection := self._take_idle_connection()) is not None:
            try:
                return connection, self._send_on(connection, target, headers)
            except ProtocolError:
                continue
        with _as_urllib3_errors(self._pool, target):
            connection = cast("HTTPConnection", self._pool._new_conn())  # noqa: SLF001
            connection.timeout = _CONNECT_SECONDS
            connection.connect()
        return connection, self._send_on(connection, target, headers)

    def _send_on(self, connection: HTTPConnection, target: str, headers: Mapping[str, str]) -> HTTPResponse:
        try:
            with _as_urllib3_errors(self._pool, target):
                # Set for each request: the limit grows for large files, which a proxying server reads before it
                # responds.
                connection.sock.settimeout(_read_seconds())
                PlainConnection.request(connection, "GET", target, headers=headers)
                set_quick_ack(connection)
                return PlainConnection.getresponse(connection)
        except BaseException:
            connection.close()
            raise

    def _take_idle_connection(self) -> HTTPConnection | None:
        """Return an idle connection that the server has not closed, or None."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.is_connected:
                    return connection
                connection.close()
        return None


@contextmanager
def _as_urllib3_errors(pool: HTTPConnectionPool, target: str) -> Iterator[None]:
    """Convert connection errors of the standard library to those of urllib3."""
    try:
        yield
    except TimeoutError as error:
        raise ReadTimeoutError(pool, target, "Read timed out.") from error
    except (OSError, HTTPException) as error:
        raise ProtocolError(f"Connection broken: {error!r}", error) from error


class _PoolFactory(HTTPAdapter):
    """Makes connection pools with the certificate settings of `requests`."""

    def pool_for(self, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HTTPConnectionPool:
        """Return the pool for the host of a request."""
        pool = self.get_connection_with_tls_context(request, verify, {}, cert)
        if not isinstance(pool, HTTPConnectionPool):
            raise TypeError("requests did not return a connection pool of urllib3")
        return pool


def _read_seconds() -> float:
    return float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _DEFAULT_READ_SECONDS))
