r"""Origins: scheme, host and port of a URL, which decide where a credential may be sent.

>>> str(origin_of("https://MLflow.example.com:443/api")), origin_of("https://store.example\\@evil.example/m")
('https://mlflow.example.com', None)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import unquote

from model_gate.domain.variables import STORE_ENDPOINTS
from model_gate.errors import InputError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_LABEL = r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_HOST_AND_PORT = re.compile(rf"(?:\[([0-9a-f:.]+)\]|({_NAME}))(?::([0-9]{{1,5}}))?", re.IGNORECASE | re.ASCII)
# URL parsers drop some of these characters, or end the host at them, and not all parsers do the same.
_AMBIGUOUS = re.compile(r"[\x00-\x1f\x7f\\]")
_ENDPOINT_FORM = "Write https://HOST:PORT. A login is the user name and password before the host, percent-encoded."


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of a URL.

    Attributes:
        scheme: The scheme in lower case.
        host: The host in lower case, an IPv6 address without brackets.
        port: The port, which may be the default port of the scheme; 0 if there is no port and no known default port.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return the URL of the origin, without the default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port != _DEFAULT_PORTS.get(self.scheme, 0) else "")


@dataclass(frozen=True)
class StoreEndpoint:
    """An origin that the environment declares as a store or as a server of artifacts, and the login for it.

    Attributes:
        origin: The origin.
        path: Path of the URL, without a slash at the end.
        username: User name of the login, "" without a login.
        password: Password of the login.
    """

    origin: Origin
    path: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


def origin_of(url: str) -> Origin | None:
    """Return the origin of a URL, None if the host is not plain.

    Plain hosts have no user-info, no trailing dot and only ASCII characters. From a URL with another host, two programs
    could read two different hosts.
    """
    match = None if _AMBIGUOUS.search(url) else _URL.fullmatch(url)
    authority = match and _HOST_AND_PORT.fullmatch(match[2])
    if not match or not authority:
        return None
    scheme = match[1].lower()
    address, name, port = authority.groups()
    try:
        host = str(IPv6Address(address)) if address else name.lower()
    except ValueError:
        return None
    number = int(port) if port else _DEFAULT_PORTS.get(scheme, 0)
    return Origin(scheme, host, number) if number <= 65535 else None


def parse_store_endpoints(text: str, variable: str = STORE_ENDPOINTS) -> tuple[StoreEndpoint, ...]:
    """Return the endpoints in the value of a variable. Commas or white space separate them.

    >>> [str(endpoint.origin) for endpoint in parse_store_endpoints("https://minio.example.com:9000, hdfs://nn:8020")]
    ['https://minio.example.com:9000', 'hdfs://nn:8020']

    Raises:
        InputError: An entry is not a URL. The message does not quote it, since it may contain a password.
    """
    endpoints = []
    for number, entry in enumerate(filter(None, re.split(r"[\s,]+", text)), 1):
        endpoint = endpoint_of(entry)
        if endpoint is None:
            raise InputError(f"Entry {number} of {variable} is not the URL of a store.", _ENDPOINT_FORM)
        endpoints.append(endpoint)
    return tuple(endpoints)


def find_endpoint(endpoints: Iterable[StoreEndpoint], origin: Origin | None) -> StoreEndpoint | None:
    """Return the declared endpoint of an origin, None if the origin is not declared."""
    return next((endpoint for endpoint in endpoints if endpoint.origin == origin), None)


def endpoint_of(url: str) -> StoreEndpoint | None:
    """Return the endpoint that a URL declares, which may have a login; None if the URL is not a valid declaration."""
    match = _URL.fullmatch(url)
    if not match:
        return None
    scheme, authority, path = match.groups()
    user_info, _, host = authority.rpartition("@")
    username, _, password = user_info.partition(":")
    origin = origin_of(f"{scheme}://{host}")
    if origin is None or re.search("[?#]", path) or bool(username) != bool(password):
        return None
    return StoreEndpoint(origin, path.rstrip("/"), unquote(username), unquote(password))
