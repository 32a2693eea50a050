"""Where requests of a test may go, and which credentials belong there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.support.recording_proxy import ProxiedRequest, decoded, origin_of, shared_proxy

# Headers with a login. In other headers that the proxy records, only known credentials are searched.
_LOGIN_HEADERS = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-amz-security-token", "x-amz-sso_bearer_token"}
)
_URL = re.compile(r"https?://[^\s\"',]+")
_SERVER_VARIABLE = re.compile(r"((?:[A-Z0-9]+_)*?)MLFLOW_(?:TRACKING|REGISTRY)_URI")
_STORE_VARIABLE = re.compile(
    r"(?:[A-Z0-9]+_)*?(?:MODEL_GATE_STORE_ENDPOINTS|MLFLOW_S3_ENDPOINT_URL|AWS_ENDPOINT_URL.*)"
)
_CREDENTIAL_VARIABLE = re.compile(r".*(?:PASSWORD|TOKEN|SECRET|KEY)(?:_ID)?")
# Shorter values are in many texts by chance.
_MIN_SECRET = 4


@dataclass
class Destinations:
    """The origins that a test declares.

    Attributes:
        origins: The credentials that belong to each origin, or the beginnings of them.
        secrets: All known credentials, also those that belong to no origin.
    """

    origins: dict[str, set[str]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def add(self, url: str, *secrets: str) -> None:
        """Declare the origin of a URL, with the user-info of the URL and these credentials."""
        found = {*secrets, unquote(urlsplit(url).password or "")} - {""}
        self.origins.setdefault(origin_of(url), set()).update(found)
        self.secrets |= found

    def add_all(self, other: Destinations) -> None:
        """Declare all origins and credentials of `other` too."""
        for origin, secrets in other.origins.items():
            self.add(origin, *secrets)
        self.secrets |= other.secrets

    def require(self, requests: Iterable[ProxiedRequest]) -> None:
        """Assert that each request went to a declared origin, and only with credentials that belong there."""
        for request in requests:
            assert request.origin in self.origins, f"a request went to an origin that is not declared: {request}"
            own = self.origins[request.origin]
            foreign = [
                secret
                for secret in self.secrets - own
                if len(secret) >= _MIN_SECRET and not any(secret in each for each in own) and request.contains(secret)
            ]
            assert not foreign, f"credentials arrived at an origin that they do not belong to: {foreign}, {request}"
            for name, value in request.credentials:
                is_own = any(secret in text for secret in own for text in decoded(value))
                assert name not in _LOGIN_HEADERS or is_own, f"no such login is declared for the origin: {request}"

    @classmethod
    def to(cls, url: str, *secrets: str) -> Destinations:
        """Return the origin of one URL, with its credentials."""
        result = cls()
        result.add(url, *secrets)
        return result

    @classmethod
    def of_gate(cls, arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> Destinations:
        """Return the destinations that the user of a gate declares: with variables, options and a compare file.

        Args:
            arguments: The arguments of the command.
            environment: The environment of the gate. The inputs of the action are variables too.
            directory: The working directory of the gate.
        """
        lines = environment.get("INPUT_CREDENTIALS", "").splitlines()
        environment = {**environment, **{name: value for name, _, value in (line.partition("=") for line in lines)}}
        options = dict(itertools.pairwise(arguments))
        hosts = [*arguments, environment.get("INPUT_HOST", ""), environment.get("INPUT_ALLOW-HOSTS", "")]
        compare_file = options.get("--config-file") or environment.get("INPUT_CONFIG-FILE", "")
        named = list(hosts)
        if compare_file and "--declared-hosts-only" not in arguments and arguments[0] != "action":
            named.append((directory / compare_file).read_text("utf-8"))
        result = cls()
        servers = _servers(environment)
        stores = _urls(text for name, text in environment.items() if _STORE_VARIABLE.fullmatch(name))
        for url in (*_urls(named), *stores, *itertools.chain(*servers.values())):
            result.add(url)
        # Without a server in the environment, a login without a prefix belongs to the servers that options name.
        servers[""] = servers[""] or _urls(hosts)
        for name, value in environment.items():
            if value and _CREDENTIAL_VARIABLE.fullmatch(name):
                result.secrets.add(value)
                for url in _owners(name, environment, servers, stores):
                    result.add(url, value)
        return result


def _urls(texts: Iterable[str]) -> list[str]:
    return [url for text in texts for url in _URL.findall(text)]


def _servers(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the URLs of the servers that the environment declares, by the prefix of their variables."""
    servers: dict[str, list[str]] = {"": []}
    for name, value in environment.items():
        if match := _SERVER_VARIABLE.fullmatch(name):
            servers.setdefault(match[1], []).extend(_URL.findall(value))
    return servers


def _owners(
    name: str, environment: Mapping[str, str], servers: Mapping[str, list[str]], stores: list[str]
) -> list[str]:
    """Return the URLs of the servers to which the credential in a variable belongs."""
    prefix = max((each for each in servers if name.startswith(each)), key=len)
    if name.removeprefix(prefix).startswith("AWS_"):
        return stores
    if not name.removeprefix(prefix).startswith("MLFLOW_"):
        return []
    passing = [each for each in servers if name in re.split(r"[\s,]+", environment.get(f"{each}MODEL_GATE_PASS", ""))]
    return [url for each in passing or [prefix] for url in servers[each]]


@contextmanager
def verified(destinations: Destinations) -> Iterator[None]:
    """Assert that all requests to the shared proxy in the block went to these destinations."""
    shared_proxy().take()
    yield
    destinations.require(shared_proxy().take())


@contextmanager
def verified_gate(arguments: Sequence[str], environment: Mapping[str, str], directory: Path) -> Iterator[None]:
    """Run a gate in the block. If it uses the shared proxy, assert where its requests and credentials went."""
    if not shared_proxy().serves(environment):
        yield
        return
    with verified(Destinations.of_gate(arguments, environment, directory)):
        yield
