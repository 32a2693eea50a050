"""The proxies in HTTP_PROXY, HTTPS_PROXY and ALL_PROXY: checks of these variables, and errors for a proxy that fails.

The clients report the failure of a proxy as one of the server behind it. A message never shows the login to a proxy.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from model_gate.errors import AccessError, InputError, ModelGateError, UnreachableError
from model_gate.worker.credential_facts import edge_problem

LOGIN_STATUS = 407
# The exceptions of requests, urllib3 and botocore for a proxy that cannot be used.
_FAILURES = frozenset({"ProxyError", "ProxyConnectionError"})
# The status with which a proxy answers the request for a connection.
_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})\b")
_AUTHORITY = re.compile(r"(?:[\w-]+(?:\.[\w-]+)*\.?|\[[0-9a-fA-F:.]+\])(?::(\d{1,5}))?")
_MAX_PORT = 65_535
# The redaction would mask a login in the form of the address.
_LOGIN_FORM = (
    "A login is before the host: the user name, a colon, the password and an @. Percent-encode special characters in"
    " both."
)


@dataclass(frozen=True)
class Proxy:
    """A proxy that a variable names.

    Attributes:
        variable: The name of the variable.
        value: The value of the variable, which can contain a login.
    """

    variable: str
    value: str

    @property
    def host(self) -> str:
        """Host and port, "" if they are malformed. A malformed value may contain a login in their place."""
        authority = re.split(r"[/?#]", self._address, maxsplit=1)[0]
        if "@" in self._address[len(authority) :]:
            # The login contains one of these signs, so the text before it is no host.
            return ""
        authority = authority.rpartition("@")[2]
        match = _AUTHORITY.fullmatch(authority)
        return authority if match and int(match[1] or 0) <= _MAX_PORT else ""

    @property
    def scheme(self) -> str:
        """The scheme, which is http if the value has none."""
        return self.value.partition("://")[0].lower() if "://" in self.value else "http"

    @property
    def is_socks(self) -> bool:
        """Whether the proxy speaks SOCKS."""
        return self.scheme.startswith("socks")

    @property
    def has_login(self) -> bool:
        """Whether the value contains a login."""
        return "@" in self._address

    @property
    def _address(self) -> str:
        return self.value.partition("://")[2] if "://" in self.value else self.value.removeprefix("//")

    def __str__(self) -> str:
        return f"the proxy {self.host} in {self.variable}" if self.host else f"the proxy in {self.variable}"


def proxy_of(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that the variables name for the scheme of a URL, None if NO_PROXY of this process excludes it.

    >>> str(proxy_of("https://host", {"HTTPS_PROXY": "http://user:password@proxy:3128"}))
    'the proxy proxy:3128 in HTTPS_PROXY'
    """
    if requests.utils.should_bypass_proxies(url, no_proxy=None):
        return None
    for kind in (urlsplit(url).scheme, "all"):
        # A variable in lower case replaces the one in upper case, even if it is empty.
        lower = f"{kind}_proxy"
        name = lower if lower in environment else lower.upper()
        if environment.get(name):
            return Proxy(name, environment[name])
    return None


def require_proxy(url: str, environment: Mapping[str, str]) -> None:
    """Check the address of the proxy for the requests to a server, unless NO_PROXY of this process excludes the server.

    Args:
        url: Scheme, host and port of the server.
        environment: The environment of this process.

    Raises:
        InputError: The address of the proxy is malformed.
    """
    proxy = proxy_of(url, environment)
    if proxy is None:
        return
    remedy = f"Set {proxy.variable} to http://HOST:PORT. {_LOGIN_FORM}"
    if problem := edge_problem(proxy.value):
        raise InputError(f"The value of {proxy.variable} {problem}.", remedy)
    if not proxy.host or not (proxy.scheme in {"http", "https"} or proxy.is_socks):
        raise InputError(f"The value of {proxy.variable} is not the address of a proxy.", remedy)


def require_socks_package(url: str, environment: Mapping[str, str]) -> None:
    """Check that `requests` can use the proxy for the requests to a tracking server, if it is a SOCKS proxy.

    Raises:
        InputError: The package for SOCKS is not installed.
    """
    proxy = proxy_of(url, environment)
    if proxy is not None and proxy.is_socks and importlib.util.find_spec("socks") is None:
        raise InputError(
            f"The value of {proxy.variable} names the SOCKS proxy {proxy.host}, which needs the package PySocks.",
            f"Install PySocks, set {proxy.variable} to the address of an http proxy, or add the server's host to"
            " NO_PROXY.",
        )


def failed_proxy(causes: Iterable[BaseException], url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that an exception is about, None if it is about no proxy.

    Args:
        causes: The exception and its causes.
        url: The server, in case no exception knows the URL of the request.
        environment: The environment of this process.
    """
    failures = [failure for cause in causes if (failure := _failure_in(cause)) is not None]
    if not failures:
        return None
    requests_sent: list[Any] = [getattr(failure, "request", None) for failure in failures]
    requested = next((sent.url for sent in requests_sent if sent is not None), None)
    return proxy_of(requested if isinstance(requested, str) else url, environment)


def _failure_in(cause: BaseException) -> BaseException | None:
    # The client of Azure raises an exception of its own, without a cause.
    for error in (cause, getattr(cause, "inner_exception", None)):
        if isinstance(error, BaseException) and type(error).__name__ in _FAILURES:
            return error
    return None


def proxy_problem(text: str, reason: str | None) -> str:
    """Return what a proxy does that fails.

    Args:
        text: The text of the exception and its causes.
        reason: What `failures.reason_in` finds in the text.

    >>> proxy_problem("OSError: Tunnel connection failed: 503 Busy", None)
    'answers with an error (503)'
    """
    match = _TUNNEL_STATUS.search(text)
    if match is None:
        return reason or "cannot be used"
    if int(match[1]) == LOGIN_STATUS:
        return f"requires a login ({LOGIN_STATUS})"
    return f"forbids the connection ({match[1]})" if match[1] == "403" else f"answers with an error ({match[1]})"


def proxy_error(subject: str, proxy: Proxy, problem: str) -> ModelGateError:
    """Return the error for a proxy that fails.

    Args:
        subject: The server behind the proxy, such as `the store s3.amazonaws.com (bucket models)`.
        proxy: The proxy.
        problem: What the proxy does, as from `proxy_problem`.
    """
    is_login = problem.endswith(f"({LOGIN_STATUS})")
    if is_login and proxy.has_login:
        problem = f"does not accept the login in {proxy.variable} ({LOGIN_STATUS})"
    message = f"The request to {subject} goes through {proxy}, which {problem}."
    remedy = f"{_proxy_remedy(proxy, problem)} If no proxy is needed, add the host behind it to NO_PROXY."
    return AccessError(message, remedy) if is_login else UnreachableError(message, remedy)


def _proxy_remedy(proxy: Proxy, problem: str) -> str:
    """Return the remedy for a proxy that fails."""
    if problem.endswith(f"({LOGIN_STATUS})"):
        return f"{'Correct' if proxy.has_login else 'Add'} the login in {proxy.variable}. {_LOGIN_FORM}"
    if "forbids" in problem:
        return "Ask the administrator of the proxy to allow connections to this host and port."
    if problem.endswith(("(502)", "(504)")):
        return "The proxy does not reach the host behind it: check its address, or ask the administrator of the proxy."
    if "plain http" in problem:
        return f"Name the proxy with http:// in {proxy.variable}."
    return f"Check the address in {proxy.variable}, and whether the proxy runs and can be reached from here."


def login_error(subject: str, url: str, environment: Mapping[str, str]) -> ModelGateError:
    """Return the error for a response with the status 407, which a proxy sends.

    Args:
        subject: The server behind the proxy.
        url: The URL of the request, or of the server.
        environment: The environment of this process.
    """
    proxy = proxy_of(url, environment)
    if proxy is None:
        return AccessError(
            f"A proxy in front of {subject} requires a login ({LOGIN_STATUS}).",
            f"Check the address, and the proxies between this machine and {subject}.",
        )
    return proxy_error(subject, proxy, f"requires a login ({LOGIN_STATUS})")
