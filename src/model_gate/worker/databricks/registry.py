"""Versions in the two model registries of Databricks, which know what open-source MLflow does not, and the reverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from mlflow.exceptions import MlflowException

from model_gate.domain.host import RegistryKind, registry_of
from model_gate.domain.location import split_profile
from model_gate.domain.version import Lineage
from model_gate.errors import InputError, NotFoundError
from model_gate.worker.databricks.rest import get, require_success
from model_gate.worker.registry import MISSING, STAGES, RegistryClient, named_version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.store.entities.paged_list import PagedList

_ALIAS = "/api/2.0/mlflow/registered-models/alias"


class DatabricksRegistryClient(RegistryClient):
    """The registry that is asked about, of the workspace's two."""

    def __init__(self, clients: Mapping[RegistryKind, MlflowClient], kind: RegistryKind) -> None:
        super().__init__(clients[kind])
        self._clients = clients
        self._kind = kind

    def locate(self, uri: str) -> str:
        """The physical URI; for a model version that is the registry's own copy, which only the registry can give.

        Raises:
            NotFoundError: It names something that does not exist.
        """
        scheme, profile, path = split_profile(uri)
        if profile or "://" in uri:
            uri = f"{scheme}:/{path}" if scheme in {"models", "runs", "dbfs"} else uri
        if scheme == "models" and not path.startswith("m-"):
            name, version_or_stage = named_version(uri, path.strip("/"))
            return f"models:/{name}/{self._number(self._registered_model(name), version_or_stage)}"
        return self._origin(uri)

    def _registry_model(self, name: str, number: str) -> tuple[str, str, str]:
        try:
            download_uri = self._client.get_model_version_download_uri(name, number)
        except MlflowException as error:
            return "", "", error.message
        # Not at that URI: the workspace's leads to DBFS, which corrupts small files, and Unity Catalog's to a store
        # that only the registry has the key of.
        return download_uri, f"models:/{name}/{number}", ""

    def _physical_or_reason(self, uri: str) -> tuple[str, str]:
        try:
            return super()._physical_or_reason(uri)
        except MlflowException as error:
            return "", error.message

    def source(self, name: str, version_or_stage: str) -> str:
        """What a version was registered from."""
        kind = registry_of(name, None, None)
        if kind is self._kind:
            return super().source(name, version_or_stage)
        # Such as a version in Unity Catalog that was copied from the workspace's registry.
        return DatabricksRegistryClient(self._clients, kind).source(name, version_or_stage)

    def _names(self) -> list[str]:
        try:
            return [
                model.name for model in _pages(lambda token: self._client.search_registered_models(page_token=token))
            ]
        except MlflowException:
            # They may be other people's: that must not hide which model was not found.
            return []

    def _versions(self, name: str) -> list[MlflowVersion]:
        quote = '"' if "'" in name else "'"
        asked = f"name={quote}{name}{quote}"
        return list(_pages(lambda token: self._client.search_model_versions(asked, page_token=token)))

    def _number(self, registered: RegisteredModel, wanted: str) -> str:
        name = registered.name
        if wanted.isascii() and wanted.isdigit():
            return str(int(wanted))
        if wanted.lower() == "latest":
            numbers = [int(version.version) for version in self._versions(name)]
            if not numbers:
                raise NotFoundError(f"{name!r} has no version at all.", "Register one first.")
            return str(max(numbers))
        is_stage = wanted.lower() in {stage.lower() for stage in STAGES}
        if self._kind is RegistryKind.UNITY_CATALOG:
            if is_stage:
                raise InputError(
                    f"{name!r} is in Unity Catalog, which has no stages: {wanted!r} names no version.",
                    f"Name it by an alias or a number. {self._what_there_is(registered)}",
                )
            return super()._number(registered, wanted)
        if is_stage:
            return super()._number(registered, wanted)
        return self._by_rest_alias(registered, wanted.removeprefix("@"))

    def _by_rest_alias(self, registered: RegisteredModel, alias: str) -> str:
        """The number of an alias in the workspace's registry: MLflow's client refuses to ask, so it is asked here."""
        name = registered.name
        response = get(_ALIAS, {"name": name, "alias": alias})
        data = response.json() if response.content.startswith(b"{") else {}
        if response.status_code == 200:
            return str(data["model_version"]["version"])
        if data.get("error_code") in {"ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED", None}:
            raise InputError(
                f"The workspace's model registry has no aliases: @{alias} of {name!r} names no version.",
                f"Name it by a stage or a number. {self._what_there_is(registered)}",
            )
        if data["error_code"] not in MISSING:
            require_success(response)
        raise NotFoundError(f"{name!r} has no version, stage or alias {alias!r}.", self._what_there_is(registered))

    def _lineage(self, version: MlflowVersion) -> Lineage:
        lineage = super()._lineage(version)
        link = version.run_link or ""
        if lineage.reachable or not link:
            return lineage
        return Lineage(
            reachable=False, run_id=lineage.run_id, reason=f"The run is in another workspace: {link.partition('#')[0]}"
        )


_T = TypeVar("_T")
_MAX_PAGES, _MAX_NAMES = 1_000, 500


def _pages(ask: Callable[[str | None], PagedList[_T]]) -> Iterator[_T]:
    """All entries of all pages: a registry decides itself how many a page has."""
    token: str | None = None
    for _ in range(_MAX_PAGES):
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
