"""Tracking servers and Databricks workspaces as values: their address and login."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

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
        kind: The kind of access.
        address: The URI without user-info: safe to show, and equal for two spellings of one server.
        uri: The URI for MLflow. A database URI may contain a password, so the repr leaves it out.
        username: From user-info, else "".
        password: From user-info, else "".
        workspace: The login to a Databricks workspace; None for other kinds.
    """

    kind: HostKind
    address: str
    uri: str = field(repr=False)
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    workspace: WorkspaceLogin | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret texts, which no output may contain."""
        if self.workspace is not None:
            return self.workspace.secrets
        if not self.password:
            return ()
        user_info = f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")
        basic = base64.b64encode(user_info).decode()
        return (self.password, basic)

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, so that its paths are valid here."""
        if self.kind is HostKind.HTTP:
            return urlsplit(self.address).hostname in LOOPBACK
        return self.kind is not HostKind.DATABRICKS

    def for_model(self, model: str, registry: RegistryKind | None = None) -> Host:
        """Return this server with the registry that holds a model. `registry` overrides what the name implies.

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
        """Return the owner of a URI that only this server can read; equal for two spellings of one server."""
        if self.workspace is None:
            return self.address
        if uri.startswith("models:"):
            return f"{self.workspace.url} {self.workspace.registry}"
        return self.workspace.url


LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class RegistryKind(StrEnum):
    """The two model registries of Databricks, as spelled in compare files."""

    WORKSPACE = "workspace"
    UNITY_CATALOG = "unity-catalog"


@dataclass(frozen=True)
class WorkspaceLogin:
    """A Databricks workspace and the login to it.

    Attributes:
        url: The workspace's address, equal for two profiles of one workspace.
        fields: The login, by the field names of the Databricks SDK.
        variables: Environment variables that the login needs besides its fields.
        secrets: The secret values, which no output may contain.
        registry: The registry that holds the model; None until the model is known.
    """

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    registry: RegistryKind | None = None


def registry_of(model: str, host: RegistryKind | None, override: RegistryKind | None) -> RegistryKind:
    """Return the registry that holds a model: the override, else the host's, else the one that fits the name.

    Raises:
        InputError: A model in Unity Catalog must have three levels.
    """
    is_three_level = model.count(".") == 2 and all(model.split("."))
    kind = override or host or (RegistryKind.UNITY_CATALOG if is_three_level else RegistryKind.WORKSPACE)
    if kind is RegistryKind.UNITY_CATALOG and not is_three_level:
        raise InputError(
            f"The model {model!r} cannot be in Unity Catalog: its name does not have three levels.",
            "Write catalog.schema.model; for the workspace's registry, name the host databricks://PROFILE.",
        )
    return kind
