"""Tracking servers as users name them, and the environment in which one may be talked to.

The environment of a tracking server's process is an allow-list, since for MLflow variables beat profiles and `~/.netrc`
beats user-info: a credential gets in only when it was declared for that very server.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from model_gate.databricks import (
    RegistryKind,
    Workspace,
    is_databricks,
    login_secrets,
    parse_workspace,
    registry_of,
)
from model_gate.errors import InputError


class HostKind(StrEnum):
    """How a tracking server is reached."""

    HTTP = "http"
    DATABASE = "database"
    FILES = "files"
    DATABRICKS = "databricks"


@dataclass(frozen=True)
class Host:
    """A tracking server.

    Attributes:
        kind: How it is reached.
        address: Its URI without user-info: safe to show, and the same for two ways to name one server.
        uri: What MLflow is given. For a database it may hold a password, hence no repr.
        username: From user-info, "" if there was none.
        password: From user-info, "" if there was none.
        workspace: The Databricks workspace, if it is one.
    """

    kind: HostKind
    address: str
    uri: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    workspace: Workspace | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must appear nowhere."""
        if self.workspace is not None:
            return self.workspace.secrets
        if not self.password:
            return ()
        user_info = f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")
        basic = base64.b64encode(user_info).decode()
        return (self.password, basic)

    @property
    def is_local(self) -> bool:
        """Whether the server is this machine, so that a path it names may be read here."""
        if self.kind is HostKind.HTTP:
            return urlsplit(self.address).hostname in _LOOPBACK
        return self.kind is not HostKind.DATABRICKS

    def for_model(self, model: str, registry: RegistryKind | None = None) -> Host:
        """This server, with the registry of it that holds a model of this name; `registry` overrides the name.

        Raises:
            InputError: The name does not fit the registry, or the server has one registry only.
        """
        if self.workspace is None:
            if registry is not None:
                raise InputError("registry: only a Databricks host has more than one.", "Leave it out.")
            return self
        kind = registry_of(model, self.workspace.registry, registry)
        return replace(self, workspace=replace(self.workspace, registry=kind))

    def authority(self, uri: str) -> str:
        """What a URI that only this server can read belongs to: the same for two ways to name one server."""
        if self.workspace is None:
            return self.address
        if uri.startswith("models:"):
            return f"{self.workspace.url} {self.workspace.registry}"
        return self.workspace.url


_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SHAPES = (
    "Name it like https://mlflow.example.com, http://user:password@host:5000, databricks://PROFILE"
    " or sqlite:///mlflow.db."
)


def parse_host(text: str, named: str = "host", environment: Mapping[str, str] = os.environ) -> Host:
    """The tracking server that `text` names; `named` is what an error calls the input.

    `environment` says where Databricks profiles are, and holds the login of the workspace without one.

    Raises:
        InputError: It is no URI of a tracking server, its database file does not exist, or its profile is unusable.
    """
    text = text.strip()
    if not text:
        raise InputError(f"{named} is empty.", _SHAPES)
    if is_databricks(text):
        try:
            workspace = parse_workspace(text, environment)
        except InputError as error:
            raise InputError(f"{named}: {error.message}", error.remedy) from error
        return Host(HostKind.DATABRICKS, text.rstrip("/"), "databricks", workspace=workspace)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # The text is not repeated: what cannot be parsed may hold a password anywhere.
        raise InputError(f"{named} is not a valid URI: its host or port is malformed.", _SHAPES) from error
    if parts.scheme in _DEFAULT_PORTS:
        return _http_host(text, named, port)
    if parts.scheme.partition("+")[0] in _DATABASES:
        return _database_host(text, named)
    if parts.scheme == "file" or (not parts.scheme and Path(text).is_dir()):
        path = Path(unquote(parts.path) if parts.scheme else text).resolve()
        if not path.is_dir():
            raise InputError(f"{named}: there is no directory {path}.", _SHAPES)
        return Host(HostKind.FILES, path.as_uri(), path.as_uri())
    raise InputError(f"{named} {_without_user_info(text)!r} is not the URI of a tracking server.", _SHAPES)


def _http_host(text: str, named: str, port: int | None) -> Host:
    parts = urlsplit(text)
    if not parts.hostname:
        raise InputError(f"{named} {_without_user_info(text)!r} names no host.", _SHAPES)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise InputError(
            f"{named}: user-info needs both a user name and a password.",
            "Write it as https://user:password@host; percent-encode special characters.",
        )
    if parts.query or parts.fragment:
        raise InputError(f"{named} has a query or a fragment; a tracking server's address has neither.", _SHAPES)
    if "@" in parts.path:
        # What was meant as user-info has a slash in it: what follows it would be shown.
        raise InputError(
            f"{named} has an '@' after its first slash.",
            "Percent-encode special characters in a user name or password: '/' is %2F.",
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    address = f"{parts.scheme}://{name}{shown_port}{parts.path.rstrip('/')}"
    return Host(HostKind.HTTP, address, address, username, password)


def _database_host(text: str, named: str) -> Host:
    parts = urlsplit(text)
    address = _without_user_info(text)
    if parts.scheme.startswith("sqlite"):
        # SQLAlchemy: three slashes, then a relative path; a fourth begins an absolute one.
        path = Path(parts.path[1:])
        _require_sqlite(path, named)
        return Host(HostKind.DATABASE, f"sqlite:///{path.resolve()}", text)
    return Host(HostKind.DATABASE, address, text, unquote(parts.username or ""), unquote(parts.password or ""))


def _require_sqlite(path: Path, named: str) -> None:
    # MLflow would create the database, and then find no model in it.
    try:
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise InputError(
            f"{named}: the database {path} cannot be read: {error.strerror}.",
            "Name the existing database file: sqlite:///relative.db or sqlite:////absolute/path.db.",
        ) from error
    if magic != b"SQLite format 3\x00":
        raise InputError(f"{named}: {path} is not an SQLite database.", "Name the database file of a tracking server.")


def _without_user_info(text: str) -> str:
    parts = urlsplit(text)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


# What any program needs: where things are, how to get out, whom to trust.
_ENVIRONMENT = frozenset(
    {
        "PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "MLFLOW_HTTP_REQUEST_TIMEOUT",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR",
        "MLFLOW_WORKSPACE",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
    }
)
# Object stores are not tracking servers: these sign requests to the store, whichever server named the file in it.
_STORE_PREFIXES = ("AWS_", "AZURE_STORAGE_", "AZURE_CLIENT_", "AZURE_TENANT_", "GOOGLE_", "BOTO_")
# Declared for the one server that MLFLOW_TRACKING_URI names, and for no other.
_TRACKING_CREDENTIALS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)
_SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
)

# Two retries and ten seconds a try: a dead server is told in half a minute, not in MLflow's four.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # It may say an hour.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow would put presigned URLs on the command lines of processes of its own.
    "MLFLOW_ENABLE_MULTIPART_DOWNLOAD": "false",
    "PYTHONWARNINGS": "ignore",
    # `requests` would otherwise take ~/.netrc over what was declared.
    "NETRC": os.devnull,
}


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that does not know yet which host it will talk to: no credential is in it."""
    allowed = {name: value for name, value in environment.items() if name in _ENVIRONMENT}
    return _LIMITS | allowed | _SETTINGS | {"HOME": os.devnull}


def environment_for(host: Host, environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The whole environment of the process that talks to `host`.

    `home` is an empty directory: `~/.netrc`, `~/.mlflow/credentials` and `~/.databrickscfg` are not there.
    """
    result = base_environment(environment) | {"HOME": str(home)}
    result |= {name: value for name, value in environment.items() if name.startswith(_STORE_PREFIXES)}
    result |= _store_files(environment)
    result["MLFLOW_TRACKING_URI"] = result["MLFLOW_REGISTRY_URI"] = host.uri
    if host.workspace is not None:
        return result | host.workspace.environment
    return result | _credentials_for(host, environment)


def _store_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the object stores' own credential files are, since HOME will point elsewhere."""
    home = Path(environment.get("HOME", "/nonexistent"))
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": home / ".aws" / "credentials",
        "AWS_CONFIG_FILE": home / ".aws" / "config",
        "CLOUDSDK_CONFIG": home / ".config" / "gcloud",
    }
    return {name: environment.get(name) or str(path) for name, path in files.items()}


def _credentials_for(host: Host, environment: Mapping[str, str]) -> dict[str, str]:
    if host.kind is not HostKind.HTTP:
        return {}
    if host.username:
        # As variables, not in the URI, since MLflow's exceptions repeat the URI.
        return {"MLFLOW_TRACKING_USERNAME": host.username, "MLFLOW_TRACKING_PASSWORD": host.password}
    default = _default_host(environment)
    if default is None or default.address != host.address:
        return {}
    result = {name: environment[name] for name in _TRACKING_CREDENTIALS if environment.get(name)}
    if default.username:
        result |= {"MLFLOW_TRACKING_USERNAME": default.username, "MLFLOW_TRACKING_PASSWORD": default.password}
    return result


def _default_host(environment: Mapping[str, str]) -> Host | None:
    try:
        return parse_host(environment.get("MLFLOW_TRACKING_URI", ""), environment=environment)
    except InputError:
        return None


def secrets_in(text: str) -> tuple[str, ...]:
    """What must appear nowhere of a host as it was typed, even if it cannot be understood: all before its last `@`."""
    user_info = text.partition("://")[2].rpartition("@")[0]
    password = user_info.partition(":")[2]
    return (user_info, password) if password else ()


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secret values in this process's own environment that could end up in a text."""
    default = _default_host(environment)
    found = [environment.get(name, "") for name in _SECRET_VARIABLES]
    found += login_secrets(environment)
    return tuple(value for value in (*found, *(default.secrets if default else ())) if value)
