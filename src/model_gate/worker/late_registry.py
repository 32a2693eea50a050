"""The registry of a worker without a tracking server, and one that is opened when a name is looked up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping

from model_gate.domain.location import store_of_uri
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.roles import ModelRole
from model_gate.domain.version import ModelVersion, ResolvedUri, SelectedVersion
from model_gate.errors import InputError
from model_gate.worker.session import Registry


class NoRegistry:
    """Stands in for a registry if there is no tracking server, so that only physical URIs can be read."""

    def resolve(self, model: str, version_or_stage: str, models: Collection[ModelRole] = ()) -> ModelVersion:  # noqa: ARG002
        """Raise an InputError: no server has the version."""
        raise InputError(
            f"No tracking server is named, so there is no version {version_or_stage} of {model!r}.",
            "Set MLFLOW_TRACKING_URI.",
        )

    def search(
        self,
        models: str,
        version_or_stage: str,  # noqa: ARG002
        tags: Mapping[str, str],  # noqa: ARG002
        on_progress: ProgressCallback,  # noqa: ARG002
    ) -> list[SelectedVersion]:
        """Raise an InputError: no server has registered models."""
        raise InputError(
            f"No tracking server is named, so there are no registered models {models!r}.", "Set MLFLOW_TRACKING_URI."
        )

    def locate(self, uri: str) -> ResolvedUri:
        """Return the physical URI `uri` as it is."""
        return ResolvedUri(uri, ())


class LateRegistry:
    """A registry that is opened at the first request for a name. Thread-safe.

    A location in an object store is not a name, so it is returned without opening the registry.

    Args:
        open_registry: Imports MLflow and returns the registry.
    """

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open_registry = open_registry
        self._lock = threading.Lock()
        self._opened: Registry | None = None

    def resolve(self, model: str, version_or_stage: str, models: Collection[ModelRole] = ()) -> ModelVersion:
        """Return the version that a number, stage or alias names, and begin to list these models of it."""
        return self._registry.resolve(model, version_or_stage, models)

    def search(
        self, models: str, version_or_stage: str, tags: Mapping[str, str], on_progress: ProgressCallback
    ) -> list[SelectedVersion]:
        """Return the versions that a glob of model names, a version or stage, and tags select."""
        return self._registry.search(models, version_or_stage, tags, on_progress)

    def locate(self, uri: str) -> ResolvedUri:
        """Return the physical URI to which a URI leads, and the names on the way."""
        return ResolvedUri(uri, ()) if store_of_uri(uri) else self._registry.locate(uri)

    @property
    def _registry(self) -> Registry:
        with self._lock:
            if self._opened is None:
                self._opened = self._open_registry()
            return self._opened
