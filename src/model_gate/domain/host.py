"""Tracking servers as values: address, login and identity."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from model_gate.errors import InputError


class HostKind(StrEnum):
    """The kind of access to a tracking server."""

    HTTP = "http"
    DATABASE = "database"
    FILES = "files"
    DATABRICKS = "databricks"


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
    """

    kind: HostKind
    address: str
    uri: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    workspace: WorkspaceLogin | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not be printed or written."""
        if self.workspace is not None:
            return self.workspace.secrets
        if not self.password:
            return ()
        user_info = f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")
        basic = base64.b64encode(user_info).decode()
        return (self.password, basic)

    @property
    def is_local(self) -> bool:
        """Whether the server runs on this machine, so that its local paths can be read directly."""
        if self.kind is HostKind.HTTP:
            return urlsplit(self.address).hostname in LOOPBACK
        return self.kind is not HostKind.DATABRICKS

    @property
    def local_path(self) -> Path | None:
        """The database file or the directory, for a server that is a path on this machine; else None."""
        if self.kind is HostKind.FILES:
            return Path(unquote(urlsplit(self.address).path))
        if self.address.startswith(_SQLITE):
            return Path(self.address.removeprefix(_SQLITE))
        return None

    @property
    def reader(self) -> Host:
        """Value that is equal for two hosts only if they are one server with one login, whatever their spelling.

        The two registries of a workspace have one reader; `authority` tells them apart.
        """
        if self.workspace is not None:
            return replace(self, address="", uri="", workspace=replace(self.workspace, registry=None))
        return self if self.local_path is None else replace(self, uri="")

    def for_model(self, model: str, registry: RegistryKind | None = None) -> Host:
        """Return this server with its registry set to the registry of a model.

        Args:
            model: The registered model's name, which selects the registry.
            registry: A registry that overrides the selection.

        Raises:
            InputError: The name does not fit the registry, or the server has only one registry.
        """
        if self.workspace is None:
            if registry is not None:
                raise InputError("registry: only a Databricks host has more than one registry.", "Leave it out.")
            return self
        kind = registry_of(model, self.workspace.registry, registry)
        return replace(self, workspace=replace(self.workspace, registry=kind))

    def authority(self, uri: str) -> str:
        """Return the scope in which `uri` is unique, for a URI that only this server can read.

        The scope is equal for two spellings of one server.
        """
        if self.workspace is None:
            return self.address
        if uri.startswith("models:"):
            return f"{self.workspace.url} {self.workspace.registry}"
        return self.workspace.url


# SQLAlchemy: an absolute path follows, with its own slash.
_SQLITE = "sqlite:///"
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class RegistryKind(StrEnum):
    """The two model registries of Databricks, as the compare file names them."""

    WORKSPACE = "workspace"
    UNITY_CATALOG = "unity-catalog"


@dataclass(frozen=True)
class WorkspaceLogin:
    """A Databricks workspace and its login.

    Attributes:
        url: The workspace's address: equal for two profiles of one workspace.
        fields: The login, under the field names of the Databricks SDK.
        variables: Environment variables that the login also needs.
        secrets: Texts that must not be printed or written.
        registry: The selected registry; None until the model is known.
    """

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    registry: RegistryKind | None = None


def registry_of(model: str, host_registry: RegistryKind | None, override: RegistryKind | None) -> RegistryKind:
    """Return the registry that holds a model: the override, else the host's registry, else by the model's name.

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
