"""Resolves a model version to the physical locations of its run model and its registry model.

Only this module and `worker.runs` resolve names. MLflow's own downloads of `models:/` and `runs:/` URIs resolve them on
the process's global server, even if the URI belongs to another server.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from model_gate.domain.location import is_local_uri, is_logged_model
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.roles import ModelRole
from model_gate.domain.version import Hop, Lineage, ModelVersion, ResolvedUri, SelectedVersion
from model_gate.errors import InputError, ModelError, ModelGateError, NotFoundError, UnreachableError
from model_gate.worker.artifacts import ArtifactReader
from model_gate.worker.failures import NOT_FOUND_CODES, RUN_NOTE
from model_gate.worker.names import (
    DID_YOU_MEAN,
    MAX_VERSION,
    MIN_LIKENESS,
    STAGES,
    listed_number,
    require_requested,
    similar_models,
)
from model_gate.worker.runs import ModelFilter, RunResolver, filter_by_run, require_ready_model
from model_gate.worker.search import ServerSearch, stage_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel

# What to do about a run or a logged model that does not exist, if the user names it or if it is a version's source.
_CHECK_ID = "Check the ID in the URI. If it is correct, this server no longer has it: name another model."
_DELETED = "It may have been deleted. Register the version again from an existing model."
_LATEST = "latest"
_NO_STAGE = "none"
# Lookups at the same time: a version, its download URI, its two models, and its lineage.
_LOOKUPS = 5
# Maximum number of names between a URI and the files, since a version can be a copy of a copy. More names are an error.
_MAX_HOPS = 16
# Maximum number of registered models that are searched for a similar name.
_MAX_NAMES = 1_000


@dataclass(frozen=True)
class ModelLocation:
    """Location of the run model or the registry model of a version.

    Attributes:
        uri: Physical URI, "" if it could not be resolved.
        hops: The versions, runs and logged models that were resolved on the way to the URI.
        reason: Why the URI could not be resolved, "" if it could.
        remedy: What the user can do about the reason, "" if there is no advice.
    """

    uri: str
    hops: tuple[Hop, ...] = ()
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class _Found:
    """What the registry has of one version."""

    registered: RegisteredModel
    version: MlflowVersion
    number: str
    run_model: ModelLocation
    download_uri: str
    reg_model: ModelLocation
    lineage: Lineage


class RegistryClient:
    """Resolves model versions in the model registry of one tracking server."""

    def __init__(
        self, client: MlflowClient, artifacts: ArtifactReader, model_filter: ModelFilter = filter_by_run
    ) -> None:
        self._client = client
        self._artifacts = artifacts
        self._runs = RunResolver(client, artifacts, model_filter)

    def resolve(self, model: str, version_or_stage: str, models: Collection[ModelRole] = ()) -> ModelVersion:
        """Return the version, its lineage and the physical URIs of its run model and registry model.

        Args:
            model: Name of the registered model.
            version_or_stage: Number, stage, alias or `latest`.
            models: The models of the version that will be listed. Their listings begin as soon as their locations are
                known.

        Raises:
            InputError: `version_or_stage` cannot name a version.
            NotFoundError: The model, version, stage or alias does not exist. The remedy lists those that exist.
            ModelError: The version is not ready.
            MlflowException: Any other error of the server.
        """
        found = self._look_up(model, version_or_stage.strip(), models)
        version, run_model, reg_model = found.version, found.run_model, found.reg_model
        return ModelVersion(
            name=version.name,
            version=found.number,
            stage=stage_of(version),
            aliases=tuple(sorted(_aliases_of(found.registered, found.number))),
            status=version.status or "",
            source=version.source or "",
            download_uri=found.download_uri,
            run_model_uri=run_model.uri,
            run_model_reason=run_model.reason,
            run_model_remedy=run_model.remedy,
            run_model_hops=run_model.hops,
            reg_model_uri=reg_model.uri,
            reg_model_reason=reg_model.reason,
            reg_model_remedy=reg_model.remedy,
            reg_model_hops=reg_model.hops,
            created=int(version.creation_timestamp or 0),
            lineage=found.lineage,
        )

    def _look_up(self, model: str, version_or_stage: str, models: Collection[ModelRole]) -> _Found:
        """Look up a version and all that belongs to it, and begin to list `models` of it.

        Each lookup takes one or two round trips, so all lookups that need no result of another run at the same time.
        """
        # MLflow builds its list of registries at the first use, and a thread that uses it meanwhile finds half of it.
        self._client._get_registry_client()  # type: ignore[no-untyped-call]  # noqa: SLF001
        with _lookup_pool(_LOOKUPS) as pool:
            known = version_number(version_or_stage)
            begun = self._begin_version(pool, model, known) if known else None
            registered = self._registered_model(model)
            number = self._resolve_number(registered, version_or_stage)
            version_lookup, download_uri_lookup = begun or self._begin_version(pool, registered.name, number)
            version = self._get_version(registered, number, version_lookup.result)
            require_ready(version)
            run_model = pool.submit(self._location_or_reason, version.source or "")
            registry_model = pool.submit(self._registry_model, version, download_uri_lookup, run_model)
            lineage = pool.submit(self._lineage, version)
            with _errors_about_run(version.run_id or ""):
                listed: set[str] = set()
                if ModelRole.RUN_MODEL in models:
                    self._begin_list(run_model.result(), listed)
                if ModelRole.REG_MODEL in models:
                    self._begin_list(registry_model.result()[1], listed)
                return _Found(
                    registered, version, number, run_model.result(), *registry_model.result(), lineage.result()
                )

    def _begin_version(self, pool: Executor, name: str, number: str) -> tuple[Future[MlflowVersion], Future[str]]:
        """Begin to look up a version and its download URI."""
        return (
            pool.submit(self._client.get_model_version, name, number),
            pool.submit(self._download_uri, name, number),
        )

    def _download_uri(self, name: str, number: str) -> str:
        # `MlflowClient.get_model_version_download_uri` requests the registered model again, to reject prompts.
        # `_registered_model` rejects them.
        registry = self._client._get_registry_client()  # type: ignore[no-untyped-call]  # noqa: SLF001
        return str(registry.get_model_version_download_uri(name, number))

    def search(
        self, models: str, version_or_stage: str, tags: Mapping[str, str], on_progress: ProgressCallback
    ) -> list[SelectedVersion]:
        """Return the versions that a glob of model names, a version or stage, and tags select, sorted.

        `on_progress` is called with the number of `models` found so far. See `worker.search` for the errors.
        """
        return ServerSearch(self._client, on_progress).search(models, version_or_stage, tags)

    def locate(self, uri: str) -> ResolvedUri:
        """Return the physical URI to which a `models:/` or `runs:/` URI leads, and the names on the way.

        A physical URI is returned as it is.

        Raises:
            InputError: The URI cannot name a version.
            NotFoundError: The model, version or run does not exist.
            ModelError: A version on the way is not ready, the sources form a loop, or the URI is ambiguous.
        """
        resolved = self._follow_sources(uri, is_named=True)
        if resolved.hops and resolved.hops[0].version:
            self._require_one_location(uri, resolved)
        return resolved

    def _require_one_location(self, uri: str, resolved: ResolvedUri) -> None:
        """Check that the registry model and the run model of a version are at the same location.

        Otherwise `uri` is ambiguous: it leads to the run model, at `resolved`, but MLflow loads the registry model.
        """
        run_model, (hop, *later_hops) = resolved
        download_uri = self._download_uri(hop.name, hop.version)
        # A name such as `latest` must not be resolved twice, because it could lead to two different versions.
        if download_uri in {run_model, *(later.uri for later in later_hops[:1])}:
            return
        registry_model, _ = self._follow_sources(download_uri)
        if registry_model.rstrip("/") != run_model.rstrip("/"):
            raise ModelError(
                f"{uri} is ambiguous: the source of version {hop.version} of {hop.name!r} is at {run_model}, and its"
                f" registry model is at {registry_model}.",
                "Name one of the two locations.",
            )

    def version_of(self, name: str, version_or_stage: str) -> MlflowVersion:
        """Return a version of a registered model, by number, stage, alias or `latest`."""
        registered = self._registered_model(name)
        number = self._resolve_number(registered, version_or_stage)
        return self._get_version(registered, number, lambda: self._client.get_model_version(registered.name, number))

    def _follow_sources(self, uri: str, *, is_named: bool = False) -> ResolvedUri:
        """Return the physical URI at the end of a chain of names, and the names. Each name is resolved once.

        Args:
            uri: The URI.
            is_named: Whether the user names the URI. Otherwise, it is the source of a version.
        """
        first = uri
        hops: list[Hop] = []
        while (scheme := uri.partition(":/")[0]) in {"models", "runs"}:
            path = _path_of(uri)
            missing_remedy = _CHECK_ID if is_named and not hops else _DELETED
            if scheme == "runs":
                uri, hop = self._runs.resolve(uri, path, missing_remedy)
            elif is_logged_model(path):
                uri, hop = self._logged_model(uri, path, missing_remedy)
            else:
                uri, hop = self._version_source(uri, path)
            if hop.version and any((hop.name, hop.version) == (seen.name, seen.version) for seen in hops):
                raise ModelError(
                    f"The sources of {first} form a loop at version {hop.version} of {hop.name!r}.",
                    "Register the version from a run again.",
                )
            hops.append(hop)
            if len(hops) > _MAX_HOPS:
                raise ModelError(
                    f"{first} leads through more than {_MAX_HOPS} sources.", "Register the version from a run again."
                )
        return ResolvedUri(uri, tuple(hops))

    def _logged_model(self, uri: str, model_id: str, missing_remedy: str) -> tuple[str, Hop]:
        try:
            model = self._client.get_logged_model(model_id)
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            raise NotFoundError(
                f"There is no logged model {model_id}, which {uri} points to.", missing_remedy
            ) from error
        require_requested("logged model", model_id, model.model_id)
        require_ready_model(model, uri)
        return str(model.artifact_location), Hop(uri, model_id=model_id, status=str(model.status))

    def _version_source(self, uri: str, path: str) -> tuple[str, Hop]:
        version = self.version_of(*parse_version_uri(uri, path))
        require_ready(version, uri)
        if not version.source:
            raise ModelError(
                f"Version {version.version} of {version.name!r}, which {uri} names, has no source.",
                "Register the version from a run again.",
            )
        hop = Hop(uri, name=version.name, version=str(version.version), status=version.status or "")
        return str(version.source), hop

    def _registry_model(
        self,
        version: MlflowVersion,
        download_uri_lookup: Future[str],
        run_model: Future[ModelLocation],
    ) -> tuple[str, ModelLocation]:
        """Return the registry model's download URI, and the physical location to which that URI leads."""
        download_uri = download_uri_lookup.result()
        if download_uri == version.source:
            # `latest` must not be resolved twice, because it could lead to two different versions.
            return download_uri, run_model.result()
        return download_uri, self._location_or_reason(download_uri)

    def _begin_list(self, location: ModelLocation, listed: set[str]) -> None:
        """Begin to list a location, unless it is one of `listed`, and add it there."""
        # The parent process reads local files itself, if it accepts them.
        if location.uri and not is_local_uri(location.uri) and location.uri not in listed:
            self._artifacts.begin_list(location.uri)
        listed.add(location.uri)

    def _location_or_reason(self, uri: str) -> ModelLocation:
        """Return the location to which `uri` leads, or the reason why it leads to none."""
        # The error is not raised here, because the gate may need only the other model of the version.
        if not uri:
            return ModelLocation("", reason="The registry names no location for it.")
        try:
            return ModelLocation(*self._follow_sources(uri))
        except ModelError as error:
            return ModelLocation("", reason=error.message, remedy=error.remedy)
        except ModelGateError as error:
            return ModelLocation("", reason=error.message)

    def _registered_model(self, name: str) -> RegisteredModel:
        try:
            registered = self._client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            remedy = similar_models(name, self._model_names())
            if self._is_prompt(name):
                message = f"{name!r} is a prompt, not a registered model."
                near = f" {remedy}" if remedy.startswith(DID_YOU_MEAN) else ""
                raise NotFoundError(message, f"Name a registered model.{near}") from error
            if name != name.strip():
                remedy = f"Blanks at the ends of a name count. {remedy}"
            raise NotFoundError(f"There is no registered model {name!r}.", remedy) from error
        require_requested("registered model", name, registered.name)
        return registered

    def _model_names(self) -> list[str]:
        """Return the names of up to 1,000 registered models, for an error message."""
        return [model.name for model in self._client.search_registered_models(max_results=_MAX_NAMES)]

    def _is_prompt(self, name: str) -> bool:
        """Return whether the registry has a prompt of this name; False if this is not known."""
        quote = '"' if "'" in name else "'"
        try:
            return bool(self._client.search_prompts(f"name = {quote}{name}{quote}", max_results=1))
        except (MlflowException, AttributeError):
            # The client or the server has no prompts.
            return False

    def _get_version(
        self, registered: RegisteredModel, number: str, look_up: Callable[[], MlflowVersion]
    ) -> MlflowVersion:
        try:
            version = look_up()
        except MlflowException as error:
            if error.error_code not in NOT_FOUND_CODES:
                raise
            message = f"There is no version {number} of {registered.name!r}."
            raise NotFoundError(message, self._available_versions(registered)) from error
        require_requested("version", f"{registered.name}/{number}", f"{version.name}/{version.version}")
        return version

    def _resolve_number(self, registered: RegisteredModel, version_or_stage: str) -> str:
        """Return the number of the version that a number, a stage, an alias or `latest` names."""
        if version_or_stage.isascii() and version_or_stage.isdigit():
            if (number := version_number(version_or_stage)) is None:
                number = version_or_stage.lstrip("0")
                message = f"There is no version {_shortened(number)} of {registered.name!r}."
                raise NotFoundError(message, self._available_versions(registered))
            return number
        if not version_or_stage.removeprefix("@"):
            message = f"{version_or_stage!r} names no version of {registered.name!r}."
            raise InputError(message, self._available_versions(registered))
        if version_or_stage.lower() == _NO_STAGE:
            raise InputError(
                f"{version_or_stage!r} names no version of {registered.name!r}: it is the stage of all versions without"
                " a stage.",
                f"For an alias of that name, write @{version_or_stage}. " + self._available_versions(registered),
            )
        return self._resolve_name(registered, version_or_stage)

    def _resolve_name(self, registered: RegisteredModel, version_or_stage: str) -> str:
        """Return the number of the version that a stage, an alias or `latest` names."""
        latest = registered.latest_versions or []
        stage = next((stage for stage in STAGES if stage.lower() == version_or_stage.lower()), None)
        if stage or version_or_stage.lower() == _LATEST:
            numbers = [listed_number(version.version) for version in latest if stage in (None, version.current_stage)]
            if numbers:
                return str(max(numbers))
            problem = f"no version in stage {stage}" if stage else "no version at all"
            raise NotFoundError(f"{registered.name!r} has {problem}.", self._available_versions(registered))
        alias = version_or_stage.removeprefix("@")
        number = _alias_numbers(registered).get(alias)
        if number is None:
            raise NotFoundError(
                unknown_version(registered.name, version_or_stage), self._available_versions(registered, alias)
            )
        return number

    def _list_versions(self, name: str) -> list[MlflowVersion]:
        """Return the versions of a registered model."""
        quote = '"' if "'" in name else "'"
        return list(self._client.search_model_versions(f"name={quote}{name}{quote}", max_results=1000))

    def _available_versions(self, registered: RegisteredModel, wanted: str = "") -> str:
        """Return a remedy that lists the versions, stages and aliases of a registered model.

        It begins with the stage or the alias whose name is similar to `wanted`, if there is one.
        """
        versions = self._list_versions(registered.name)
        numbers = sorted((listed_number(version.version) for version in versions), reverse=True)
        if not numbers:
            return "The registered model has no versions: register one first."
        more = f" and {len(numbers) - 10} older" if len(numbers) > 10 else ""
        parts = [f"{'version' if len(numbers) == 1 else 'versions'} {', '.join(map(str, numbers[:10]))}{more}"]
        stages = {stage_of(version): version.version for version in versions if stage_of(version)}
        if stages:
            names = ", ".join(f"{stage} ({stages[stage]})" for stage in sorted(stages))
            parts.append(f"{'stage' if len(stages) == 1 else 'stages'} {names}")
        aliases = _alias_numbers(registered)
        if aliases:
            names = ", ".join(f"@{alias} ({aliases[alias]})" for alias in sorted(aliases))
            parts.append(f"{'alias' if len(aliases) == 1 else 'aliases'} {names}")
        forms = {stage.casefold(): stage for stage in stages} | {alias.casefold(): f"@{alias}" for alias in aliases}
        near = difflib.get_close_matches(wanted.casefold(), forms, n=1, cutoff=MIN_LIKENESS) if wanted else []
        hint = f"Did you mean {forms[near[0]]}?" if near else "Name a version that exists."
        return f"{hint} Available: {'; '.join(parts)}."

    def _lineage(self, version: MlflowVersion) -> Lineage:
        run_id = version.run_id
        if not run_id:
            return Lineage(reachable=False, reason="The version names no run.")
        try:
            run = self._client.get_run(run_id)
            require_requested("run", run_id, run.info.run_id)
            experiment = self._client.get_experiment(run.info.experiment_id)
        except (MlflowException, UnreachableError) as error:
            reason = "permission denied (403)." if "error code 403" in error.message else error.message
            return Lineage(reachable=False, run_id=run_id, reason=f"The run cannot be read: {reason}")
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
            lifecycle_stage=run.info.lifecycle_stage or "",
        )


@contextmanager
def _lookup_pool(count: int) -> Iterator[Executor]:
    """Yield an executor. After the block, calls that have not begun are cancelled, and no call is awaited."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _errors_about_run(run_id: str) -> Iterator[None]:
    """Add the ID of a run to an error of the server inside the block, so that a user can find the run."""
    try:
        yield
    except MlflowException as error:
        if run_id:
            error.add_note(f"{RUN_NOTE}{run_id}")
        raise


def parse_version_uri(uri: str, rest: str) -> tuple[str, str]:
    """Return the model name, and the version or `@ALIAS`, from the path of a `models:/` URI.

    Args:
        uri: The whole URI, for the error message.
        rest: The path, `NAME/VERSION` or `NAME@ALIAS`, without leading and trailing slashes.

    Raises:
        NotFoundError: The path has no name or no version.

    Example:
        >>> parse_version_uri("models:/Wine@champion", "Wine@champion")
        ('Wine', '@champion')
    """
    name, _, version_or_stage = rest.rpartition("/")
    if not name:
        # The last "@" starts the alias: a name may contain "@", an alias may not.
        name, at, alias = rest.rpartition("@")
        version_or_stage = at + alias
    if not name or not version_or_stage:
        raise NotFoundError(f"{uri} names no model version.", "Write models:/NAME/VERSION or models:/NAME@ALIAS.")
    return name, version_or_stage


def _path_of(uri: str) -> str:
    """Return the path of a `models:/` or `runs:/` URI, without leading and trailing slashes.

    Raises:
        NotFoundError: The URI has a host, so it belongs to another server.
    """
    scheme, _, rest = uri.partition(":/")
    if rest.startswith("/") and not rest.startswith("//"):
        form = "models:/NAME/VERSION or models:/NAME@ALIAS" if scheme == "models" else "runs:/RUN/NAME"
        raise NotFoundError(f"{uri} names a host, where this server has no models.", f"Write {form}.")
    return rest.strip("/")


def version_number(version_or_stage: str) -> str | None:
    """Return a text as a version number without leading zeros. Return None if it is not one, or is too large.

    Example:
        >>> version_number("007"), version_number("champion")
        ('7', None)
    """
    if not (version_or_stage.isascii() and version_or_stage.isdigit()):
        return None
    number = version_or_stage.lstrip("0") or "0"
    return number if len(number) <= len(str(MAX_VERSION)) and int(number) <= MAX_VERSION else None


def unknown_version(name: str, version_or_stage: str) -> str:
    """Return the message for a registered model that has no such version. Only an alias begins with `@`.

    >>> unknown_version("Wine", "gold"), unknown_version("Wine", "@gold")
    ("'Wine' has no version, stage or alias 'gold'.", "'Wine' has no alias '@gold'.")
    """
    kind = "alias" if version_or_stage.startswith("@") else "version, stage or alias"
    return f"{name!r} has no {kind} {version_or_stage!r}."


def require_ready(version: MlflowVersion, uri: str = "") -> None:
    """Check that the registration of a version is finished.

    Args:
        version: The version.
        uri: The URI that names the version, for the error message; "" if no URI names it.

    Raises:
        ModelError: The version has a status other than READY.
    """
    if version.status not in (None, "READY"):
        via = f", which {uri} names," if uri else ""
        raise ModelError(
            f"Version {version.version} of {version.name!r}{via} is not ready: its status is {version.status}.",
            "Wait until its registration is finished, or register it again.",
        )


def _shortened(number: str) -> str:
    """Return a number as text for a message. A number of more than 40 digits is cut to its first 20."""
    return number if len(number) <= 40 else f"{number[:20]}… ({len(number):,} digits)"


def _alias_numbers(registered: RegisteredModel) -> dict[str, str]:
    return {alias: str(number) for alias, number in (registered.aliases or {}).items()}


def _aliases_of(registered: RegisteredModel, number: str) -> Iterable[str]:
    return (alias for alias, aliased in _alias_numbers(registered).items() if aliased == number)
