"""What a side can be asked: the operations, and the MLflow client that they share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import mlflow
from mlflow.tracking.request_header.registry import resolve_request_headers

from model_gate.databricks import LOGIN_VARIABLE, RegistryKind
from model_gate.model import Wanted
from model_gate.side.artifacts import Artifacts
from model_gate.side.connection import acknowledge_at_once
from model_gate.side.note import Note
from model_gate.side.registry import Registry


class Session:
    """One tracking server, its client and its artifact repositories."""

    def __init__(self, registry: Registry, artifacts: Artifacts) -> None:
        self._operations: dict[str, Callable[[dict[str, Any], Note], Any]] = {
            "resolve": lambda asked, _: asdict(registry.resolve(asked["model"], asked["version_or_stage"])),
            "locate": lambda asked, _: registry.locate(asked["uri"]),
            "list": lambda asked, note: {"files": artifacts.list(asked["uri"], note), "is_near": artifacts.is_near},
            "fetch": lambda asked, note: artifacts.fetch(
                asked["uri"], [Wanted(*file) for file in asked["files"]], note
            ),
        }

    def perform(self, operation: str, asked: dict[str, Any], note: Note) -> Any:
        """The operation's result, as JSON data; `note` tells of progress meanwhile."""
        return self._operations[operation](asked, note)


def prepare() -> None:
    """Import what the first requests need, which MLflow does not until then."""
    resolve_request_headers()  # type: ignore[no-untyped-call]
    acknowledge_at_once()


def open_session() -> Session:
    """The session with the tracking server that this process's environment names.

    Raises:
        ModelGateError: It is a Databricks workspace that does not answer, or does not accept the login.
    """
    if LOGIN_VARIABLE in os.environ:
        from model_gate.side.databricks_session import open_databricks_session

        is_catalog = os.environ["MLFLOW_REGISTRY_URI"] == "databricks-uc"
        kind = RegistryKind.UNITY_CATALOG if is_catalog else RegistryKind.WORKSPACE
        return open_databricks_session(os.environ["MODEL_GATE_ADDRESS"], kind)
    uri = os.environ["MLFLOW_TRACKING_URI"]
    return Session(Registry(mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)), Artifacts(uri))
