"""Requests for files, sent as MLflow sent one before them, on connections that are kept.

MLflow prepares each request anew (plugins, proxies, retries): four times the processor's time of the request itself,
which is what a thousand small files cost. Here a request that MLflow made and the server accepted is the pattern for
those after it: same credentials, same certificates, another path. Whatever does not go smoothly is not
handled here: the caller then lets MLflow do that file in its own way, with its retries and its errors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout

from model_gate.side.flow import MOST

# Of a request for JSON, not for bytes.
_DROPPED = frozenset({"accept-encoding", "content-length", "content-type"})
_CONNECT_SECONDS = 10.0
_WORTH_READING_BYTES = 64 * 1024
_DEFAULT_READ_SECONDS = 18.0


class Wire:
    """Connections to one server."""

    def __init__(self, pool: HTTPConnectionPool, headers: Mapping[str, str]) -> None:
        self._pool = pool
        self._headers = headers

    @classmethod
    def like(cls, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> Wire | None:
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
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:
        """The answer to a GET, its body unread. The connection is kept if the body was read to its end.

        Raises:
            HTTPError: urllib3's: the connection failed or timed out. Nothing is tried again.
        """
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        response = self._pool.urlopen(
            "GET",
            target,
            headers={**self._headers, **headers},
            # Nor is a redirect followed.
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=Timeout(connect=_CONNECT_SECONDS, read=_read_seconds()),
        )
        try:
            yield response
        except BaseException:
            response.close()
            raise
        # A connection is of use again only if nothing of this answer is left on it.
        if (response.length_remaining or 0) > _WORTH_READING_BYTES:
            response.close()
        else:
            response.drain_conn()
        response.release_conn()


class _Pools(HTTPAdapter):
    """Makes pools of connections as `requests` does: it knows which certificates to trust and which to show."""

    def __init__(self) -> None:
        super().__init__(pool_maxsize=MOST)

    def pool_for(self, request: requests.PreparedRequest, verify: bool | str, cert: str | None) -> HTTPConnectionPool:
        """The pool for the host of a request."""
        pool = self.get_connection_with_tls_context(request, verify, {}, cert)
        if not isinstance(pool, HTTPConnectionPool):
            raise TypeError("requests keeps its connections in pools of urllib3")
        return pool


def _read_seconds() -> float:
    # Until the next bytes come; raised for large files, which a proxying server reads before it answers.
    return float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _DEFAULT_READ_SECONDS))
