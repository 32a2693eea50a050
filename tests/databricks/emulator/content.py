"""What a workspace holds, read from `workspace.json`. Paths in it are relative to its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """A run and the directory of its artifacts; `files_api` overrides the setting of that name for it."""

    run_id: str
    experiment_id: str
    directory: Path
    tags: Mapping[str, str] = field(default_factory=dict)
    files_api: str = ""


@dataclass(frozen=True)
class LoggedModel:
    """A logged model (MLflow 3) and the directory of its files; `files_api` overrides the setting for it."""

    model_id: str
    experiment_id: str
    name: str
    directory: Path
    run_id: str = ""
    files_api: str = ""


@dataclass(frozen=True)
class Version:
    """A model version; `directory` is the registry's own copy, `storage` overrides the setting `uc_storage` for it."""

    number: str
    source: str
    directory: Path
    run_id: str = ""
    run_link: str = ""
    stage: str = "None"
    status: str = "READY"
    storage_location: str = ""
    storage: str = ""


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model: its versions by number, and the numbers of its aliases."""

    name: str
    versions: Mapping[str, Version]
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """How the workspace behaves.

    Attributes:
        files_api: `on`; `plain`, without presigned URLs; `forbidden` (403) or `missing` (404) for run artifacts and
            logged models.
        registry_aliases: Whether the workspace registry has the REST call for aliases.
        uc_storage: How Unity Catalog serves files: `files-api` (by the SDK), `default-storage` (presigned URLs), or
            by vended credentials: `s3`, `azure`, `gcp`.
        page_size: Entries in a page of any listing.
        denied: What the caller may not read: `run:ID`, `logged-model:ID`, `model:NAME`, `download:NAME`,
            `EXECUTE:NAME`, `USE CATALOG:NAME`, `USE SCHEMA:NAME`.
        oauth_seconds: How long an access token is told to live, and lives.
        oauth_requests: After how many requests an access token is refused, whatever was told.
        audience: What ID tokens must be meant for; the token endpoint if empty.
        aws: Access key, secret key and session token that Unity Catalog vends.
        azure: The shared access signature that it vends, as a query.
        gcp: The access token that it vends.
        cloud: What the host says it runs on.
        store: The address that presigned URLs lead to, this server's own if empty.
        signed_ranges: Ranges that presigned URLs are for, by a part of the path of their files.
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
    """Something that goes wrong with requests whose method, path, query and range match.

    These are told as in `GET /signed/…?signature=… bytes=0-9`.

    Attributes:
        request: A regular expression.
        after: How many matching requests go right first.
        times: How many go wrong then; 0 for all.
        status: Answered instead, 0 for the right answer.
        headers: Beside the answer's own, "" to leave one out.
        body: Instead of the answer's, None for the right one.
        seconds: The wait before the answer.
        trickle: The wait before each of the body's bytes.
        cut: The body ends after so many bytes, -1 for all of it.
        honest: Whether Content-Length tells of the cut.
        ignored: Headers of the request that are not heeded, in lower case.
        expires: Whether the presigned URL has expired with this request, for good.
        replacement: Takes the place of the file before the answer: a path relative to the file's directory.
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
        service_principals: Secrets by client id; "" for one that only federated tokens can use.
        issuer_token: What a job shows to get an ID token here, where this process plays GitHub; "" if it does not.
        federation_key: What ID tokens are signed with: the issuer's and this workspace's must be the same.
        entra_key: What access tokens of Microsoft Entra are signed with, "" if none is taken.
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
        """The content that `workspace.json` in this directory describes."""
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
            runs={key: Run(run_id=key, **_placed(value, directory)) for key, value in data.get("runs", {}).items()},
            logged_models={
                key: LoggedModel(model_id=key, **_placed(value, directory))
                for key, value in data.get("logged_models", {}).items()
            },
            registry=_models(data.get("registry", {}), directory),
            catalog=_models(data.get("catalog", {}), directory),
            dbfs=directory / data["dbfs"] if "dbfs" in data else None,
            settings=Settings(**settings),
            faults=tuple(Fault(**fault) for fault in data.get("faults", ())),
        )


def _placed(data: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    return {**data, "directory": directory / data["directory"]}


def _models(data: Mapping[str, Any], directory: Path) -> dict[str, RegisteredModel]:
    return {
        name: RegisteredModel(
            name,
            {
                number: Version(number=number, **_placed(version, directory))
                for number, version in model["versions"].items()
            },
            model.get("aliases", {}),
        )
        for name, model in data.items()
    }
