"""The content of a workspace, read from `workspace.json`. Paths in that file are relative to its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """A run and its artifact directory. `files_api` overrides the setting of the same name."""

    run_id: str
    experiment_id: str
    directory: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    files_api: str = ""


@dataclass(frozen=True)
class LoggedModel:
    """A logged model (MLflow 3) and its directory. `files_api` overrides the setting of the same name."""

    model_id: str
    experiment_id: str
    name: str
    directory: Path
    run_id: str = ""
    files_api: str = ""
    status: str = "LOGGED_MODEL_READY"


@dataclass(frozen=True)
class Version:
    """A model version. `directory` is the registry's copy; `storage` overrides the setting `uc_storage`."""

    number: str
    source: str
    directory: Path
    run_id: str = ""
    run_link: str = ""
    stage: str = "None"
    status: str = "READY"
    storage_location: str = ""
    storage: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model: versions by number, and version numbers by alias."""

    name: str
    versions: Mapping[str, Version]
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """Settings that change the behavior of the workspace.

    Attributes:
        files_api: How the Files API serves run artifacts and logged models: `on`, `plain` (no presigned URLs),
            `forbidden` (status 403) or `missing` (status 404).
        registry_aliases: Whether the workspace registry supports the alias endpoint.
        uc_storage: How Unity Catalog serves files: `files-api` (SDK), `default-storage` (presigned URLs), or vended
            credentials for `s3`, `azure` or `gcp`.
        page_size: Entries per page of every listing.
        denied: Objects that the caller may not read: `run:ID`, `logged-model:ID`, `logged-models` (the search),
            `model:NAME`, `download:NAME`, `EXECUTE:NAME`, `USE CATALOG:NAME`, `USE SCHEMA:NAME`.
        oauth_seconds: Lifetime of access tokens in seconds.
        oauth_requests: Number of requests after which an access token is rejected before it expires; 0 for no limit.
        audience: Required audience of ID tokens; empty for the token endpoint.
        aws: Vended access key, secret key and session token.
        azure: Vended shared access signature, as a query string.
        gcp: Vended access token.
        cloud: Cloud name in the host's metadata.
        store: Base URL of presigned URLs; empty for this server.
        signed_ranges: Byte ranges that presigned URLs are limited to, by a part of the file's path.
    """

    files_api: str = "on"
    registry_aliases: bool = False
    uc_storage: str = "files-api"
    page_size: int = 3
    denied: tuple[str, ...] = ()
    oauth_seconds: int = 3600
    oauth_requests: int = 0
    audience: str = ""
    aws: tuple[str, ...] = ()
    azure: str = ""
    gcp: str = ""
    cloud: str = "AWS"
    store: str = ""
    signed_ranges: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A fault in the response to matching requests.

    Attributes:
        request: Regular expression for a request in the form `GET /signed/…?signature=… bytes=0-9`: method, path,
            query and range.
        after: Number of matching requests that get a correct response before the fault.
        times: Number of matching requests that get the fault after that; 0 for all.
        status: Status to answer with; 0 for the normal response.
        headers: Headers to add or replace; an empty value removes one.
        body: Body to answer with; None for the normal body.
        seconds: Delay before the response.
        trickle: Delay before each byte of the body.
        cut: Number of bytes of the body to send; -1 for the whole body.
        honest: Whether Content-Length is the number of sent bytes. Otherwise it is the length of the whole body.
        ignored: Request headers to ignore, in lower case.
        expires: Whether this request expires its presigned URL.
        replacement: File to move over the requested file first, relative to its directory.
    """

    request: str
    after: int = 0
    times: int = 1
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    seconds: float = 0
    trickle: float = 0
    cut: int = -1
    honest: bool = True
    ignored: tuple[str, ...] = ()
    expires: bool = False
    replacement: str = ""


@dataclass(frozen=True)
class Content:
    """A workspace.

    Attributes:
        tokens: Personal access tokens.
        service_principals: Client secrets by client ID; empty for a principal that only uses federated tokens.
        issuer_token: Token that a GitHub job sends to request an ID token; empty if this process is no issuer.
        federation_key: Key that signs ID tokens; issuer and workspace must share it.
        entra_key: Key that signs Microsoft Entra access tokens; empty to accept none.
    """

    workspace_id: str = "1"
    tokens: tuple[str, ...] = ()
    service_principals: Mapping[str, str] = field(default_factory=dict)
    issuer_token: str = ""
    federation_key: str = ""
    entra_key: str = ""
    experiments: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, Run] = field(default_factory=dict)
    logged_models: Mapping[str, LoggedModel] = field(default_factory=dict)
    registry: Mapping[str, RegisteredModel] = field(default_factory=dict)
    catalog: Mapping[str, RegisteredModel] = field(default_factory=dict)
    dbfs: Path | None = None
    settings: Settings = field(default_factory=Settings)
    faults: tuple[Fault, ...] = ()

    @classmethod
    def read(cls, directory: Path) -> Content:
        """Read `workspace.json` in this directory."""
        data: dict[str, Any] = json.loads((directory / "workspace.json").read_text("utf-8"))
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.get("settings", {}).items()
        }
        return cls(
            workspace_id=data.get("workspace_id", "1"),
            tokens=tuple(data.get("tokens", ())),
            service_principals=data.get("service_principals", {}),
            issuer_token=data.get("issuer_token", ""),
            federation_key=data.get("federation_key", ""),
            entra_key=data.get("entra_key", ""),
            experiments=data.get("experiments", {}),
            runs={
                key: Run(run_id=key, **_with_directory(value, directory)) for key, value in data.get("runs", {}).items()
            },
            logged_models={
                key: LoggedModel(model_id=key, **_with_directory(value, directory))
                for key, value in data.get("logged_models", {}).items()
            },
            registry=_models(data.get("registry", {}), directory),
            catalog=_models(data.get("catalog", {}), directory),
            dbfs=directory / data["dbfs"] if "dbfs" in data else None,
            settings=Settings(**settings),
            faults=tuple(Fault(**fault) for fault in data.get("faults", ())),
        )


def _with_directory(data: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    return {**data, "directory": directory / data["directory"]}


def _models(data: Mapping[str, Any], directory: Path) -> dict[str, RegisteredModel]:
    return {
        name: RegisteredModel(
            name,
            {
                number: Version(number=number, **_with_directory(version, directory))
                for number, version in model["versions"].items()
            },
            model.get("aliases", {}),
        )
        for name, model in data.items()
    }
