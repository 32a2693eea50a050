"""Searches the registry of one tracking server for the versions that a selection names by pattern.

The server filters as far as its API can. The glob always decides here, so a server that filters less changes nothing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.version import SelectedVersion
from model_gate.domain.wording import plural, printable
from model_gate.errors import InputError, NotFoundError, TransferError
from model_gate.formats.glob import Glob
from model_gate.worker.names import MAX_VERSION, STAGES, listed_number, models_similar_to_glob
from model_gate.worker.pages import Deadline, RequestPage, read_pages, unique

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.store.entities.paged_list import PagedList

_T = TypeVar("_T")
_R = TypeVar("_R")
# Text that every store of every MLflow takes literally in a filter with LIKE, except `_`, which matches more there.
_FILTERABLE = re.compile(r"[A-Za-z0-9._-]*")
# Aliases that an error lists.
_MAX_ALIASES = 10


@dataclass(frozen=True)
class FoundModel:
    """A registered model in the listing of a registry.

    Attributes:
        name: Its name.
        aliases: Version numbers by alias, as far as the listing has them.
        latest: Stages by version number, of the latest version in each stage, as far as the listing has them.
        problem: Why its versions cannot be read; "" if no reason is known.
    """

    name: str
    aliases: Mapping[str, int] = field(default_factory=dict)
    latest: Mapping[int, str] = field(default_factory=dict)
    problem: str = ""

    @classmethod
    def of(cls, registered: RegisteredModel) -> FoundModel:
        """Return the data of MLflow's object."""
        aliases = {alias: listed_number(number) for alias, number in (registered.aliases or {}).items()}
        latest = {listed_number(version.version): stage_of(version) for version in registered.latest_versions or ()}
        return cls(registered.name, aliases, latest)


@dataclass(frozen=True)
class FoundVersion:
    """A version of a registered model.

    Attributes:
        number: Its number.
        stage: Its stage, "" if it has none or if the stage is not known.
        tags: Its tags; None if they are not known.
    """

    number: int
    stage: str = ""
    tags: Mapping[str, str] | None = None

    @classmethod
    def of(cls, version: MlflowVersion) -> FoundVersion:
        """Return the data of MLflow's object, with its tags."""
        return cls(listed_number(version.version), stage_of(version), dict(version.tags or {}))


@dataclass(frozen=True)
class VersionChoice:
    """Which versions of a registered model are selected.

    Attributes:
        text: Number, stage, alias or `latest`, as the user wrote it; "" for every version.
    """

    text: str

    @property
    def is_every(self) -> bool:
        """Whether every version is selected."""
        return not self.text

    @property
    def number(self) -> int | None:
        """The number, None if the text is no number."""
        return int(self.text) if self.text.isascii() and self.text.isdigit() else None

    @property
    def stage(self) -> str:
        """The stage in the registry's spelling, "" if the text is no stage."""
        return next((stage for stage in STAGES if stage.lower() == self.text.lower()), "")

    @property
    def is_latest(self) -> bool:
        """Whether the version with the highest number is selected."""
        return self.text.lower() == "latest"

    @property
    def alias(self) -> str:
        """The alias, "" if the text is something else."""
        is_other = self.is_every or self.number is not None or self.stage or self.is_latest
        return "" if is_other else self.text.removeprefix("@")

    @property
    def title(self) -> str:
        """What a selected version must be, as in `version in stage Production`."""
        if self.number is not None:
            return f"version {self.number}"
        if self.alias:
            return f"version with the alias @{printable(self.alias)}"
        return f"version in stage {self.stage}" if self.stage else "version"

    @classmethod
    def parse(cls, text: str) -> VersionChoice:
        """Return the choice that a text names.

        Raises:
            InputError: The text names no versions.
        """
        text = text.strip()
        # Python rejects the conversion of very long numbers.
        is_number = text.isascii() and text.isdigit()
        is_too_large = is_number and (len(text) > len(str(MAX_VERSION)) or int(text) > MAX_VERSION)
        if text == "@" or text.lower() == "none" or is_too_large:
            raise InputError(
                f"version_or_stage: {printable(text)!r} selects no version.",
                "Write @ALIAS, a stage, latest or a number, or leave it out to select every version.",
            )
        return cls(text)


class RegistrySearch(ABC):
    """One search in a registry. Subclasses know the API of the registry."""

    def __init__(
        self, client: MlflowClient, on_progress: ProgressCallback = lambda _: None, limits: Limits = LIMITS
    ) -> None:
        self._client = client
        self._on_progress = on_progress
        self._limits = limits
        self._deadline = Deadline(limits)

    def search(self, models: str, version_or_stage: str, tags: Mapping[str, str]) -> list[SelectedVersion]:
        """Return the selected versions, sorted by model and number.

        A model whose versions this login may not read is an entry with a problem.

        Args:
            models: Glob of the names of registered models.
            version_or_stage: An alias, a stage, a number or `latest`; "" for every version.
            tags: Tags that a selected version has.

        Raises:
            InputError: `version_or_stage` names nothing in this registry.
            NotFoundError: Nothing is selected.
            TransferError: The registry lists something twice, or more than the limits allow.
            MlflowException: Any other error of the server.
        """
        choice = VersionChoice.parse(version_or_stage)
        self._require_choice(choice)
        glob = Glob(models)
        listed = list(unique(self._list_models(glob), lambda model: model.name, "registered model"))
        matching = sorted((model for model in listed if glob.matches(model.name)), key=lambda model: model.name)
        if not matching:
            raise NotFoundError(
                f"No registered model matches {printable(models)!r}.",
                models_similar_to_glob(models, [model.name for model in listed] or self._other_names()),
            )
        self._prepare(glob, matching, choice, tags)
        selected = [
            version
            for versions in self._map(lambda model: self._selected(model, choice, tags), matching)
            for version in versions
        ]
        if not selected:
            raise _nothing_selected(models, matching, choice, tags)
        if len(selected) > self._limits.search_versions:
            raise TransferError(
                f"{printable(models)!r} selects more than {self._limits.search_versions:,} versions.",
                "Select fewer models.",
            )
        return selected

    def _selected(self, model: FoundModel, choice: VersionChoice, tags: Mapping[str, str]) -> list[SelectedVersion]:
        if model.problem:
            return [SelectedVersion(model.name, "", problem=model.problem)]
        versions = sorted(self._chosen(model, choice), key=lambda version: version.number)
        return [
            SelectedVersion(
                model.name,
                str(version.number),
                tuple(sorted(alias for alias, number in model.aliases.items() if number == version.number)),
                version.stage,
            )
            for version in versions
            if not tags or tags.items() <= self._tags_of(model, version).items()
        ]

    def _chosen(self, model: FoundModel, choice: VersionChoice) -> list[FoundVersion]:
        if choice.is_every or choice.number is not None:
            return [version for version in self._versions_of(model) if choice.number in (None, version.number)]
        if choice.is_latest:
            number = self._latest_number(model)
        elif choice.stage:
            number = max((number for number, stage in model.latest.items() if stage == choice.stage), default=None)
        else:
            number = self._alias_number(model, choice.alias)
        return [] if number is None else [FoundVersion(number, model.latest.get(number, ""))]

    def _require_choice(self, choice: VersionChoice) -> None:  # noqa: B027
        """Raise an InputError if the registry cannot have what the choice names."""

    @abstractmethod
    def _list_models(self, glob: Glob) -> Iterable[FoundModel]:
        """Yield the registered models that the glob matches, and possibly others."""

    def _other_names(self) -> list[str]:
        """Return names of registered models that `_list_models` does not list, for an error message."""
        return []

    def _prepare(  # noqa: B027
        self, glob: Glob, models: list[FoundModel], choice: VersionChoice, tags: Mapping[str, str]
    ) -> None:
        """Send the requests that concern all models together."""

    def _map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
        """Yield the results of a function, in the order of the items. The function may send requests."""
        return map(function, items)

    def _alias_number(self, model: FoundModel, alias: str) -> int | None:
        """Return the number of the version that an alias of the model names; None if the model has no such alias."""
        return model.aliases.get(alias)

    def _latest_number(self, model: FoundModel) -> int | None:
        """Return the highest version number; None if the model has no versions."""
        return max((version.number for version in self._versions_of(model)), default=None)

    @abstractmethod
    def _versions_of(self, model: FoundModel) -> Iterable[FoundVersion]:
        """Return all versions of the model."""

    def _tags_of(self, model: FoundModel, version: FoundVersion) -> Mapping[str, str]:
        """Return the tags of a version."""
        if version.tags is not None:
            return version.tags
        return FoundVersion.of(self._client.get_model_version(model.name, str(version.number))).tags or {}

    def _read_models(self, request: Callable[[str | None], PagedList[RegisteredModel]]) -> Iterator[FoundModel]:
        """Yield the registered models of all pages that MLflow's client requests."""
        page = self._page(request, "models")
        entries = read_pages(page, "registered model", self._limits.search_models, self._limits, self._deadline)
        return map(FoundModel.of, entries)

    def _read_versions(self, request: Callable[[str | None], PagedList[MlflowVersion]]) -> Iterator[MlflowVersion]:
        """Yield the versions of all pages that MLflow's client requests."""
        page = self._page(request, "versions")
        entries = read_pages(page, "model version", self._limits.search_versions, self._limits, self._deadline)
        return unique(entries, lambda version: f"{version.name} {version.version}", "model version")

    def _page(self, request: Callable[[str | None], PagedList[_T]], name: str) -> RequestPage[_T]:
        """Return a function that requests a page of entries, and reports how many entries have been found."""
        count = 0

        def request_page(token: str) -> tuple[list[_T], str]:
            nonlocal count
            page = request(token or None)
            count += len(page)
            # The parent waits as long as messages arrive.
            self._on_progress({name: count})
            return list(page), page.token or ""

        return request_page


class ServerSearch(RegistrySearch):
    """A search in the registry of an open-source MLflow server, database or file store.

    It takes the pages of the registered models and, for every version, a number or tags, those of the versions.
    """

    def _list_models(self, glob: Glob) -> Iterator[FoundModel]:
        return self._read_models(
            lambda token: self._client.search_registered_models(
                _name_filter(glob), max_results=self._limits.search_page, page_token=token
            )
        )

    def _other_names(self) -> list[str]:
        # One page is enough for a message.
        page = self._client.search_registered_models(max_results=self._limits.search_page)
        return [model.name for model in page]

    def _prepare(self, glob: Glob, models: list[FoundModel], choice: VersionChoice, tags: Mapping[str, str]) -> None:
        if not (choice.is_every or choice.number is not None or tags):
            return
        versions: defaultdict[str, dict[int, FoundVersion]] = defaultdict(dict)
        for version in self._read_versions(
            lambda token: self._client.search_model_versions(
                _name_filter(glob), max_results=self._limits.search_page, page_token=token
            )
        ):
            versions[version.name][listed_number(version.version)] = FoundVersion.of(version)
        self._versions = {model.name: versions[model.name] for model in models}
        for model in models:
            require_complete(model, self._versions[model.name])

    def _latest_number(self, model: FoundModel) -> int | None:
        return max(model.latest, default=None)

    def _versions_of(self, model: FoundModel) -> Iterable[FoundVersion]:
        return self._versions[model.name].values()

    def _tags_of(self, model: FoundModel, version: FoundVersion) -> Mapping[str, str]:
        listed = self._versions[model.name].get(version.number)
        if listed is None:
            raise _incomplete(model, version.number)
        return listed.tags or {}


def require_complete(model: FoundModel, numbers: Iterable[int]) -> None:
    """Verify that a listing of versions has the latest version of each stage, which the listing of models names.

    Raises:
        TransferError: A version is missing, so the listing is cut, or the version was deleted during the search.
    """
    missing = set(model.latest) - set(numbers)
    if missing:
        raise _incomplete(model, min(missing))


def _incomplete(model: FoundModel, number: int) -> TransferError:
    return TransferError(
        f"The server names version {number} of {printable(model.name)!r}, but its list of versions lacks it.",
        "The registry may have changed during the search: run again. If the error stays, check the server.",
    )


def _name_filter(glob: Glob) -> str | None:
    """Return a filter of MLflow for the names that the glob matches, and possibly others; None for all names."""
    prefix = filterable_prefix(glob)
    if glob.is_literal and prefix == glob.prefix:
        return f"name = '{prefix}'"
    return f"name LIKE '{prefix}%'" if prefix else None


def filterable_prefix(glob: Glob) -> str:
    """Return the text with which all names begin that the glob matches, as far as a filter can have it."""
    match = _FILTERABLE.match(glob.prefix)
    return match.group() if match else ""


def _nothing_selected(
    models: str, matching: list[FoundModel], choice: VersionChoice, tags: Mapping[str, str]
) -> NotFoundError:
    """Return the error for registered models that match, but have no version that is selected."""
    wanted = choice.title
    if tags:
        wanted += " with " + ", ".join(f"{printable(key)}={printable(value)}" for key, value in tags.items())
    if len(matching) == 1:
        subject = f"{printable(matching[0].name)!r} matches {printable(models)!r}, but has no {wanted}."
    else:
        subject = f"{plural(len(matching), 'registered model')} match {printable(models)!r}, but none has a {wanted}."
    aliases = sorted({alias for model in matching for alias in model.aliases})
    stages = [stage for stage in STAGES if any(stage in model.latest.values() for model in matching)]
    names = [*(f"@{printable(alias)}" for alias in aliases[:_MAX_ALIASES]), *stages]
    remedy = f"These models have {', '.join(names)}." if names else "These models have no aliases or stages."
    if choice.is_every and not tags:
        remedy = "Register a version first."
    return NotFoundError(subject, remedy)


def stage_of(version: MlflowVersion) -> str:
    """Return the stage of a version, "" if it has none."""
    stage = version.current_stage or ""
    return "" if stage == "None" else stage
