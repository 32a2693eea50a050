"""From a version, as a user names it, to the physical locations of its two models.

Names are resolved here and nowhere else: MLflow's own `models:/` and `runs:/` downloads resolve them on the process's
global server, whatever server they were meant for.
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
# A copy of a copy of a copy: more hops than this are a loop.
_MAX_HOPS = 16
MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"})


class RegistryClient:
    """The model registry of one tracking server."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def resolve(self, model: str, version_or_stage: str) -> ModelVersion:
        """The version, its lineage and the physical URIs of its run model and registry model.

        Raises:
            NotFoundError: No such model, version, stage or alias; the remedy lists what there is.
            ModelError: The version is not ready.
            MlflowException: The server's other refusals.
        """
        registered = self._registered_model(model)
        number = self._number(registered, version_or_stage.strip())
        version = self._version(registered, number)
        if version.status not in (None, "READY"):
            raise ModelError(
                f"Version {number} of {model!r} is not ready: its status is {version.status}.",
                "Wait until its registration is finished, or register it again.",
            )
        # None of the three needs another, and each is a request or two that may come from far away.
        with ThreadPoolExecutor(3) as pool:
            run_model = pool.submit(self._physical_or_reason, version.source or "")
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
        """The physical URI of a `models:/`, `runs:/` or physical one.

        Raises:
            NotFoundError: It names something that does not exist.
            ModelError: It leads in a loop.
        """
        return self._origin(uri)

    def _origin(self, uri: str) -> str:
        """Where the files are that a URI leads to, through versions that were registered from versions."""
        for _ in range(_MAX_HOPS):
            scheme, _, rest = uri.partition(":/")
            if scheme == "models":
                uri = self._of_model(uri, rest.strip("/"))
            elif scheme == "runs":
                uri = self._of_run(rest.strip("/"))
            else:
                return uri
        raise ModelError(f"{uri} is a copy of a copy of … without end.", "Register the version from a run again.")

    def _of_model(self, uri: str, rest: str) -> str:
        if "/" not in rest and rest.startswith("m-"):
            try:
                return str(self._client.get_logged_model(rest).artifact_location)
            except MlflowException as error:
                raise _missing(error, f"There is no logged model {rest}, which {uri} points to.") from error
        return self.source(*named_version(uri, rest))

    def source(self, name: str, version_or_stage: str) -> str:
        """What a version was registered from."""
        registered = self._registered_model(name)
        return str(self._version(registered, self._number(registered, version_or_stage)).source)

    def _of_run(self, rest: str) -> str:
        run_id, _, path = rest.partition("/")
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            raise _missing(error, f"There is no run {run_id}.") from error
        for output in getattr(run.outputs, "model_outputs", None) or ():
            # In MLflow 3 a run's models are kept beside it; `runs:/ID/NAME` still names them.
            logged = self._client.get_logged_model(output.model_id)
            if logged.name == path:
                return str(logged.artifact_location)
        return "/".join(part for part in (run.info.artifact_uri.rstrip("/"), path) if part)

    def _registry_model(self, name: str, number: str) -> tuple[str, str, str]:
        """The download URI of the registry's own copy, its physical URI, and why there is none."""
        download_uri = self._client.get_model_version_download_uri(name, number)
        return download_uri, *self._physical_or_reason(download_uri)

    def _physical_or_reason(self, uri: str) -> tuple[str, str]:
        # One model out of reach must not hide the other: which of them matters is the gate's question.
        if not uri:
            return "", "The registry names no location for it."
        try:
            return self._origin(uri), ""
        except ModelGateError as error:
            return "", error.message

    def _registered_model(self, name: str) -> RegisteredModel:
        try:
            return self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code not in MISSING:
                raise
            names = self._names()
            near = difflib.get_close_matches(name, names, n=10, cutoff=0.5) or names[:10]
            remedy = f"There is: {_quoted(near)}." if near else "The registry has no models yet."
            raise NotFoundError(f"There is no registered model {name!r}.", remedy) from error

    def _names(self) -> list[str]:
        """Some of the registered models there are, for an error to name."""
        return [model.name for model in self._client.search_registered_models(max_results=200)]

    def _version(self, registered: RegisteredModel, number: str) -> MlflowVersion:
        try:
            return self._client.get_model_version(registered.name, number)
        except MlflowException as error:
            if error.error_code not in MISSING:
                raise
            message = f"There is no version {number} of {registered.name!r}."
            raise NotFoundError(message, self._what_there_is(registered)) from error

    def _number(self, registered: RegisteredModel, wanted: str) -> str:
        """The version number that a number, stage, alias or `latest` stands for."""
        if wanted.isascii() and wanted.isdigit():
            return str(int(wanted))
        latest = registered.latest_versions or []
        stage = next((stage for stage in STAGES if stage.lower() == wanted.lower()), None)
        if stage or wanted.lower() == _LATEST:
            numbers = [int(version.version) for version in latest if stage in (None, version.current_stage)]
            if numbers:
                return str(max(numbers))
            what = f"no version in stage {stage}" if stage else "no version at all"
            raise NotFoundError(f"{registered.name!r} has {what}.", self._what_there_is(registered))
        alias = wanted.removeprefix("@")
        number = _alias_numbers(registered).get(alias)
        if number is None:
            message = f"{registered.name!r} has no version, stage or alias {wanted!r}."
            raise NotFoundError(message, self._what_there_is(registered))
        return number

    def _versions(self, name: str) -> list[MlflowVersion]:
        """The versions of a registered model."""
        quote = '"' if "'" in name else "'"
        return list(self._client.search_model_versions(f"name={quote}{name}{quote}", max_results=1000))

    def _what_there_is(self, registered: RegisteredModel) -> str:
        found = self._versions(registered.name)
        numbers = sorted((int(version.version) for version in found), reverse=True)
        if not numbers:
            return "The registered model has no versions: register one first."
        more = f" and {len(numbers) - 10} older" if len(numbers) > 10 else ""
        parts = [f"versions {', '.join(map(str, numbers[:10]))}{more}"]
        stages = {_stage_of(version): version.version for version in found if _stage_of(version)}
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


def named_version(uri: str, rest: str) -> tuple[str, str]:
    """The model and the version that `NAME/VERSION` or `NAME@ALIAS` names.

    Raises:
        NotFoundError: It names none.
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
    return (alias for alias, of in _alias_numbers(registered).items() if of == number)


def _missing(error: MlflowException, message: str) -> Exception:
    if error.error_code not in MISSING:
        return error
    return NotFoundError(message, "It may have been deleted: register the version again from what exists.")


def _quoted(names: list[Any]) -> str:
    return ", ".join(repr(name) for name in names)
