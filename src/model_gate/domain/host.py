"""Tracking servers as values: how one is reached, and what identifies it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

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
    workspace: WorkspaceLogin | None = None

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
            return urlsplit(self.address).hostname in LOOPBACK
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


LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class RegistryKind(StrEnum):
    """The two model registries of Databricks, as the compare file calls them."""

    WORKSPACE = "workspace"
    UNITY_CATALOG = "unity-catalog"


@dataclass(frozen=True)
class WorkspaceLogin:
    """A workspace and the login to it.

    Attributes:
        url: Its address: the same for two profiles of one workspace.
        fields: The login, as the Databricks SDK calls its fields.
        variables: What the login needs beside it from the environment.
        secrets: Values that must not appear in any text.
        registry: Which of its registries is meant; None until the model is known.
    """

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    registry: RegistryKind | None = None


def registry_of(model: str, host: RegistryKind | None, asked: RegistryKind | None) -> RegistryKind:
    """The registry that holds this model: the one asked for, the host's, or the one its name fits.

    Raises:
        InputError: A model in Unity Catalog must have three levels.
    """
    is_three_level = model.count(".") == 2 and all(model.split("."))
    kind = asked or host or (RegistryKind.UNITY_CATALOG if is_three_level else RegistryKind.WORKSPACE)
    if kind is RegistryKind.UNITY_CATALOG and not is_three_level:
        raise InputError(
            f"The model {model!r} cannot be in Unity Catalog: its name does not have three levels.",
            "Write catalog.schema.model; for the workspace's registry, name the host databricks://PROFILE.",
        )
    return kind
