"""What a side can be asked: the operations, and the MLflow client that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import mlflow

from model_gate.side.artifacts import Artifacts
from model_gate.side.connection import acknowledge_at_once
from model_gate.side.registry import Registry

Note = Callable[[dict[str, Any]], None]


class Session:
    """One tracking server, its client and its artifact repositories."""

    def __init__(self, uri: str) -> None:
        acknowledge_at_once()
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._registry = Registry(client)
        self._artifacts = Artifacts(uri)
        self._operations: dict[str, Callable[[dict[str, Any], Note], Any]] = {
            "resolve": lambda asked, _: asdict(self._registry.resolve(asked["model"], asked["version_or_stage"])),
            "locate": lambda asked, _: self._registry.locate(asked["uri"]),
            "list": lambda asked, note: self._artifacts.list(asked["uri"], note),
            "fetch": lambda asked, _: self._artifacts.fetch(asked["uri"], asked["path"], asked["destination"]),
        }

    def perform(self, operation: str, asked: dict[str, Any], note: Note) -> Any:
        """The operation's result, as JSON data; `note` tells of progress meanwhile."""
        return self._operations[operation](asked, note)
