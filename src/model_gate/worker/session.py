"""What a side can be asked: the operations, and the MLflow client that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from model_gate.domain.model import FileRequest
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.progress import ProgressCallback
from model_gate.worker.registry import RegistryClient


class Session:
    """One tracking server, its client and its artifact repositories."""

    def __init__(self, registry: RegistryClient, artifacts: ArtifactReader) -> None:
        self._operations: dict[str, Callable[[dict[str, Any], ProgressCallback], Any]] = {
            "resolve": lambda asked, _: asdict(registry.resolve(asked["model"], asked["version_or_stage"])),
            "locate": lambda asked, _: registry.locate(asked["uri"]),
            "list": lambda asked, note: {"files": artifacts.list(asked["uri"], note), "is_near": artifacts.is_near},
            "fetch": lambda asked, note: artifacts.fetch(
                asked["uri"], [FileRequest(*file) for file in asked["files"]], note
            ),
        }

    def perform(self, operation: str, asked: dict[str, Any], note: ProgressCallback) -> Any:
        """The operation's result, as JSON data; `note` tells of progress meanwhile."""
        return self._operations[operation](asked, note)
