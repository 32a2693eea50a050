"""Requests of the commands as plain data, made from validated inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from model_gate.domain.host import Host
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.location import registered_model_in
from model_gate.domain.roles import CommandName, ComparisonName, ModelNames, ModelRole, VersionRole
from model_gate.domain.seal import Seal, SealedVersion
from model_gate.domain.verdict import Require

# What messages call a seal that is compared with a model.
SEAL_NOUN = "seal"


@dataclass(frozen=True)
class VersionRequest:
    """One version of a registered model on one tracking server, as the user names it.

    Attributes:
        host: The tracking server.
        model: The registered model's name.
        version_or_stage: A number, a stage, an alias (with or without `@`) or `latest`.
        native_model: The native model's path inside the MLflow model, or "" for the whole model.
    """

    host: Host
    model: str
    version_or_stage: str
    native_model: str = ""


class ConfigFile(NamedTuple):
    """A compare file as the gate read it.

    Attributes:
        name: The path or the input that has the text.
        digest: SHA-256 of the text in hex. A byte order mark is not part of the text.
    """

    name: str
    digest: str


@dataclass(frozen=True)
class GateOptions:
    """Options that every command has.

    Attributes:
        require: The requirement for the gate to pass.
        download_dir: Directory that keeps the downloads; None for a temporary directory, which is removed.
        ignore: Globs for paths that do not affect the verdict.
        fail_fast: Whether to stop comparing files after the first difference that fails the requirement.
        fail_on_same_location: Whether two models at one and the same location are an error.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
        writes_statement: Whether a promotion statement is written if the gate passes. It needs the root of each model.
    """

    require: Require = Require.IDENTICAL
    download_dir: Path | None = None
    ignore: Ignore = NOTHING
    fail_fast: bool = False
    fail_on_same_location: bool = False
    allow_local_artifacts: bool = False
    writes_statement: bool = False


@dataclass(frozen=True)
class GateRequest(ABC):
    """Base class of the requests of all commands.

    Attributes:
        command: The command's name.
        options: Options that every command has.
        notices: What the user should know although it is no error, each in one line.
        config: The compare file; None if the request has none.
    """

    command: ClassVar[CommandName]
    options: GateOptions = field(default_factory=GateOptions, kw_only=True)
    notices: tuple[str, ...] = field(default=(), kw_only=True)
    config: ConfigFile | None = field(default=None, kw_only=True, compare=False)

    @property
    @abstractmethod
    def versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The requested model versions by role."""

    @property
    @abstractmethod
    def hosts(self) -> tuple[Host, ...]:
        """The tracking servers, left before right; a server that both models share is listed twice."""

    @abstractmethod
    def model_names(self, comparison: str) -> ModelNames:
        """Return the names of the two models of a comparison. `comparison` is a `ComparisonName`."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts of the request that must not be printed or written."""
        return tuple(secret for host in self.hosts for secret in host.secrets)


@dataclass(frozen=True)
class CheckRequest(GateRequest):
    """Request to compare the run model and the registry model of one version.

    Attributes:
        version: The version.
        seal: A seal with which the registry model is compared too; None for no seal.
    """

    command = CommandName.CHECK
    version: VersionRequest
    seal: Seal | None = None

    @property
    def versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The requested version by its role."""
        return {VersionRole.MODEL_VERSION: self.version}

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The version's tracking server."""
        return (self.version.host,)

    def model_names(self, comparison: str) -> ModelNames:
        """Return the names of the run model and the registry model, or those of the seal and the registry model."""
        if comparison == ComparisonName.SEAL:
            return ModelNames(SEAL_NOUN, ModelRole.REG_MODEL.noun, is_left_seal=True)
        return ModelNames(ModelRole.RUN_MODEL.noun, ModelRole.REG_MODEL.noun)


@dataclass(frozen=True)
class CompareRequest(GateRequest):
    """Request to compare two versions: their run models with each other, and their registry models with each other.

    A seal can stand for one of the versions. The run model and the registry model of the other are compared with it.
    """

    command = CommandName.COMPARE
    tracking_server_1: VersionRequest | SealedVersion
    tracking_server_2: VersionRequest | SealedVersion
    compare_run_models: bool = True
    compare_reg_models: bool = True

    @property
    def versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The requested versions by role, left before right: one if a seal stands for the other."""
        return {role: version for role, version in self.sides.items() if isinstance(version, VersionRequest)}

    @property
    def sides(self) -> Mapping[VersionRole, VersionRequest | SealedVersion]:
        """The two requested versions or seals by role, left before right."""
        return {
            VersionRole.TRACKING_SERVER_1: self.tracking_server_1,
            VersionRole.TRACKING_SERVER_2: self.tracking_server_2,
        }

    @property
    def models(self) -> tuple[ModelRole, ...]:
        """The models of each version that are compared."""
        compared = {ModelRole.RUN_MODEL: self.compare_run_models, ModelRole.REG_MODEL: self.compare_reg_models}
        return tuple(role for role, is_compared in compared.items() if is_compared)

    @property
    def seal(self) -> Seal | None:
        """The seal that stands for one of the versions; None if there is none."""
        return next((side.seal for side in self.sides.values() if isinstance(side, SealedVersion)), None)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The versions' tracking servers."""
        return tuple(version.host for version in self.versions.values())

    def model_names(self, comparison: str) -> ModelNames:
        """Return "run model" for both models of the comparison of run models, otherwise "registry model" for both."""
        role = ModelRole.RUN_MODEL if comparison == ComparisonName.RUN_MODELS else ModelRole.REG_MODEL
        are_seals = [isinstance(side, SealedVersion) for side in self.sides.values()]
        left, right = (SEAL_NOUN if is_seal else role.noun for is_seal in are_seals)
        return ModelNames(left, right, *are_seals)


@dataclass(frozen=True)
class DiffRequest(GateRequest):
    """Request to compare the models at two artifact URIs or in two local directories.

    Attributes:
        left: The left URI or directory.
        right: The right URI or directory.
        left_host: The tracking server of the left URI; None for a local directory.
        right_host: The tracking server of the right URI; None for a local directory.
    """

    command = CommandName.DIFF
    left: str
    right: str
    left_host: Host | None = None
    right_host: Host | None = None

    @property
    def versions(self) -> Mapping[VersionRole, VersionRequest]:
        """Always empty: a diff names its models by location and not by version."""
        return {}

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The tracking servers of the URIs that are not local."""
        return tuple(host for host in (self.left_host, self.right_host) if host is not None)

    def model_names(self, comparison: str) -> ModelNames:  # noqa: ARG002  # a diff has one comparison
        """Return "model" for both models."""
        return ModelNames()


@dataclass(frozen=True)
class ModelRequest:
    """One model: the registry model of a version, or the model at a URI or in a directory.

    Attributes:
        version: The version; None for a model that is named by its location.
        uri: The URI or the directory; "" for a version.
        uri_host: The tracking server of the URI; None for a local directory or a version.
    """

    version: VersionRequest | None = None
    uri: str = ""
    uri_host: Host | None = None

    @property
    def versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The version by its role; empty for a model that is named by its location."""
        return {} if self.version is None else {VersionRole.MODEL_VERSION: self.version}

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The model's tracking server; empty for a local directory."""
        host = self.uri_host if self.version is None else self.version.host
        return () if host is None else (host,)

    @property
    def registered_model(self) -> str:
        """Name of the registered model that the version or the URI names; "" for another URI and for a directory."""
        if self.version is not None:
            return self.version.model
        return "" if self.uri_host is None else registered_model_in(self.uri)

    @property
    def noun(self) -> str:
        """What messages call the model."""
        return "model" if self.version is None else ModelRole.REG_MODEL.noun


@dataclass(frozen=True)
class OneModelRequest(GateRequest):
    """Base class of the requests of `seal` and `verify`.

    Attributes:
        model: The model.
    """

    model: ModelRequest

    @property
    def versions(self) -> Mapping[VersionRole, VersionRequest]:
        """The version by its role, if the model is named by a version."""
        return self.model.versions

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The model's tracking server; empty for a local directory."""
        return self.model.hosts


@dataclass(frozen=True)
class SealRequest(OneModelRequest):
    """Request to seal a model.

    Attributes:
        output: Path of the seal.
    """

    command = CommandName.SEAL
    output: Path

    def model_names(self, comparison: str) -> ModelNames:  # noqa: ARG002  # a seal has no comparison
        """Return the name of the model, twice."""
        return ModelNames(self.model.noun, self.model.noun)


@dataclass(frozen=True)
class VerifyRequest(OneModelRequest):
    """Request to compare a model with a seal.

    Attributes:
        seal: The seal.
    """

    command = CommandName.VERIFY
    seal: Seal

    def model_names(self, comparison: str) -> ModelNames:  # noqa: ARG002  # a verification has one comparison
        """Return the names of the seal and the model."""
        return ModelNames(SEAL_NOUN, self.model.noun, is_left_seal=True)


Request = CheckRequest | CompareRequest | DiffRequest | SealRequest | VerifyRequest
