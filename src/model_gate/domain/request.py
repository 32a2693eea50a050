"""What is asked of a gate, after its inputs were read and checked: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from model_gate.domain.host import Host
from model_gate.domain.ignore import NOTHING, Ignore
from model_gate.domain.verdict import Require


@dataclass(frozen=True)
class VersionRequest:
    """One version of a registered model, as the user named it, on one tracking server.

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


@dataclass(frozen=True)
class Common:
    """What every gate has.

    Attributes:
        require: What must hold for the gate to pass.
        download_dir: Where what is downloaded stays; None for a scratch directory that is removed.
        options: The options as given, for the report; no credential is among them.
        ignore: Paths that do not decide.
        fail_fast: Whether to begin no further file once the requirement is known not to be met.
    """

    require: Require = Require.IDENTICAL
    download_dir: Path | None = None
    options: dict[str, object] = field(default_factory=dict)
    ignore: Ignore = NOTHING
    fail_fast: bool = False


@dataclass(frozen=True)
class CheckRequest:
    """One version: its run model against its registry model."""

    version: VersionRequest
    common: Common


@dataclass(frozen=True)
class CompareRequest:
    """Two versions: run model against run model, registry model against registry model."""

    tracking_server_1: VersionRequest
    tracking_server_2: VersionRequest
    common: Common
    compare_run_models: bool = True
    compare_reg_models: bool = True


@dataclass(frozen=True)
class DiffRequest:
    """Two artifact URIs or local directories. The hosts are None where none was named."""

    left: str
    right: str
    left_host: Host | None
    right_host: Host | None
    common: Common


Request = CheckRequest | CompareRequest | DiffRequest


def failing_fast(request: Request, fail_fast: bool) -> Request:
    """The same request, with this for its `fail_fast`."""
    return replace(request, common=replace(request.common, fail_fast=fail_fast))
