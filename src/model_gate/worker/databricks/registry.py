"""Resolves model versions in the two registries of a Databricks workspace: the workspace registry and Unity Catalog.

In both registries, stages, aliases and searches differ from those of open-source MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from mlflow.exceptions import MlflowException

from model_gate.domain.host import RegistryKind, registry_of
from model_gate.domain.limits import LIMITS
from model_gate.domain.location import is_logged_model, split_profile
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.version import Hop, Lineage, ResolvedUri, SelectedVersion
from model_gate.errors import InputError, ModelGateError, NotFoundError
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.databricks.rest import get, require_success
from model_gate.worker.databricks.search import CatalogSearch, WorkspaceSearch
from model_gate.worker.failures import NOT_FOUND_CODES
from model_gate.worker.names import STAGES, listed_number
from model_gate.worker.pages import read_pages
from model_gate.worker.registry import ModelLocation, RegistryClient, parse_version_uri, require_ready, unknown_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.store.entities.paged_list import PagedList

_T = TypeVar("_T")
_ALIAS_ENDPOINT = "/api/2.0/mlflow/registered-models/alias"


class DatabricksRegistryClient(RegistryClient):
    """Resolves model versions in one of the workspace's two registries: the workspace registry or Unity Catalog."""

    def __init__(
        self, clients: Mapping[RegistryKind, MlflowClient], kind: RegistryKind, artifacts: ArtifactReader
    ) -> None:
        super().__init__(clients[kind], artifacts, _filter_by_name)
        self._clients = clients
        self._kind = kind
        self._artifacts = artifacts

    def locate(self, uri: str) -> ResolvedUri:
        """Return the physical URI to which `uri` leads.

        A model version leads to a `models:/NAME/NUMBER` URI, because its files can only be read through the registry.

        Raises:
            InputError: The URI cannot name a version.
            NotFoundError: The model, version or run does not exist.
            ModelError: A version is not ready, the sources form a loop, or a name is ambiguous.
        """
        scheme, profile, path = split_profile(uri)
        if profile or "://" in uri:
            uri = f"{scheme}:/{path}" if scheme in {"models", "runs", "dbfs"} else uri
        path = path.strip("/")
        if scheme == "models" and not is_logged_model(path):
            version = super().version_of(*parse_version_uri(uri, path))
            require_ready(version)
            hop = Hop(uri, name=version.name, version=str(version.version), status=version.status or "")
            return ResolvedUri(f"models:/{version.name}/{version.version}", (hop,))
        return self._follow_sources(uri)

    def search(
        self, models: str, version_or_stage: str, tags: Mapping[str, str], on_progress: ProgressCallback
    ) -> list[SelectedVersion]:
        """Return the versions that a glob of model names, a version or stage, and tags select, sorted.

        `on_progress` is called with the number of `models` or `versions` found so far.
        """
        search = (
            CatalogSearch(self._client, on_progress)
            if self._kind is RegistryKind.UNITY_CATALOG
            else WorkspaceSearch(self._client, _workspace_alias, on_progress)
        )
        return search.search(models, version_or_stage, tags)

    def _registry_model(
        self,
        version: MlflowVersion,
        download_uri_lookup: Future[str],
        run_model: Future[ModelLocation],  # noqa: ARG002  # the registry model is read through the registry
    ) -> tuple[str, ModelLocation]:
        name, number = version.name, str(version.version)
        try:
            download_uri = download_uri_lookup.result()
        except MlflowException as error:
            return "", ModelLocation("", reason=error.message)
        # The download URI is unusable: in the workspace registry it is on DBFS, which corrupts small files, and in
        # Unity Catalog it is in a store that only the registry has credentials for.
        return download_uri, ModelLocation(f"models:/{name}/{number}")

    def _location_or_reason(self, uri: str) -> ModelLocation:
        try:
            return super()._location_or_reason(uri)
        except MlflowException as error:
            return ModelLocation("", reason=error.message)

    def version_of(self, name: str, version_or_stage: str) -> MlflowVersion:
        """Return a version of a registered model in either registry, by number, stage, alias or `latest`."""
        kind = registry_of(name, None, None)
        if kind is self._kind:
            return super().version_of(name, version_or_stage)
        # The name belongs to the other registry. For example, a version in Unity Catalog can be a copy from the
        # workspace registry.
        return DatabricksRegistryClient(self._clients, kind, self._artifacts).version_of(name, version_or_stage)

    def _model_names(self) -> list[str]:
        try:
            models = _read_all(
                lambda token: self._client.search_registered_models(page_token=token),
                "registered model",
                LIMITS.search_models,
            )
            return [model.name for model in models]
        except (MlflowException, ModelGateError):
            # The login may lack the permission to list models. This must not replace the original error.
            return []

    def _is_prompt(self, name: str) -> bool:  # noqa: ARG002  # a search for prompts needs a catalog and a schema
        return False

    def _list_versions(self, name: str) -> list[MlflowVersion]:
        quote = '"' if "'" in name else "'"
        query = f"name={quote}{name}{quote}"
        return _read_all(
            lambda token: self._client.search_model_versions(query, page_token=token),
            "model version",
            LIMITS.search_versions,
        )

    def _resolve_name(self, registered: RegisteredModel, version_or_stage: str) -> str:
        name = registered.name
        if version_or_stage.lower() == "latest":
            numbers = [listed_number(version.version) for version in self._list_versions(name)]
            if not numbers:
                raise NotFoundError(f"{name!r} has no version at all.", "Register one first.")
            return str(max(numbers))
        is_stage = version_or_stage.lower() in {stage.lower() for stage in STAGES}
        if self._kind is RegistryKind.UNITY_CATALOG:
            if is_stage:
                raise InputError(
                    f"{name!r} is in Unity Catalog, which has no stages: {version_or_stage!r} names no version.",
                    f"Name the version by an alias or a number. {self._available_versions(registered)}",
                )
            return super()._resolve_name(registered, version_or_stage)
        if is_stage:
            return super()._resolve_name(registered, version_or_stage)
        return self._resolve_workspace_alias(registered, version_or_stage)

    def _resolve_workspace_alias(self, registered: RegisteredModel, version_or_stage: str) -> str:
        """Return the number of the version that an alias names in the workspace registry."""
        name, alias = registered.name, version_or_stage.removeprefix("@")
        try:
            number = _workspace_alias(name, alias)
        except InputError as error:
            raise InputError(error.message, f"{error.remedy} {self._available_versions(registered)}") from error
        if number is None:
            raise NotFoundError(unknown_version(name, version_or_stage), self._available_versions(registered, alias))
        return number

    def _lineage(self, version: MlflowVersion) -> Lineage:
        lineage = super()._lineage(version)
        link = version.run_link or ""
        if lineage.reachable or not link:
            return lineage
        return Lineage(
            reachable=False, run_id=lineage.run_id, reason=f"The run is in another workspace: {link.partition('#')[0]}"
        )


def _workspace_alias(name: str, alias: str) -> str | None:
    """Return the number of the version that an alias names in the workspace registry; None if there is no such alias.

    The request uses REST, because MLflow's client does not support aliases in this registry.

    Raises:
        InputError: The registry has no aliases.
    """
    response = get(_ALIAS_ENDPOINT, {"name": name, "alias": alias})
    data = response.json() if response.content.startswith(b"{") else {}
    if response.status_code == 200:
        return str(data["model_version"]["version"])
    if data.get("error_code") in {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED", None}:
        raise InputError(
            f"The workspace's model registry has no aliases: @{alias} of {name!r} names no version.",
            "Name the version by a stage or a number.",
        )
    if data["error_code"] not in NOT_FOUND_CODES:
        require_success(response)
    return None


def _filter_by_name(run_id: str, name: str) -> str | None:  # noqa: ARG001  # the signature of a ModelFilter
    """Return the filter of a search for logged models: by name, as in MLflow itself.

    Databricks may not support a filter by run. Return None (no filter) for a name with a quote or a backslash, since it
    is not known how to escape them.
    """
    return None if set(name) & set("'\"\\") else f"name = '{name}'"


def _read_all(request_page: Callable[[str | None], PagedList[_T]], noun: str, max_entries: int) -> list[_T]:
    """Return the entries of all pages. The argument of `request_page` is a page token, None for the first page.

    Raises:
        TransferError: A page is repeated, or the listing exceeds a limit.
    """

    def request(token: str) -> tuple[list[_T], str]:
        page = request_page(token or None)
        return list(page), page.token or ""

    return list(read_pages(request, noun, max_entries))
