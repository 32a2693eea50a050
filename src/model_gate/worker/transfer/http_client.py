"""Requests for files, sent as MLflow sent one before them, on connections that are kept.

MLflow prepares each request anew (plugins, proxies, retries): four times the processor's time of the request itself,
which is what a thousand small files cost. Here a request that MLflow made and the server accepted is the pattern for
those after it: same credentials, same certificates, another path. Whatever does not go smoothly is not
handled here: the caller then lets MLflow do that file in its own way, with its retries and its errors.
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

# Of a request for JSON, not for bytes.
_DROPPED = frozenset({"accept-encoding", "content-length", "content-type"})
_CONNECT_SECONDS = 10.0
_WORTH_READING_BYTES = 64 * 1024
_DEFAULT_READ_SECONDS = 18.0


class _Answer:
    """An answer whose body is unread. A connection that fails, or breaks off, is an HTTPError of urllib3's."""

    def __init__(self, response: HTTPResponse, pool: HTTPConnectionPool, target: str) -> None:
        self.status = response.status
        # It has what a mapping has, whatever its type says.
        self.headers = cast("Mapping[str, str]", response.headers)
        self._response = response
        self._pool = pool
        self._target = target

    def read1(self, amount: int) -> bytes:
        """What has come of the body, up to `amount` bytes; nothing at its end."""
        with _told(self._pool, self._target):
            return self._response.read1(amount)

    def read(self) -> bytes:
        """What is left of the body, which may be shorter than it was said to be."""
        return b"".join(iter(lambda: self.read1(_WORTH_READING_BYTES), b""))

    def end(self) -> bool:
        """Be done with it; whether its connection is of use again, since nothing of it is left there."""
        if not self._response.isclosed():
            left = self._response.length
            if left is None or left > _WORTH_READING_BYTES:
                return False
            try:
                self._response.read()
            except (OSError, HTTPException):
                return False
        return not self._response.will_close


class HttpClient:
    """Connections to one server.

    They are urllib3's, since it knows whom to trust, but are spoken on as the standard library does: urllib3's own
    requests and answers take as long again, for what is not asked for here.
    """

    def __init__(self, pool: HTTPConnectionPool, headers: Mapping[str, str]) -> None:
        self._pool = pool
        self._headers = headers
        self._idle: list[HTTPConnection] = []

    @classmethod
    def like(cls, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HttpClient | None:
        """Connections for requests like one that was answered; None if a proxy is in between.

        `verify` and `cert` are what MLflow gave to `requests` along with it.
        """
        with requests.Session() as session:
            settings = session.merge_environment_settings(str(request.url), {}, True, verify, cert)
        if requests.utils.select_proxy(str(request.url), settings["proxies"]):
            # It wants the whole URL in the request line, and its own credentials.
            return None
        pool = _Pools().pool_for(request, settings["verify"], settings["cert"])
        headers = {name: str(value) for name, value in request.headers.items() if name.lower() not in _DROPPED}
        return cls(pool, headers | {"Accept-Encoding": "identity"})

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[_Answer]:
        """The answer to a GET, its body unread. The connection is kept if the body was read to its end.

        Raises:
            HTTPError: urllib3's: a new connection failed, or any timed out. No redirect is followed.
        """
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection, response = self._answered(target, {**self._headers, **headers})
        is_kept = False
        try:
            answer = _Answer(response, self._pool, target)
            yield answer
            is_kept = answer.end()
        finally:
            if is_kept:
                self._idle.append(connection)
            else:
                connection.close()

    def _answered(self, target: str, headers: Mapping[str, str]) -> tuple[HTTPConnection, HTTPResponse]:
        """A connection with an answer on it; it is nobody else's meanwhile."""
        # A server may close a connection that it kept in the moment in which it is used again.
        while (connection := self._kept()) is not None:
            try:
                return connection, self._ask(connection, target, headers)
            except ProtocolError:
                continue
        with _told(self._pool, target):
            connection = cast("HTTPConnection", self._pool._new_conn())  # noqa: SLF001
            connection.timeout = _CONNECT_SECONDS
            connection.connect()
        return connection, self._ask(connection, target, headers)

    def _ask(self, connection: HTTPConnection, target: str, headers: Mapping[str, str]) -> HTTPResponse:
        try:
            with _told(self._pool, target):
                # Until the next bytes come; raised for large files, which a proxying server reads before it answers.
                connection.sock.settimeout(_read_seconds())
                PlainConnection.request(connection, "GET", target, headers=headers)
                set_quick_ack(connection)
                return PlainConnection.getresponse(connection)
        except BaseException:
            connection.close()
            raise

    def _kept(self) -> HTTPConnection | None:
        """A connection that was kept, if the server is known to have kept it too."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.is_connected:
                    return connection
                connection.close()
        return None


@contextmanager
def _told(pool: HTTPConnectionPool, target: str) -> Iterator[None]:
    """Have what goes wrong on a connection told as urllib3 tells it."""
    try:
        yield
    except TimeoutError as error:
        raise ReadTimeoutError(pool, target, "Read timed out.") from error
    except (OSError, HTTPException) as error:
        raise ProtocolError(f"Connection broken: {error!r}", error) from error


class _Pools(HTTPAdapter):
    """Makes pools of connections as `requests` does: it knows which certificates to trust and which to show."""

    def pool_for(self, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HTTPConnectionPool:
        """The pool for the host of a request."""
        pool = self.get_connection_with_tls_context(request, verify, {}, cert)
        if not isinstance(pool, HTTPConnectionPool):
            raise TypeError("requests keeps its connections in pools of urllib3")
        return pool


def _read_seconds() -> float:
    return float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _DEFAULT_READ_SECONDS))
