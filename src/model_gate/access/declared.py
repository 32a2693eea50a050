"""Servers that environment variables declare, and the variables that belong to each of them.

`MLFLOW_TRACKING_URI` declares the server without a name. `NAME_MLFLOW_TRACKING_URI` declares the server `name`, and
each variable `NAME_X` is that server's variable `X`.

>>> servers = Declarations({"PROD_MLFLOW_TRACKING_URI": "https://prod.example.com", "PROD_MLFLOW_WORKSPACE": "wine"})
>>> servers.named("prod").variables
(('MLFLOW_WORKSPACE', 'wine'),)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from model_gate.access.databrickscfg import LOGIN_FIELDS
from model_gate.access.hosts import database_key, find_host, has_login, parse_host, secrets_in
from model_gate.domain.host import LOOPBACK, Host, HostKind
from model_gate.domain.origin import parse_store_endpoints
from model_gate.domain.variables import (
    EMPTY_REMEDY,
    HTTP_VARIABLES,
    LOGIN_VARIABLES,
    REGISTRY_URI,
    STORE_ENDPOINTS,
    STORE_FAMILIES,
    TRACKING_URI,
)
from model_gate.errors import InputError

PASS = "MODEL_GATE_PASS"  # noqa: S105  # a name
# Prefix in the value of an option, before the name of a declared server. A value without it is an address.
_BY_NAME = "server:"
_BASIC_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
LOGIN_NAMES = (*_BASIC_LOGIN, "MLFLOW_TRACKING_TOKEN")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# Variables that no worker gets: they change how Python and the system's loader start, or are Model Gate's own.
_FORBIDDEN = re.compile(r"(?i)PYTHON|LD_|DYLD_|MODEL_GATE_(?!STORE_ENDPOINTS$)")
# Names and prefixes of variables that have another meaning already. A server must not have such a prefix.
_RESERVED = (
    *(prefix for prefixes in STORE_FAMILIES.values() for prefix in prefixes),
    *HTTP_VARIABLES,
    *("DATABRICKS_", "ARM_", "GITHUB_", "ACTIONS_", "RUNNER_", "INPUT_", "PYTHON", "LD_", "DYLD_", "MODEL_GATE_"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "LC_ALL",
)


@dataclass(frozen=True)
class DeclaredServer:
    """A tracking server that an environment variable declares.

    Attributes:
        name: The server's name in lower case, "" for the server in MLFLOW_TRACKING_URI.
        prefix: Prefix of the server's variables, "" for the server in MLFLOW_TRACKING_URI.
        uri: Value of its MLFLOW_TRACKING_URI.
    """

    name: str
    prefix: str
    uri: str = field(repr=False)

    @property
    def variable(self) -> str:
        """Name of the variable that declares the server."""
        return self.prefix + TRACKING_URI

    @property
    def title(self) -> str:
        """Phrase that stands for the server in error messages."""
        return f"the server {self.name!r}" if self.name else f"the server in {TRACKING_URI}"


@dataclass(frozen=True)
class Ownership:
    """The environment variables of each declared server, found by their prefixes. Their values are not validated.

    Attributes:
        environment: The environment variables.
        prefixes: Prefix of the variables of each declared server that has a name, the longest first.
    """

    environment: Mapping[str, str] = field(repr=False)
    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Ownership:
        """Return the `Ownership` for these environment variables."""
        prefixes = {
            name.removesuffix(TRACKING_URI)
            for name, value in environment.items()
            if name.endswith(f"_{TRACKING_URI}") and len(name) > len(TRACKING_URI) + 1 and value.strip()
        }
        return cls(environment, tuple(sorted(prefixes, key=lambda prefix: (-len(prefix), prefix))))

    def prefix(self, name: str) -> str:
        """Return the prefix of the named server that a variable belongs to, "" if it belongs to none."""
        return next((prefix for prefix in self.prefixes if name.startswith(prefix) and name != prefix), "")

    @property
    def unprefixed(self) -> dict[str, str]:
        """The non-empty variables that belong to no named server."""
        return {name: value for name, value in self.environment.items() if value and not self.prefix(name)}

    def prefixed(self, prefix: str) -> dict[str, str]:
        """Return the non-empty variables of the server with this prefix, by their names without the prefix."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.environment.items()
            if value and self.prefix(name) == prefix
        }

    def passed_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names of the variables that MODEL_GATE_PASS lists for the server with this prefix."""
        return tuple(re.split(r"[\s,]+", self.environment.get(prefix + PASS, "").strip(" \t\r\n,")))


def declared_prefix(environment: Mapping[str, str], server: str) -> str:
    """Return the prefix of a declared server's variables, "" if the server has no name."""
    prefixes = Ownership.of(environment).prefixes
    return next((prefix for prefix in prefixes if server and _name_of(prefix) == server), "")


class Declarations:
    """The servers that an environment declares.

    Args:
        environment: The environment variables.

    Raises:
        InputError: A declaration is invalid, or two declarations have the same name. The message contains no value.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._ownership = Ownership.of(environment)
        self._servers: dict[str, DeclaredServer] = {}
        for prefix in self._ownership.prefixes:
            self._declare(prefix)
        if environment.get(TRACKING_URI, "").strip():
            self._servers[""] = _declared_server("", environment)

    def _declare(self, prefix: str) -> None:
        server = _declared_server(prefix, self._environment)
        if server.name in self._servers:
            other = self._servers[server.name].variable
            raise InputError(
                f"{other} and {server.variable} both declare the server {server.name!r}.", "Rename one of them."
            )
        self._servers[server.name] = server

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the declared servers, sorted, without the server in MLFLOW_TRACKING_URI."""
        return tuple(sorted(filter(None, self._servers)))

    @property
    def has_default(self) -> bool:
        """Whether MLFLOW_TRACKING_URI declares a server."""
        return "" in self._servers

    def default(self) -> Host:
        """Return the server in MLFLOW_TRACKING_URI. Call this method only if there is one."""
        return self._host(self._servers[""])

    def named(self, name: str) -> Host:
        """Return the declared server with this name. Upper and lower case do not matter.

        Raises:
            InputError: No server has this name, or its declaration cannot be used.
        """
        server = self._servers.get(name.strip().lower()) if name.strip() else None
        if server is not None:
            return self._host(server)
        if "://" in name:
            raise InputError(
                "server is an address, not the name of a declared server.", "Write it as host instead of server."
            )
        names = self.names
        near = difflib.get_close_matches(name.strip().lower(), names, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        known = f"Declared now: {', '.join(names)}." if names else "No server is declared by a name."
        variable = f"{re.sub('[^A-Z0-9_]', '_', name.strip().upper()) or 'NAME'}_{TRACKING_URI}"
        prefix = variable.removesuffix(TRACKING_URI)
        logins = [login for login in undeclared_logins(self._environment) if login.startswith(prefix)]
        problem = "no variable declares it"
        if variable in self._environment:
            problem = f"{variable} is empty"
        elif logins:
            problem = f"{' and '.join(logins)} {'is' if len(logins) == 1 else 'are'} set, but {variable} is not"
        raise InputError(
            f"There is no server {name.strip()!r}: {problem}.",
            f"{hint}To declare {name.strip()!r}, set {variable} to its address. {known}",
        )

    def is_default(self, host: Host) -> bool:
        """Return whether MLFLOW_TRACKING_URI has the address of a server."""
        default = self._servers.get("")
        return default is not None and self._is_at(default, host)

    def require_no_name(self, text: str, form: str) -> None:
        """Verify that an address is not the name of a declared server.

        Args:
            text: The address as the user wrote it.
            form: How to write the name instead, with `{}` for the name.

        Raises:
            InputError: The text is the name of a declared server.
        """
        name = text.strip().removeprefix(_BY_NAME)
        if name.lower() in self.names or name != text.strip():
            raise InputError(
                f"host is {text.strip()!r}, which is the name of a server and not an address.",
                f"Write {form.format(name)} instead of host: {text.strip()}.",
            )

    def find(self, text: str, label: str = "host") -> Host:
        """Return the server at an address. The result has variables only if a declared server has this address.

        User-info in the address replaces the login of the declared server.

        Raises:
            InputError: The text names no server, or several declared servers with different variables have the address.
        """
        host = find_host(text, self._environment, label)
        servers = [server for server in self._servers.values() if self._is_at(server, host)]
        # An exact address has priority over another name of this machine.
        servers = [server for server in servers if parse_host(server.uri).address == host.address] or servers
        if not servers:
            return host
        declared = [self._host(server) for server in servers]
        if len({found.reader for found in declared}) > 1:
            titles = " and ".join(server.title for server in servers)
            example = next(server.name for server in servers if server.name)
            raise InputError(
                f"{label}: {host.address} is the address of {titles}, which have different variables.",
                f"Name the server instead, as in server: {example}.",
            )
        if not has_login(host):
            # Two names of this machine can be two servers, so the address stays as it is written.
            return (
                replace(declared[0], address=host.address, uri=host.uri) if host.kind is HostKind.HTTP else declared[0]
            )
        if REGISTRY_URI in dict(declared[0].variables):
            raise _login_for_two_servers(label, servers[0].prefix)
        return replace(declared[0], address=host.address, uri=host.uri, username=host.username, password=host.password)

    def option(self, text: str, label: str) -> Host:
        """Return the server that an option names, by its address or as `server:NAME`. Such a server counts as declared.

        Raises:
            InputError: See `find` and `named`.
        """
        if text.strip().startswith(_BY_NAME):
            return self.named(text.strip().removeprefix(_BY_NAME))
        if text.strip().lower() in self.names:
            raise InputError(
                f"{label} is {text.strip()!r}, which is the name of a server and not an address.",
                f"Write {_BY_NAME}{text.strip().lower()}.",
            )
        return replace(self.find(text, label), is_declared=True)

    def with_unprefixed(self, host: Host) -> Host:
        """Return the server of an option, with unprefixed variables such as MLFLOW_TRACKING_TOKEN.

        A named server does not get these variables. If MLFLOW_TRACKING_URI is set, they belong to its server only.

        Raises:
            InputError: One of the variables is invalid.
        """
        if host.server or self.has_default:
            return host
        return replace(host, variables=self._variables(DeclaredServer("", "", host.uri), host))

    def with_unprefixed_if_single(self, hosts: Iterable[Host | None]) -> tuple[Host | None, ...]:
        """Return the servers of two options, None where there is no server.

        If exactly one of these servers is an HTTP server without a name, it gets the unprefixed variables, such as
        MLFLOW_TRACKING_TOKEN. Two options that have the same address count as one server.

        Raises:
            InputError: One of the variables is invalid.
        """
        given = tuple(hosts)
        owners = [host for host in given if host is not None and host.kind is HostKind.HTTP and not host.server]
        if len({_address_key(host) for host in owners}) != 1:
            return given
        return tuple(self.with_unprefixed(host) if host is not None and host in owners else host for host in given)

    def _host(self, server: DeclaredServer) -> Host:
        host = find_host(server.uri, self._environment_of(server), server.variable)
        return replace(host, server=server.name, is_declared=True, variables=self._variables(server, host))

    def _environment_of(self, server: DeclaredServer) -> Mapping[str, str]:
        """Return the variables in which the Databricks login of a server is found, if the server is a workspace.

        If the server has variables of a login, they replace all unprefixed variables of a login.
        """
        if not server.prefix:
            return self._environment
        own = self._ownership.prefixed(server.prefix)
        if own.keys().isdisjoint(LOGIN_FIELDS.values()):
            return {**self._environment, **own}
        fields = set(LOGIN_FIELDS.values())
        return {name: value for name, value in self._environment.items() if name not in fields} | own

    def _variables(self, server: DeclaredServer, host: Host) -> tuple[tuple[str, str], ...]:
        """Return the variables that the worker of a server gets, as pairs of name and value sorted by name."""
        if server.prefix:
            own = self._ownership.prefixed(server.prefix)
            variables = {name: value for name, value in own.items() if not _FORBIDDEN.match(name)}
        else:
            own = self._ownership.unprefixed
            variables = {name: own[name] for name in (*HTTP_VARIABLES, REGISTRY_URI) if name in own}
        variables.pop(TRACKING_URI, None)
        variables |= self._passed(server)
        variables = {name: value for name, value in variables.items() if not _is_foreign(name, host.kind)}
        registry = self._registry(variables.pop(REGISTRY_URI, "").strip(), server, host)
        if registry:
            variables[REGISTRY_URI] = registry
        if host.kind is HostKind.HTTP and not host.username:
            _require_whole_login(variables, server.prefix, self._environment)
        endpoints = server.prefix + STORE_ENDPOINTS
        parse_store_endpoints(self._environment.get(endpoints, ""), endpoints)
        return tuple(sorted(variables.items()))

    def _passed(self, server: DeclaredServer) -> dict[str, str]:
        """Return the variables that MODEL_GATE_PASS lists for a server, with their values."""
        label, passed = server.prefix + PASS, {}
        for name in filter(None, self._ownership.passed_names(server.prefix)):
            if not _NAME.fullmatch(name) or _FORBIDDEN.match(name):
                raise InputError(
                    f"{label} names {name!r}, which cannot be passed on.",
                    "Name variables, separated by commas; none of PYTHON…, LD_… or MODEL_GATE_….",
                )
            if name not in self._environment:
                raise InputError(f"{label} names {name}, which is not set.", f"Set {name}, or remove it from {label}.")
            if self._environment[name]:
                passed[name] = self._environment[name]
        return passed

    def _registry(self, text: str, server: DeclaredServer, host: Host) -> str:
        """Return the URI of the server's separate model registry, "" if the tracking server is also the registry."""
        # The host's name or the key `registry` selects the registry of a Databricks workspace.
        if not text or host.kind is HostKind.DATABRICKS:
            return ""
        label = server.prefix + REGISTRY_URI
        registry = find_host(text, self._environment, label)
        if registry.kind is HostKind.DATABRICKS:
            raise InputError(
                f"{label} names a Databricks workspace, but the tracking server is none.",
                f"Unset {label}, and name the workspace as the host.",
            )
        if registry.address == host.address:
            return ""
        if host.username:
            raise _login_for_two_servers(server.variable if server.prefix else "host", server.prefix)
        return text if registry.username else registry.uri

    def _is_at(self, server: DeclaredServer, host: Host) -> bool:
        declared = parse_host(server.uri, server.variable)
        if declared.kind is not host.kind:
            return False
        if declared.kind is HostKind.DATABASE or declared.kind is HostKind.FILES:
            # The address has the absolute path, which `find_host` finds on the disk. A missing file has no address.
            with suppress(InputError):
                found = find_host(server.uri, self._environment, server.variable)
                return database_key(found) == database_key(host)
            return False
        if _address_key(declared) != _address_key(host):
            return False
        if host.kind is HostKind.DATABRICKS:
            # The same text, such as `databricks`, names another workspace in another environment.
            with suppress(InputError):
                found = find_host(server.uri, self._environment_of(server), server.variable)
                return found.workspace == host.workspace
            return False
        return True


def undeclared_logins(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the variables with the login of a server that no variable declares, such as PROD_MLFLOW_TRACKING_TOKEN."""
    ownership = Ownership.of(environment)
    suffixes = tuple(f"_{name}" for name in LOGIN_NAMES)
    return tuple(
        name
        for name, value in environment.items()
        if value and name.endswith(suffixes) and not name.startswith("INPUT_") and not ownership.prefix(name)
    )


def declared_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the logins in the addresses that an environment declares, even if a declaration is invalid."""
    names = [
        prefix + name for prefix in ("", *Ownership.of(environment).prefixes) for name in (TRACKING_URI, REGISTRY_URI)
    ]
    return tuple(secret for name in names for secret in secrets_in(environment.get(name, "")))


def _require_whole_login(variables: Mapping[str, str], prefix: str, environment: Mapping[str, str]) -> None:
    """Verify that a server has a user name with a password. MLflow sends none of them alone.

    `environment` also has the empty variables: in a workflow, a secret that does not exist gives one.
    """
    given = [bool(variables.get(name)) for name in _BASIC_LOGIN]
    if any(given) and not all(given) and not any(variables.get(name) for name in LOGIN_VARIABLES - {*_BASIC_LOGIN}):
        there, missing = (_BASIC_LOGIN[given.index(is_given)] for is_given in (True, False))
        if prefix + missing not in environment:
            raise InputError(f"{prefix}{there} is set, but {prefix}{missing} is not.", f"Set {prefix}{missing}.")
        raise InputError(
            f"{prefix}{there} is set, but {prefix}{missing} is empty.",
            EMPTY_REMEDY,
        )


def _login_for_two_servers(label: str, prefix: str) -> InputError:
    """Return the error for a login in an address that MLflow would also send to another address, the registry's."""
    return InputError(
        f"{label} has a login, which {prefix}{REGISTRY_URI} would send to another server, the registry.",
        f"If the login is for both, set {prefix}MLFLOW_TRACKING_USERNAME and {prefix}MLFLOW_TRACKING_PASSWORD instead."
        f" If the server is its own registry, unset {prefix}{REGISTRY_URI}.",
    )


def _declared_server(prefix: str, environment: Mapping[str, str]) -> DeclaredServer:
    server = DeclaredServer(_name_of(prefix), prefix, environment[prefix + TRACKING_URI])
    if prefix and not _NAME.fullmatch(prefix.removesuffix("_")):
        raise InputError(
            f"{server.variable} declares no server: {prefix.removesuffix('_')!r} is not a name.",
            "Begin the name with a letter, and use letters, digits and underscores only.",
        )
    if any(f"{reserved}_".startswith(prefix.upper()) for reserved in _RESERVED if prefix):
        raise InputError(
            f"{server.variable} cannot declare a server: variables {prefix}… have another meaning.",
            f"Choose another name, such as MY_{server.variable}.",
        )
    parse_host(server.uri, server.variable)
    return server


def _name_of(prefix: str) -> str:
    return prefix.removesuffix("_").lower()


def _is_foreign(name: str, kind: HostKind) -> bool:
    """Return whether a variable is a login that the worker of this kind of server must not get."""
    # A worker receives the login to a workspace in another variable, LOGIN_VARIABLE.
    if name.startswith(("DATABRICKS_", "ARM_")):
        return True
    return kind is not HostKind.HTTP and name in HTTP_VARIABLES and name != "MLFLOW_WORKSPACE"


def _address_key(host: Host) -> str:
    """Return a text that is equal for two spellings of the same address.

    The text is the same for all names of this machine, such as `localhost` and `127.0.0.1`, since a credential for one
    of them stays on this machine.
    """
    if host.kind is not HostKind.HTTP:
        return host.address
    parts = urlsplit(host.address)
    name = "localhost" if parts.hostname in LOOPBACK else parts.hostname
    return f"{parts.scheme}://{name}:{parts.port}{parts.path}"
