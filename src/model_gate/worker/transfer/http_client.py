"""Fast GET requests for files. The requests use kept-alive connections, with the headers of an earlier MLflow request.

MLflow prepares each request anew (plugins, proxies, retries). For a small file, the preparation takes four times the
processor time of the request itself. `HttpClient` instead copies a successful request of MLflow with its credentials
and certificates, and changes only the path.

`HttpClient` does not handle errors. After an error, the caller downloads the file with MLflow, which has retries and
better error messages.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection as PlainConnection
from http.client import HTTPException, HTTPResponse
from typing import cast
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, port_by_scheme
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from model_gate.domain.limits import LIMITS
from model_gate.worker.failures import UNENDED_BODY
from model_gate.worker.response_limits import too_large
from model_gate.worker.transfer.idle_connections import IdleConnections
from model_gate.worker.transfer.quick_ack import set_quick_ack

# These headers belong to MLflow's JSON requests, not to downloads.
_DROPPED_HEADERS = frozenset({"accept-encoding", "content-length", "content-type"})
_SINGLE_HEADERS = ("Content-Range", "ETag", "Content-Length", "Content-Type", "Content-Encoding")
_CONNECT_SECONDS = 10.0
# If at most 64 KiB of a body are unread, reading them is faster than opening a new connection.
_MAX_DRAINED_BYTES = 64 * 1024
_DEFAULT_READ_SECONDS = 18.0


class _Response:
    """An HTTP response whose body is not read yet. Connection errors are raised as urllib3's HTTPError."""

    def __init__(self, response: HTTPResponse, pool: HTTPConnectionPool, target: str) -> None:
        self.status = response.status
        # The type stub of the headers lacks the methods of Mapping, but the object has them.
        self.headers = cast("Mapping[str, str]", response.headers)
        self._response = response
        self._pool = pool
        self._target = target

    def read1(self, amount: int) -> bytes:
        """Wait for the next bytes of the body, and return at most `amount` of them; b"" means the end of the body."""
        with _as_urllib3_errors(self._pool, self._target, UNENDED_BODY):
            return self._response.read1(amount)

    def read(self) -> bytes:
        """Return the rest of the body. A body that is shorter than its Content-Length is not an error here.

        Raises:
            TransferError: The body is larger than the limit for responses.
        """
        pieces: list[bytes] = []
        remaining = LIMITS.response_bytes
        while data := self.read1(_MAX_DRAINED_BYTES):
            remaining -= len(data)
            if remaining < 0:
                raise too_large(LIMITS.response_bytes)
            pieces.append(data)
        return b"".join(pieces)

    @property
    def extra(self) -> bytes:
        """Bytes that have arrived together with the end of the body, but do not belong to the response."""
        return bytes(getattr(self._response, "extra", b""))

    def drain(self) -> bool:
        """Read and discard the rest of the body, up to 64 KiB. Return whether the connection can be reused."""
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
    """Sends GET requests to one server on kept-alive connections.

    urllib3 opens the connections, because it handles certificates. The standard library sends the requests, because
    urllib3 takes twice as long to send a request and read the response.
    """

    def __init__(self, pool: HTTPConnectionPool, headers: Mapping[str, str]) -> None:
        self._pool = pool
        self._headers = headers
        self._idle = IdleConnections(_address_of(pool))
        # Nobody closes a client. Its idle connections are retired when the client is collected.
        weakref.finalize(self, self._idle.retire)

    @classmethod
    def from_request(cls, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HttpClient | None:
        """Return a client whose requests have the headers of `request`. Return None if `request` uses a proxy.

        Args:
            request: A request to the server, with the headers to copy.
            verify: The `verify` argument of `requests` for the request.
            cert: The `cert` argument of `requests` for the request.
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
    def get(self, url: str, headers: Mapping[str, str], head_seconds: float | None = None) -> Iterator[_Response]:
        """Send a GET request and yield the response, whose body is not read yet. Redirects are not followed.

        The connection is kept for later requests if at most 64 KiB of the body remain unread.

        Args:
            url: The URL, of which only the path and the query count.
            headers: Headers in addition to those of every request.
            head_seconds: Maximum seconds until the head of the response arrives, None for the timeout of all reads.

        Raises:
            HTTPError: A new connection failed, or any connection timed out. This is the base class of urllib3's errors.
            TransferError: The server has sent a response to no request.
        """
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection, http_response = self._send(target, {**self._headers, **headers}, head_seconds)
        is_reusable = False
        try:
            response = _Response(http_response, self._pool, target)
            yield response
            is_reusable = response.drain() and not response.extra
            self._idle.require_no_response(response.extra)
        finally:
            if is_reusable:
                self._idle.add(connection)
            else:
                connection.close()

    def _send(
        self, target: str, headers: Mapping[str, str], head_seconds: float | None
    ) -> tuple[HTTPConnection, HTTPResponse]:
        """Send a GET request on an idle or a new connection. Return the connection and the response.

        No other thread uses the connection until the caller adds it to the idle connections.
        """
        # The server may close an idle connection while the request is sent. The next connection is then tried.
        while (connection := self._idle.take()) is not None:
            try:
                return connection, self._send_on(connection, target, headers, head_seconds)
            except ProtocolError:
                continue
        with _as_urllib3_errors(self._pool, target):
            connection = cast("HTTPConnection", self._pool._new_conn())  # noqa: SLF001
            connection.timeout = _CONNECT_SECONDS
            connection.connect()
        return connection, self._send_on(connection, target, headers, head_seconds)

    def _send_on(
        self, connection: HTTPConnection, target: str, headers: Mapping[str, str], head_seconds: float | None
    ) -> HTTPResponse:
        try:
            with _as_urllib3_errors(self._pool, target):
                # The timeout is set for each request, because the artifact reader raises it after the listing if the
                # model has large files.
                seconds = _read_seconds()
                sock = connection.sock
                sock.settimeout(seconds if head_seconds is None else min(seconds, head_seconds))
                PlainConnection.request(connection, "GET", target, headers=headers)
                set_quick_ack(connection)
                response = PlainConnection.getresponse(connection)
                _require_single_headers(response)
                if head_seconds is not None:
                    # The socket is closed already if the response has no body.
                    with suppress(OSError):
                        sock.settimeout(seconds)
                return response
        except BaseException:
            connection.close()
            raise

    def suspect(self, path: str = "") -> None:
        """Record that a response was not of the requested file, so that `require_all_settled` fails.

        The caller downloads that file again, and notices if the file has changed. Otherwise, the response may have been
        of another request. `path` is the path of the file for the error message.
        """
        self._idle.suspect(path)


def _address_of(pool: HTTPConnectionPool) -> str:
    """Return the address of a host as users write it: without a login, and without the default port."""
    host = f"[{pool.host}]" if ":" in pool.host else pool.host
    port = "" if pool.port in {None, port_by_scheme[pool.scheme]} else f":{pool.port}"
    return f"{pool.scheme}://{host}{port}"


@contextmanager
def _as_urllib3_errors(pool: HTTPConnectionPool, target: str, timeout_text: str = "Read timed out.") -> Iterator[None]:
    """Convert connection errors of the standard library to urllib3's ReadTimeoutError or ProtocolError."""
    try:
        yield
    except TimeoutError as error:
        raise ReadTimeoutError(pool, target, timeout_text) from error
    except (OSError, HTTPException) as error:
        raise ProtocolError(f"Connection broken: {error!r}", error) from error


def _require_single_headers(response: HTTPResponse) -> None:
    """Require that no header which describes the body has two values, since it is not known which one is right.

    Raises:
        HTTPException: A header has two values.
    """
    names = [name.lower() for name in response.headers]
    if len(set(names)) == len(names):
        return
    for name in _SINGLE_HEADERS:
        if len(set(response.headers.get_all(name, ()))) > 1:
            raise HTTPException(f"The header {name} has several values.")


class _PoolFactory(HTTPAdapter):
    """Makes urllib3 connection pools with the certificate settings of `requests`."""

    def pool_for(self, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HTTPConnectionPool:
        """Return a connection pool for the host of `request`."""
        pool = self.get_connection_with_tls_context(request, verify, {}, cert)
        if not isinstance(pool, HTTPConnectionPool):
            raise TypeError("requests did not return a connection pool of urllib3")
        return pool


def _read_seconds() -> float:
    return float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _DEFAULT_READ_SECONDS))
