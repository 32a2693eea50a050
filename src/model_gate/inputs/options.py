"""From options as text to a request: what is missing, contradictory or malformed ends here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from model_gate.access.hosts import parse_host
from model_gate.domain.host import Host, RegistryKind
from model_gate.domain.location import is_local_uri, is_logged_model, split_profile
from model_gate.domain.request import CheckRequest, CompareRequest, DiffRequest, GateOptions, VersionRequest
from model_gate.domain.verdict import Require
from model_gate.errors import InputError
from model_gate.inputs.compare_file import CompareConfig, checked_native_model, read_config


@dataclass(frozen=True)
class VersionOptions:
    """How options name one version; "" and None are what was not said."""

    model: str
    version_or_stage: str
    host: str = ""
    registry: RegistryKind | None = None
    native_model: str = ""


def check_request(asked: VersionOptions, require: Require | None, download_dir: Path | None) -> CheckRequest:
    """What `check` is asked.

    Raises:
        InputError: An option is missing or cannot be used.
    """
    # A name in a registry or a model may begin or end with a blank: without it, it would name another one.
    name = _require(asked.model, "--model", "Name the registered model: --model Sklearn_Wine.")
    version = VersionRequest(
        host=_host(asked.host, "--host").for_model(name, asked.registry),
        model=name,
        version_or_stage=_require(
            asked.version_or_stage, "--version-or-stage", "Name the version: a number, a stage, an alias or latest."
        ).strip(),
        native_model=checked_native_model(asked.native_model),
    )
    return CheckRequest(version, options=GateOptions(require or Require.IDENTICAL, download_dir))


def compare_request(
    config_file: Path | None,
    compare_run_models: bool | None,
    compare_reg_models: bool | None,
    require: Require | None,
    download_dir: Path | None,
) -> CompareRequest:
    """What `compare` is asked; what the command line leaves open, the compare file may say.

    Raises:
        InputError: The option is missing, or there is nothing to compare.
        ConfigError: The compare file cannot be used.
    """
    if config_file is None:
        raise InputError("--config-file is missing.", "Name a YAML file with the two versions: see the README.")
    return compare_config_request(
        read_config(config_file), compare_run_models, compare_reg_models, require, download_dir
    )


def compare_config_request(
    config: CompareConfig,
    compare_run_models: bool | None,
    compare_reg_models: bool | None,
    require: Require | None,
    download_dir: Path | None,
) -> CompareRequest:
    """What `compare` is asked, after the compare file was read.

    Raises:
        InputError: There is nothing to compare.
    """
    run_models = _first(compare_run_models, config.compare_run_models, default=True)
    reg_models = _first(compare_reg_models, config.compare_reg_models, default=True)
    if not run_models and not reg_models:
        raise InputError(
            "There is nothing to compare: run models and registry models are both switched off.",
            "Switch one of them on: --compare-run-models or --compare-reg-models.",
        )
    return CompareRequest(
        config.tracking_server_1,
        config.tracking_server_2,
        run_models,
        reg_models,
        options=GateOptions(require or config.require or Require.IDENTICAL, download_dir, ignore=config.ignore),
    )


def diff_request(
    left: str, right: str, left_host: str, right_host: str, require: Require | None, download_dir: Path | None
) -> DiffRequest:
    """What `diff` is asked.

    Raises:
        InputError: A side is empty, or its tracking server is not known.
    """
    hosts = []
    for name, uri, host in (("left", left, left_host), ("right", right, right_host)):
        if not uri.strip():
            raise InputError(f"The {name} side is empty.", "Name a local directory or an artifact URI.")
        hosts.append(None if is_local_uri(uri) else _host_of(uri, host, f"--{name}-host"))
    return DiffRequest(left, right, hosts[0], hosts[1], options=GateOptions(require or Require.IDENTICAL, download_dir))


def _host_of(uri: str, host: str, option: str) -> Host:
    """The server of an artifact URI: the one that is named, or the one in `models://PROFILE@databricks/…`."""
    scheme, profile, path = split_profile(uri)
    named = _host(host or (f"databricks://{profile}" if profile else ""), option)
    model = re.split(r"[/@]", path)[0] if scheme == "models" else ""
    return named.for_model("" if is_logged_model(path.strip("/")) else model)


def _require(text: str, option: str, remedy: str) -> str:
    if not text.strip():
        raise InputError(f"{option} is missing.", remedy)
    return text


def _host(text: str, option: str) -> Host:
    if text.strip():
        return parse_host(text, option)
    default = os.environ.get("MLFLOW_TRACKING_URI", "")
    if default.strip():
        return parse_host(default, "MLFLOW_TRACKING_URI")
    raise InputError(
        f"No tracking server is named: {option} is missing, and MLFLOW_TRACKING_URI is not set.",
        f"Name it: {option} https://mlflow.example.com.",
    )


def _first(*choices: bool | None, default: bool) -> bool:
    return next((choice for choice in choices if choice is not None), default)
