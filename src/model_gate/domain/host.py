"""Tracking servers as plain data: kind of access, address and login."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from model_gate.domain.credentials import basic_auth_secrets, secret_parts
from model_gate.domain.variables import is_secret
from model_gate.errors import InputError


class HostKind(StrEnum):
    """The kind of access to a tracking server."""

    HTTP = "http"
    DATABASE = "database"
    FILES = "files"
    DATABRICKS = "databricks"
    # No tracking server: an object store, which is read directly.
    STORE = "store"


@dataclass(frozen=True)
class Host:
    """A tracking server.

    Attributes:
        kind: How the server is reached.
        address: Normalized URI without user-info: safe to show, and equal for two spellings of one server.
        uri: URI for MLflow. For a database it can contain a password, so it is not in the repr.
        username: User name from the user-info, "" if there is none.
        password: Password from the user-info, "" if there is none.
        workspace: The Databricks workspace; None for other servers.
        server: The name under which the environment declares the server, "" if it has none.
        is_declared: Whether the environment, a command-line option or the workflow itself names the server. False if
            only a compare file names it; such a server gets no credentials.
        variables: Name and value of each environment variable that belongs to this server, without the server's prefix.
    """

    kind: HostKind
    address: str
    uri: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    workspace: WorkspaceLogin | None = None
    server: str = ""
    is_declared: bool = False
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts of the login that must not be printed or written, such as the password."""
        variables = dict(self.variables)
        found = [part for name, value in self.variables if is_secret(name) for part in secret_parts(value)]
        found += basic_auth_secrets(
            variables.get("MLFLOW_TRACKING_USERNAME", ""), variables.get("MLFLOW_TRACKING_PASSWORD", "")
        )
        if self.workspace is not None:
            return (*self.workspace.secrets, *found)
        found += [value for key, value in parse_qsl(urlsplit(self.uri).query) if is_credential_key(key)]
        return (*found, *basic_auth_secrets(self.username, self.password))

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine, so that its local paths can be read directly."""
        if self.kind is HostKind.HTTP:
            return urlsplit(self.address).hostname in LOOPBACK
        return self.kind not in {HostKind.DATABRICKS, HostKind.STORE}

    @property
    def local_path(self) -> Path | None:
        """Path of the server's SQLite file or file store; None if the server is no path on this machine."""
        if self.kind is HostKind.FILES:
            return Path(unquote(urlsplit(self.address).path))
        if self.address.startswith(_SQLITE):
            return Path(self.address.removeprefix(_SQLITE))
        return None

    @property
    def directory(self) -> Path | None:
        """The directory that the server's relative artifact paths are relative to, None if it is unknown.

        The directory contains the server's database or file store.
        """
        return None if self.local_path is None else self.local_path.parent

    @property
    def reader(self) -> Host:
        """Copy of the host without the user's spelling of the address: it identifies only the server and the login.

        Two hosts have equal copies only if they are the same server with the same login. The two registries of a
        workspace have equal copies; `authority` distinguishes them.
        """
        if self.workspace is not None:
            return replace(self, address="", uri="", server="", workspace=replace(self.workspace, registry=None))
        return replace(self, server="") if self.local_path is None else replace(self, uri="", server="")

    def for_model(self, model: str, registry: RegistryKind | None = None) -> Host:
        """Return a copy of this host in which the registry that holds a model is selected.

        A server with only one registry is returned unchanged.

        Args:
            model: The registered model's name.
            registry: The registry that the user named; None to select it by the model's name (`registry_of`).

        Raises:
            InputError: The model's name does not fit the registry, or `registry` is set although the server has only
                one registry.
        """
        if self.workspace is None:
            return self.with_registry(registry)
        kind = registry_of(model, self.workspace.registry, registry)
        return replace(self, workspace=replace(self.workspace, registry=kind))

    def with_registry(self, registry: RegistryKind | None) -> Host:
        """Return a copy of this host in which the registry that the user named is selected; None changes nothing.

        Raises:
            InputError: `registry` is set although the server has only one registry.
        """
        if registry is None:
            return self
        if self.workspace is None:
            raise InputError("registry: only a Databricks host has more than one registry.", "Leave it out.")
        return replace(self, workspace=replace(self.workspace, registry=registry))

    def authority(self, uri: str) -> str:
        """Return a text that names the server or the registry in which `uri` is one location.

        The text is needed because another server may use an equal URI for another location. The text does not depend on
        how the user spells the server's address.
        """
        if self.workspace is None:
            return self.address
        if uri.startswith("models:"):
            return f"{self.workspace.url} {self.workspace.registry}"
        return self.workspace.url


# Part of a key of a URI's query whose value is a credential: of a database, a token, or a presigned URL.
_CREDENTIAL_PART = re.compile(
    r"passw(?:or)?d|pwd|passphrase|secret|token|signature|credential|api[-_]?key|\bsig\b", re.IGNORECASE
)
# Start of SQLAlchemy's URI of an SQLite database. An absolute path follows, which starts with one more slash.
_SQLITE = "sqlite:///"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def is_credential_key(key: str) -> bool:
    """Return whether a key in the query of a URI has a credential as its value.

    >>> is_credential_key("X-Amz-Signature"), is_credential_key("sslmode")
    (True, False)
    """
    return _CREDENTIAL_PART.search(key) is not None


class RegistryKind(StrEnum):
    """The two model registries of Databricks, by their names in a compare file."""

    WORKSPACE = "workspace"
    UNITY_CATALOG = "unity-catalog"


@dataclass(frozen=True)
class WorkspaceLogin:
    """A Databricks workspace and its login.

    Attributes:
        url: The workspace's address. All profiles of one workspace have the same address.
        fields: Name and value of each field of the login. The names are those of the Databricks SDK.
        variables: Name and value of each environment variable that the login also needs.
        secrets: Texts that must not be printed or written.
        registry: The selected registry; None until the model is known.
    """

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    registry: RegistryKind | None = None


def registry_of(model: str, host_registry: RegistryKind | None, override: RegistryKind | None) -> RegistryKind:
    """Return the Databricks registry that holds a model.

    `override` has priority over `host_registry`. If both are None, a name of three levels (`catalog.schema.model`) is
    in Unity Catalog, and any other name is in the workspace's registry.

    Raises:
        InputError: The registry is Unity Catalog, and the name does not have three levels.
    """
    is_three_level = model.count(".") == 2 and all(model.split("."))
    kind = override or host_registry or (RegistryKind.UNITY_CATALOG if is_three_level else RegistryKind.WORKSPACE)
    if kind is RegistryKind.UNITY_CATALOG and not is_three_level:
        raise InputError(
            f"The model {model!r} cannot be in Unity Catalog: its name does not have three levels.",
            "Write catalog.schema.model; for the workspace's registry, name the host databricks://PROFILE.",
        )
    return kind
