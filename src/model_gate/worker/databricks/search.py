"""Searches the two registries of a Databricks workspace for the versions that a selection names by pattern.

Their listings of registered models lack what open-source MLflow's have, so each model takes requests of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.version import SelectedVersion
from model_gate.domain.wording import printable
from model_gate.errors import InputError, TransferError
from model_gate.formats.glob import Glob
from model_gate.worker.databricks.rest import get_json
from model_gate.worker.names import listed_number
from model_gate.worker.pages import read_pages
from model_gate.worker.search import (
    FoundModel,
    FoundVersion,
    RegistrySearch,
    VersionChoice,
    filterable_prefix,
    require_complete,
)

_T = TypeVar("_T")
_R = TypeVar("_R")
_MODELS_ENDPOINT = "/api/2.1/unity-catalog/models"
# Requests that are sent at the same time.
_THREADS = 8
_FORBIDDEN = "PERMISSION_DENIED"


class _DatabricksSearch(RegistrySearch):
    """A search in either registry, which reads the versions of each model with requests of its own."""

    def _selected(self, model: FoundModel, choice: VersionChoice, tags: Mapping[str, str]) -> list[SelectedVersion]:
        try:
            return super()._selected(model, choice, tags)
        except MlflowException as error:
            # One model that this login may not read does not hide the others.
            if error.error_code != _FORBIDDEN:
                raise
            return super()._selected(replace(model, problem=error.message), choice, tags)

    def _map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
        pool = ThreadPoolExecutor(_THREADS)
        try:
            for number, result in enumerate(pool.map(function, items), start=1):
                self._deadline.require()
                self._on_progress({"versions": number})
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _versions_of(self, model: FoundModel) -> list[FoundVersion]:
        quote = '"' if "'" in model.name else "'"
        query = f"name={quote}{model.name}{quote}"
        versions = self._read_versions(lambda token: self._client.search_model_versions(query, page_token=token))
        found = [self._version(version) for version in versions]
        require_complete(model, (version.number for version in found))
        return found

    def _version(self, version: Any) -> FoundVersion:
        """Return the data of a listed version."""
        return FoundVersion.of(version)


class WorkspaceSearch(_DatabricksSearch):
    """A search in the workspace registry.

    Args:
        client: The client of the workspace registry.
        find_alias: Returns the number of the version that an alias of a model names, None if there is no such alias.
            Raises an InputError if the registry has no aliases.
        on_progress: Called with the number of `models` or `versions` found so far.
        limits: The upper bounds of the search.
    """

    def __init__(
        self,
        client: MlflowClient,
        find_alias: Callable[[str, str], str | None],
        on_progress: ProgressCallback = lambda _: None,
        limits: Limits = LIMITS,
    ) -> None:
        super().__init__(client, on_progress, limits)
        self._find_alias = find_alias

    def _list_models(self, glob: Glob) -> Iterator[FoundModel]:
        # The API takes LIKE as a search for a part of the name, which finds more.
        prefix = filterable_prefix(glob)
        query = f"name LIKE '{prefix}%'" if prefix else None
        return self._read_models(
            lambda token: self._client.search_registered_models(
                query, max_results=self._limits.search_page, page_token=token
            )
        )

    def _other_names(self) -> list[str]:
        return [model.name for model in self._client.search_registered_models()]

    def _alias_number(self, model: FoundModel, alias: str) -> int | None:
        number = self._find_alias(model.name, alias)
        return None if number is None else listed_number(number)


class CatalogSearch(_DatabricksSearch):
    """A search in Unity Catalog."""

    def _require_choice(self, choice: VersionChoice) -> None:
        if choice.stage:
            raise InputError(
                f"Unity Catalog has no stages: {choice.text!r} selects no version.",
                "Select the versions by an alias (@ALIAS) or by latest.",
            )

    def _list_models(self, glob: Glob) -> Iterator[FoundModel]:
        """Yield the models of the glob's catalog and schema; if it does not name both, those of the whole metastore.

        The listing includes models that the login may only browse, so that no model is left out in silence.
        """
        parameters = {"max_results": str(self._limits.search_page), "include_browse": "true", **_schema_of(glob)}
        count = 0

        def request_page(token: str) -> tuple[list[Any], str]:
            nonlocal count
            data = get_json(_MODELS_ENDPOINT, parameters | ({"page_token": token} if token else {}))
            entries, next_token = data.get("registered_models", []), data.get("next_page_token") or ""
            if not isinstance(entries, list) or not isinstance(next_token, str):
                raise _malformed()
            count += len(entries)
            self._on_progress({"models": count})
            return entries, next_token

        entries = read_pages(request_page, "registered model", self._limits.search_models, self._limits, self._deadline)
        return map(_catalog_model, entries)

    def _alias_number(self, model: FoundModel, alias: str) -> int | None:
        # The listing has no aliases.
        return FoundModel.of(self._client.get_registered_model(model.name)).aliases.get(alias)

    def _version(self, version: Any) -> FoundVersion:
        # The listing of versions has neither tags nor stages.
        return FoundVersion(listed_number(version.version))


def _schema_of(glob: Glob) -> dict[str, str]:
    """Return the parameters for the catalog and the schema, none if the glob does not name both."""
    *names, _ = glob.prefix.split(".")
    return {"catalog_name": names[0], "schema_name": names[1]} if len(names) == 2 else {}


def _catalog_model(data: Any) -> FoundModel:
    name = data.get("full_name") if isinstance(data, dict) else None
    if not isinstance(name, str) or not name:
        raise _malformed()
    if data.get("browse_only"):
        return FoundModel(name, problem=f"the login may browse {printable(name)!r}, but not read its versions")
    return FoundModel(name)


def _malformed() -> TransferError:
    return TransferError(
        "The workspace sends a list of registered models in a form that is not known.",
        "Check the address of the workspace, and any proxy in front of it.",
    )
