"""Limits the hosts to which the HTTP clients of a worker may send requests, and the responses that they accept.

The clients of MLflow, Databricks, Azure and Google follow redirects to any host, some with their credentials. In a
worker, they follow redirects within one origin only: scheme, host and port stay the same. The rules for locations and
presigned URLs are in `worker.origins`.

These clients also take the body of each response without an error as what they have requested. With status 206, it is
a part of a file, with 226 the difference to an older version, and with 204 nothing. In a worker, the status must be
200, or 206 for a range.
"""

from __future__ import annotations

import functools
import os
import re
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.sessions import SessionRedirectMixin
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from model_gate.domain.location import AZURE_SCHEMES
from model_gate.domain.origin import Origin, StoreEndpoint, origin_of, parse_store_endpoints
from model_gate.domain.variables import STORE_ENDPOINTS
from model_gate.domain.wording import printable
from model_gate.errors import TransferError, UnreachableError
from model_gate.worker.origins import is_public, private_address, require_presigned

# Marks the functions of `requests` that this module has replaced. Other programs can have replaced them too.
_GUARD = "_model_gate_guard"
# The paths of MLflow's API, of a server and of its pages.
_API = re.compile(r"/\d+\.\d+/mlflow(?:-artifacts)?/.*", re.DOTALL)
# Headers that request a range. The second one is Azure's.
_RANGES = ("Range", "x-ms-range")


def declared_endpoints() -> tuple[StoreEndpoint, ...]:
    """Return the stores and artifact servers that MODEL_GATE_STORE_ENDPOINTS declares in this worker's environment.

    Raises:
        InputError: The variable is malformed.
    """
    return parse_store_endpoints(os.environ.get(STORE_ENDPOINTS, ""))


def require_same_origin(url: str, location: str) -> None:
    """Check that a redirect leads to the origin of the redirected request.

    Args:
        url: URL of the request.
        location: Value of the response's Location header.

    Raises:
        UnreachableError: The redirect leads to another origin, or to a malformed address. The message shows no path and
            no query of the URLs.
    """
    source = origin_of(url)
    try:
        target = origin_of(urljoin(url, location))
    except ValueError as error:
        raise _malformed_redirect(source) from error
    if source is None or source != target:
        raise UnreachableError(
            f"{source or 'The server'} redirects a request to {target or 'a host that is not plain'}. Redirects to"
            " another scheme, host or port are not followed, since credentials are declared for one only.",
            "If the new address is right, name it instead of the old one. If not, check the server, and the proxy or"
            " login page in front of it.",
        )


def require_same_resource(url: str, location: str) -> None:
    """Check that a redirect of a request to the API of MLflow leads to the same path and query, below any prefix.

    Otherwise the response belongs to another model, file or directory, or is a page for browsers.

    Args:
        url: URL of the request.
        location: Value of the response's Location header.

    Raises:
        UnreachableError: The redirect leads to something else.
    """
    requested, target = _resource(url), _resource(urljoin(url, location))
    if requested is not None and requested != target:
        raise UnreachableError(
            f"{origin_of(url) or 'The server'} redirects the request for {printable(requested[0])} to something else,"
            " which is not followed: the response would belong to another file, model or page.",
            "Check the address of the server, and the proxies and login pages in front of it.",
        )


def _resource(url: str) -> tuple[str, dict[str, list[str]]] | None:
    """Return the path of a URL from the version of MLflow's API on, and its query; None for another path."""
    parts = urlsplit(url)
    match = _API.search(unquote(parts.path))
    return (match[0].rstrip("/"), parse_qs(parts.query)) if match else None


def _malformed_redirect(source: Origin | None) -> UnreachableError:
    return UnreachableError(
        f"{source or 'The server'} redirects a request to a malformed address.",
        "Check the server, and the proxy or login page in front of it.",
    )


def guard_redirects() -> None:
    """Make all `requests` sessions of this process follow redirects within one origin only."""
    resolve = SessionRedirectMixin.resolve_redirects
    if hasattr(resolve, _GUARD):
        return

    @functools.wraps(resolve)
    def resolve_within_origin(
        self: SessionRedirectMixin, response: requests.Response, *arguments: Any, **options: Any
    ) -> Iterator[requests.Response]:
        if options.get("yield_requests"):
            # The caller only wants to know the next request. Nothing is sent.
            yield from resolve(self, response, *arguments, **options)
            return
        _require_allowed_redirect(self, response)
        # The generator yields each response before it follows the redirect of that response.
        for following in resolve(self, response, *arguments, **options):
            _require_allowed_redirect(self, following)
            yield following

    setattr(resolve_within_origin, _GUARD, True)
    setattr(SessionRedirectMixin, "resolve_redirects", resolve_within_origin)  # noqa: B010


def _require_allowed_redirect(session: SessionRedirectMixin, response: requests.Response) -> None:
    try:
        location = session.get_redirect_target(response)
        if location:
            require_same_origin(response.url, location)
            require_same_resource(response.url, location)
    except UnicodeDecodeError as error:
        response.close()
        raise _malformed_redirect(origin_of(response.url)) from error
    except BaseException:
        response.close()
        raise


def guard_statuses() -> None:
    """Make all `requests` sessions of this process reject responses that may not be what was requested."""
    send = requests.Session.send
    if hasattr(send, _GUARD):
        return

    @functools.wraps(send)
    def send_for_content(
        self: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        response = send(self, request, **options)
        # A caller that follows redirects itself, such as Azure's client, decides about them.
        is_redirect = 300 <= response.status_code < 400 and "Location" in response.headers
        is_left = is_redirect and not options.get("allow_redirects", True)
        if request.method == "GET" and response.ok and not is_left:
            _require_content(request, response)
        return response

    setattr(send_for_content, _GUARD, True)
    setattr(requests.Session, "send", send_for_content)  # noqa: B010


def _require_content(request: requests.PreparedRequest, response: requests.Response) -> None:
    """Require that the status of a response without an error means that the body is what was requested.

    Raises:
        TransferError: It has another meaning.
    """
    is_part = response.status_code == requests.codes.partial and any(name in request.headers for name in _RANGES)
    if response.status_code == requests.codes.ok or is_part:
        return
    response.close()
    raise TransferError(
        f"{origin_of(response.url) or 'The server'} answers a request with status {response.status_code}, so the"
        " response may not be what was requested.",
        "Check the server, and the proxies in front of it.",
    )


def guard_azure_redirects(uri: str) -> None:
    """Make Azure's clients follow redirects within one origin only, if the location `uri` is on Azure."""
    if uri.partition(":")[0].lower() in AZURE_SCHEMES:
        _guard_azure()


@functools.cache
def _guard_azure() -> None:
    # The import takes long, and most workers do not need it.
    from azure.core.pipeline.policies._redirect import RedirectPolicyBase

    get_location = RedirectPolicyBase.get_redirect_location

    @functools.wraps(get_location)
    def get_location_within_origin(self: RedirectPolicyBase, response: Any) -> Any:
        location = get_location(self, response)
        if location and self.allow:
            require_same_origin(response.http_request.url, location)
        return location

    setattr(RedirectPolicyBase, "get_redirect_location", get_location_within_origin)  # noqa: B010


class PresignedAdapter(BaseAdapter):
    """Sends requests to presigned URLs, after a check of the URL, the headers and the host's address. Thread-safe.

    Args:
        endpoints: The stores that the environment declares.
        options: Options of `requests.adapters.HTTPAdapter`.
    """

    def __init__(self, endpoints: Sequence[StoreEndpoint], **options: Any) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._any_address = HTTPAdapter(**options)
        self._public = _PublicAdapter(**options)

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request whose URL, headers and host address are allowed, and return the response.

        Raises:
            ModelError: The URL, a header or the address of the host is not allowed. No byte was sent.
        """
        must_be_public = require_presigned(str(request.url), request.headers, self._endpoints)
        adapter = self._public if must_be_public else self._any_address
        return adapter.send(request, *arguments, **options)

    def close(self) -> None:
        """Close all connections."""
        self._any_address.close()
        self._public.close()


class _PublicConnection(HTTPSConnection):
    """An https connection that is only opened to a public IP address."""

    def _new_conn(self) -> socket.socket:
        # The first check avoids a connection to a private address. The second check is needed because the name may have
        # another address by the time of the connection. At that point TLS has not started, so no byte was sent.
        for address in _addresses(self._dns_host, self.port):
            self._require_public(address)
        connection = super()._new_conn()
        try:
            self._require_public(connection.getpeername()[0])
        except BaseException:
            connection.close()
            raise
        return connection

    def _require_public(self, address: str) -> None:
        if not is_public(address):
            raise private_address(self.host)


class _PublicPool(HTTPSConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicAdapter(HTTPAdapter):
    """Sends https requests to public addresses only. The address is not checked if a proxy resolves the host name."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pool manager, whose https connections are only opened to public addresses."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": _PublicPool}


def _addresses(host: str, port: int | None) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        # The connection fails for the same reason, with a better error.
        return []
    return [str(address[0]) for *_, address in found]
