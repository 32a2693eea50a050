"""The operations of a worker.

A worker searches versions, resolves a version, locates a model, lists its files, and downloads them or parts of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from model_gate.domain.model import FileRequest, PartRequest
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.roles import ModelRole
from model_gate.domain.version import ModelVersion, ResolvedUri, SelectedVersion
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.transfer.idle_connections import require_all_settled

# Why the location of a model is not known, and why versions are not.
_REASONS = ("run_model_reason", "run_model_remedy", "reg_model_reason", "reg_model_remedy")
_PROBLEMS = ("problem",)


class Registry(Protocol):
    """Resolves names to locations."""

    def resolve(self, model: str, version_or_stage: str, models: Collection[ModelRole] = ()) -> ModelVersion:
        """Return the version that a number, stage or alias names, and begin to list these models of it."""

    def search(
        self, models: str, version_or_stage: str, tags: Mapping[str, str], on_progress: ProgressCallback
    ) -> list[SelectedVersion]:
        """Return the versions that a glob of model names, a version or stage, and tags select."""

    def locate(self, uri: str) -> ResolvedUri:
        """Return the physical URI to which a URI leads, and the names on the way."""


class Session:
    """Performs operations with JSON arguments on one tracking server, by its registry client and artifact reader."""

    def __init__(self, registry: Registry, artifacts: ArtifactReader) -> None:
        self._registry = registry
        self._artifacts = artifacts
        self._operations: dict[str, Callable[[dict[str, Any], ProgressCallback], Any]] = {
            "resolve": self._resolve,
            "search": self._search,
            "locate": self._locate,
            "list": self._list,
            "fetch": self._fetch,
            "read": self._read,
            "stop": self._stop,
            "close": self._close,
            "settle": self._settle,
        }

    def perform(self, operation: str, arguments: dict[str, Any], on_progress: ProgressCallback) -> Any:
        """Return the result of an operation as JSON data. Meanwhile, `on_progress` is called with progress messages."""
        return self._operations[operation](arguments, on_progress)

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets of the logins that this process has found, besides those in its environment."""
        return self._artifacts.secrets()

    def _resolve(self, arguments: dict[str, Any], _: ProgressCallback) -> dict[str, Any]:
        models = [ModelRole(model) for model in arguments["models"]]
        version = self._registry.resolve(arguments["model"], arguments["version_or_stage"], models)
        (data,) = self._redacted([asdict(version)], _REASONS)
        return data

    def _search(self, arguments: dict[str, Any], on_progress: ProgressCallback) -> list[dict[str, Any]]:
        found = self._registry.search(
            arguments["models"], arguments["version_or_stage"], arguments["tags"], on_progress
        )
        return self._redacted([asdict(version) for version in found], _PROBLEMS)

    def _redacted(self, items: list[dict[str, Any]], names: Collection[str]) -> list[dict[str, Any]]:
        """Return data whose texts of some names are redacted: they can quote the error of a store."""
        if not any(item[name] for item in items for name in names):
            return items
        # The import takes long, and most results quote no error.
        from model_gate.access.redaction import Redactor

        redactor = Redactor(self.secrets())
        return [item | {name: redactor.text(item[name]) for name in names if item[name]} for item in items]

    def _locate(self, arguments: dict[str, Any], _: ProgressCallback) -> dict[str, Any]:
        resolved = self._registry.locate(arguments["uri"])
        return {"uri": resolved.uri, "hops": [asdict(hop) for hop in resolved.hops]}

    def _list(self, arguments: dict[str, Any], on_progress: ProgressCallback) -> dict[str, Any]:
        uri = arguments["uri"]
        files = self._artifacts.list(uri, on_progress)
        return {
            "files": files,
            "is_near": self._artifacts.is_near(uri),
            "has_parts": self._artifacts.reads_parts(uri),
            # A path can repeat a secret. Paths must not change here, so the parent masks it where it shows a path.
            "secrets": self._artifacts.secrets_at(uri),
        }

    def _fetch(self, arguments: dict[str, Any], on_progress: ProgressCallback) -> None:
        files = [FileRequest(*file) for file in arguments["files"]]
        self._artifacts.fetch(arguments["uri"], files, on_progress)

    def _read(self, arguments: dict[str, Any], on_progress: ProgressCallback) -> None:
        self._artifacts.read(PartRequest(**arguments), on_progress)

    def _stop(self, arguments: dict[str, Any], _: ProgressCallback) -> None:
        self._artifacts.stop(arguments["handle"])

    def _close(self, arguments: dict[str, Any], _: ProgressCallback) -> None:
        self._artifacts.close(arguments["handle"])

    def _settle(self, arguments: dict[str, Any], _: ProgressCallback) -> None:
        require_all_settled(arguments["since"])
