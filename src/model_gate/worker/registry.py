"""Resolves a model version to the physical locations of its two models.

Only this module resolves names. MLflow's own downloads of `models:/` and `runs:/` URIs resolve them on the process's
global server, even if the URI belongs to another server.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from model_gate.domain.version import Lineage, ModelVersion
from model_gate.errors import ModelError, ModelGateError, NotFoundError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel

STAGES = ("Staging", "Production", "Archived")
_LATEST = "latest"
# A version can be a copy of a copy. A longer chain is taken for a loop.
_MAX_HOPS = 16
NOT_FOUND_CODES = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"})


class RegistryClient:
    """Resolves model versions in the model registry of one tracking server."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def resolve(self, model: str, version_or_stage: str) -> ModelVersion:
        """Return the version, its lineage and the physical URIs of its run model and registry model.

        Args:
            model: Name of the registered model.
            version_or_stage: Number, stage, alias or `latest`.

        Raises:
            NotFoundError: The model, version, stage or alias does not exist. The remedy lists those that exist.
            ModelError: The version is not ready.
            MlflowException: Any other error of the server.
        """
        registered = self._registered_model(model)
        number = self._resolve_number(registered, version_or_stage.strip())
        version = self._get_version(registered, number)
        if version.status not in (None, "READY"):
            raise ModelError(
                f"Version {number} of {model!r} is not ready: its status is {version.status}.",
                "Wait until its registration is finished, or register it again.",
            )
        # The three are independent, and each takes one or two round trips.
        with ThreadPoolExecutor(3) as pool:
            run_model = pool.submit(self._location_or_reason, version.source or "")
            registry_model = pool.submit(self._registry_model, version.name, number)
            lineage = pool.submit(self._lineage, version)
        run_model_uri, run_model_reason = run_model.result()
        download_uri, reg_model_uri, reg_model_reason = registry_model.result()
        return ModelVersion(
            name=version.name,
            version=number,
            stage=_stage_of(version),
            aliases=tuple(sorted(_aliases_of(registered, number))),
            status=version.status or "",
            source=version.source or "",
            download_uri=download_uri,
            run_model_uri=run_model_uri,
            run_model_reason=run_model_reason,
            reg_model_uri=reg_model_uri,
            reg_model_reason=reg_model_reason,
            created=int(version.creation_timestamp or 0),
            lineage=lineage.result(),
        )

    def locate(self, uri: str) -> str:
        """Return the physical URI for a `models:/`, `runs:/` or physical URI.

        Raises:
            NotFoundError: The model, version or run does not exist.
            ModelError: The version's sources form a loop.
        """
        return self._follow_sources(uri)

    def _follow_sources(self, uri: str) -> str:
        """Return the physical URI at the end of a chain of copied versions."""
        for _ in range(_MAX_HOPS):
            scheme, _, rest = uri.partition(":/")
            if scheme == "models":
                uri = self._model_location(uri, rest.strip("/"))
            elif scheme == "runs":
                uri = self._run_location(rest.strip("/"))
            else:
                return uri
        raise ModelError(f"The sources of {uri} form a loop.", "Register the version from a run again.")

    def _model_location(self, uri: str, rest: str) -> str:
        if "/" not in rest and rest.startswith("m-"):
            try:
                return str(self._client.get_logged_model(rest).artifact_location)
            except MlflowException as error:
                raise _not_found(error, f"There is no logged model {rest}, which {uri} points to.") from error
        return self.source(*parse_version_uri(uri, rest))

    def source(self, name: str, version_or_stage: str) -> str:
        """Return the URI that a version was registered from."""
        registered = self._registered_model(name)
        return str(self._get_version(registered, self._resolve_number(registered, version_or_stage)).source)

    def _run_location(self, rest: str) -> str:
        run_id, _, path = rest.partition("/")
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            raise _not_found(error, f"There is no run {run_id}.") from error
        for output in getattr(run.outputs, "model_outputs", None) or ():
            # In MLflow 3 the models of a run are not among its artifacts, but `runs:/ID/NAME` still names them.
            logged = self._client.get_logged_model(output.model_id)
            if logged.name == path:
                return str(logged.artifact_location)
        return "/".join(part for part in (run.info.artifact_uri.rstrip("/"), path) if part)

    def _registry_model(self, name: str, number: str) -> tuple[str, str, str]:
        """Return the download URI of the registry model, its physical URI, and the reason if it has no physical URI."""
        download_uri = self._client.get_model_version_download_uri(name, number)
        return download_uri, *self._location_or_reason(download_uri)

    def _location_or_reason(self, uri: str) -> tuple[str, str]:
        """Return the physical URI, or the reason if there is none."""
        # The error is not raised here, because the gate may only need the other model.
        if not uri:
            return "", "The registry names no location for it."
        try:
            return self._follow_sources(uri), ""
        except ModelGateError as error:
            return "", error.message

    def _registered_model(self, name: str) -> RegisteredModel:
        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            names = self._model_names()
            similar = difflib.get_close_matches(name, names, n=10, cutoff=0.5) or names[:10]
            remedy = f"There is: {_quoted(similar)}." if similar else "The registry has no models yet."
            raise NotFoundError(f"There is no registered model {name!r}.", remedy) from error

    def _model_names(self) -> list[str]:
        """Return the names of up to 200 registered models, for an error message."""
        return [model.name for model in self._client.search_registered_models(max_results=200)]

    def _get_version(self, registered: RegisteredModel, number: str) -> MlflowVersion:
        try:
            return self._client.get_model_version(registered.name, number)
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            message = f"There is no version {number} of {registered.name!r}."
            raise NotFoundError(message, self._available_versions(registered)) from error

    def _resolve_number(self, registered: RegisteredModel, version_or_stage: str) -> str:
        """Return the version number for a number, stage, alias or `latest`."""
        if version_or_stage.isascii() and version_or_stage.isdigit():
            return str(int(version_or_stage))
        latest = registered.latest_versions or []
        stage = next((stage for stage in STAGES if stage.lower() == version_or_stage.lower()), None)
        if stage or version_or_stage.lower() == _LATEST:
            numbers = [int(version.version) for version in latest if stage in (None, version.current_stage)]
            if numbers:
                return str(max(numbers))
            problem = f"no version in stage {stage}" if stage else "no version at all"
            raise NotFoundError(f"{registered.name!r} has {problem}.", self._available_versions(registered))
        alias = version_or_stage.removeprefix("@")
        number = _alias_numbers(registered).get(alias)
        if number is None:
            message = f"{registered.name!r} has no version, stage or alias {version_or_stage!r}."
            raise NotFoundError(message, self._available_versions(registered))
        return number

    def _list_versions(self, name: str) -> list[MlflowVersion]:
        """Return the versions of a registered model."""
        quote = '"' if "'" in name else "'"
        return list(self._client.search_model_versions(f"name={quote}{name}{quote}", max_results=1000))

    def _available_versions(self, registered: RegisteredModel) -> str:
        """Return a remedy that lists the versions, stages and aliases of a registered model."""
        versions = self._list_versions(registered.name)
        numbers = sorted((int(version.version) for version in versions), reverse=True)
        if not numbers:
            return "The registered model has no versions: register one first."
        more = f" and {len(numbers) - 10} older" if len(numbers) > 10 else ""
        parts = [f"versions {', '.join(map(str, numbers[:10]))}{more}"]
        stages = {_stage_of(version): version.version for version in versions if _stage_of(version)}
        if stages:
            parts.append("stages " + ", ".join(f"{stage} ({stages[stage]})" for stage in sorted(stages)))
        aliases = _alias_numbers(registered)
        if aliases:
            parts.append("aliases " + ", ".join(f"@{alias} ({aliases[alias]})" for alias in sorted(aliases)))
        return f"There is: {'; '.join(parts)}."

    def _lineage(self, version: MlflowVersion) -> Lineage:
        run_id = version.run_id
        if not run_id:
            return Lineage(reachable=False, reason="The version names no run.")
        try:
            run = self._client.get_run(run_id)
            experiment = self._client.get_experiment(run.info.experiment_id)
        except MlflowException as error:
            return Lineage(reachable=False, run_id=run_id, reason=f"The run cannot be read: {error.message}")
        tags = run.data.tags
        return Lineage(
            reachable=True,
            run_id=run_id,
            run_name=run.info.run_name or "",
            experiment_id=run.info.experiment_id,
            experiment_name=experiment.name,
            user=run.info.user_id or "",
            git_commit=tags.get("mlflow.source.git.commit", ""),
            git_repo=tags.get("mlflow.source.git.repoURL", ""),
            source_name=tags.get("mlflow.source.name", ""),
            notebook_path=tags.get("mlflow.databricks.notebookPath", ""),
            notebook_revision=tags.get("mlflow.databricks.notebookRevisionID", ""),
        )


def parse_version_uri(uri: str, rest: str) -> tuple[str, str]:
    """Split the path of a `models:/` URI, `NAME/VERSION` or `NAME@ALIAS`, into model and version.

    Args:
        uri: The whole URI, for the error message.
        rest: The path without leading and trailing slashes.

    Raises:
        NotFoundError: The path has no name or no version.

    Example:
        >>> parse_version_uri("models:/Wine@champion", "Wine@champion")
        ('Wine', '@champion')
    """
    name, _, version_or_stage = rest.rpartition("/")
    if not name:
        name, at, alias = rest.partition("@")
        version_or_stage = at + alias
    if not name or not version_or_stage:
        raise NotFoundError(f"{uri} names no model version.", "Write models:/NAME/VERSION or models:/NAME@ALIAS.")
    return name, version_or_stage


def _stage_of(version: MlflowVersion) -> str:
    stage = version.current_stage or ""
    return "" if stage == "None" else stage


def _alias_numbers(registered: RegisteredModel) -> dict[str, str]:
    return {alias: str(number) for alias, number in (registered.aliases or {}).items()}


def _aliases_of(registered: RegisteredModel, number: str) -> Iterable[str]:
    return (alias for alias, aliased in _alias_numbers(registered).items() if aliased == number)


def _not_found(error: MlflowException, message: str) -> Exception:
    if error.error_code not in NOT_FOUND_CODES:
        return error
    return NotFoundError(message, "It may have been deleted. Register the version again from an existing model.")


def _quoted(names: list[Any]) -> str:
    return ", ".join(repr(name) for name in names)
