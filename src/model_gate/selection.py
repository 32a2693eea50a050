"""Expands a selection of a gates file to its gates: one for each selected version.

The decisions are here. The searches in registries and the reads of seals are arguments, so this module sends no
requests.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model_gate.domain.gates import AgainstRunModel, AgainstSeals, AgainstServer, Gate, Selection
from model_gate.domain.host import Host, RegistryKind
from model_gate.domain.renaming import Renaming
from model_gate.domain.request import CheckRequest, CompareRequest, VersionRequest
from model_gate.domain.seal import Seal, SealedVersion
from model_gate.domain.version import SelectedVersion
from model_gate.domain.wording import printable
from model_gate.errors import (
    AccessError,
    InputError,
    ModelGateError,
    NotFoundError,
    SealError,
    error_about,
    join_errors,
    storage_error,
)
from model_gate.formats.glob import Glob
from model_gate.inputs.seal_file import read_seal as read_seal_file

# Searches the registry of a server: the host with the registry that is searched, the glob of model names, the version
# or stage, and the tags. Raises a NotFoundError if nothing is selected.
Search = Callable[[Host, str, str, Mapping[str, str]], Sequence[SelectedVersion]]
ReadSeal = Callable[[Path], Seal]
# Returns the names in a directory, none if the directory does not exist.
ListDirectory = Callable[[Path], Iterable[str]]

_SLOT = re.compile(r"\{(model|version)\}")
_MISSING_REMEDY = "Register it there, or correct `rename` or `version_or_stage` under `against`."
_EXTRA_REMEDY = "Remove it there if it is left over, or correct `models`, `rename` or `version_or_stage`."


def list_directory(path: Path) -> list[str]:
    """Return the names in a directory, none if the directory does not exist.

    Raises:
        StorageError: The directory cannot be read.
    """
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise storage_error(error, f"list the directory {printable(str(path))}") from error


def expand(
    selection: Selection,
    search: Search,
    *,
    read_seal: ReadSeal = read_seal_file,
    list_directory: ListDirectory = list_directory,
) -> tuple[Gate, ...]:
    """Return the gates of a selection, at least one, sorted by model and version.

    Each request has the number of the version, so that a gate compares the versions that the search selected, even if
    an alias moves meanwhile. A version without counterpart is a gate with an error. If a search fails, or selects
    nothing, the only gate has the name of the entry and the error.

    Args:
        selection: The selection.
        search: Searches a registry. Called once for the selected server, and for another server once for each glob of
            renamed models.
        read_seal: Reads a seal.
        list_directory: Lists a directory of seals.
    """
    try:
        gates = tuple(_gates(selection, search, read_seal, list_directory))
        if not gates:
            # A gate that looked at nothing must not pass.
            raise NotFoundError(f"{printable(selection.models)!r} selects no version.", "Correct the selection.")
        _require_unique([gate.name for gate in gates])
    except ModelGateError as error:
        return (Gate(selection.entry.name, selection.entry, None, error),)
    return gates


def _gates(selection: Selection, search: Search, read_seal: ReadSeal, list_directory: ListDirectory) -> Iterator[Gate]:
    match selection.against:
        case AgainstServer() as against:
            return _ServerGates(selection, against, search).gates()
        case AgainstSeals(path):
            return _SealGates(selection, path, read_seal, list_directory).gates(_selected(selection, search))
        case AgainstRunModel():
            return _run_model_gates(selection, _selected(selection, search))


def registry_host(host: Host, models: str) -> Host:
    """Return a host with the registry that is searched for a glob of model names.

    A workspace has two registries. Without a choice of the user, a glob with a dot is searched in Unity Catalog, since
    names in the workspace registry have no dots.
    """
    if host.workspace is None or host.workspace.registry is not None:
        return host
    kind = RegistryKind.UNITY_CATALOG if "." in models else RegistryKind.WORKSPACE
    return replace(host, workspace=replace(host.workspace, registry=kind))


def _selected(selection: Selection, search: Search) -> Sequence[SelectedVersion]:
    host = registry_host(selection.host, selection.models)
    try:
        return search(host, selection.models, selection.version_or_stage, selection.tags)
    except ModelGateError as error:
        raise error_about("select", host.address, error, host.server) from error


def _request(host: Host, models: str, version: SelectedVersion) -> VersionRequest:
    """Return the request of a version by its number.

    Raises:
        AccessError: The versions of the model cannot be read.
        InputError: The name of the model does not fit the registry.
    """
    if version.problem:
        raise AccessError(
            f"The versions of {printable(version.model)!r} on {host.address} cannot be read:"
            f" {version.problem.removesuffix('.')}.",
            "Give the login permission to read the model, or select fewer models.",
        )
    return VersionRequest(registry_host(host, models).for_model(version.model), version.model, version.version)


def _run_model_gates(selection: Selection, selected: Sequence[SelectedVersion]) -> Iterator[Gate]:
    for version in selected:
        yield _gate(
            selection,
            version,
            lambda version=version: CheckRequest(  # type: ignore[misc]
                _request(selection.host, selection.models, version), options=selection.options
            ),
        )


def _gate(selection: Selection, version: SelectedVersion, request: Callable[[], CheckRequest | CompareRequest]) -> Gate:
    """Return the gate of a version; its error is what `request` raises."""
    name = _gate_name(selection, version)
    try:
        return Gate(name, selection.entry, replace(request(), config=selection.config))
    except ModelGateError as error:
        return Gate(name, selection.entry, None, error)


def _gate_name(selection: Selection, version: SelectedVersion) -> str:
    """Return `ENTRY/MODEL`, with `/VERSION` if every version is selected."""
    is_numbered = not selection.version_or_stage and version.version
    return "/".join((selection.entry.name, printable(version.model), *((version.version,) if is_numbered else ())))


def _require_unique(names: Sequence[str]) -> None:
    """Verify that no two gates have one name. Names of models that differ can look the same.

    Raises:
        InputError: Two gates have one name.
    """
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(
            f"Two gates would have the name {name}: names of registered models differ only in characters that are not"
            " printable.",
            "Rename one of the models, or select them in two entries.",
        )


@dataclass(frozen=True)
class _Key:
    """What the counterparts on two servers have in common: the name on the other server, and the number or "".

    The number is "" unless versions of the same number belong together.
    """

    model: str
    number: str


class _ServerGates:
    """The gates of a selection against another server."""

    def __init__(self, selection: Selection, against: AgainstServer, search: Search) -> None:
        self._selection = selection
        self._against = against
        self._search = search
        self._renaming = Renaming(against.rename)
        self._models = Glob(selection.models)
        self._choices = selection.version_or_stage, against.version_or_stage or selection.version_or_stage
        # With a version or stage on the other server, each selected version has the same counterpart.
        self._has_same_numbers = not self._choices[1]

    def gates(self) -> Iterator[Gate]:
        """Yield the gates, sorted by model and version.

        Raises:
            ModelGateError: A search fails, or selects nothing on the selected server.
        """
        selected, others, remedy = self._searched()
        counts = Counter(self._renaming.renamed(model) for model in {version.model for version in selected})
        gates = [
            (version.model, version.version, self._compared(version, others, counts, remedy)) for version in selected
        ]
        if not self._selection.tags:
            gates += self._extra(selected, others)
        yield from (gate for _, _, gate in sorted(gates, key=lambda each: (each[0], int(each[1] or 0))))

    def _searched(self) -> tuple[Sequence[SelectedVersion], dict[_Key, SelectedVersion], str]:
        """Return the versions on both servers, and what to do if the other server has none."""
        errors: dict[str, ModelGateError] = {}
        selected: Sequence[SelectedVersion] = ()
        others: dict[_Key, SelectedVersion] = {}
        remedies: list[str] = []
        try:
            selected = _selected(self._selection, self._search)
        except ModelGateError as error:
            errors["select"] = error
        try:
            # Even after an error of the selected server, so that one run shows the errors of both servers.
            for glob in self._renaming.renamed_globs(self._selection.models):
                try:
                    found = self._search(registry_host(self._against.host, glob), glob, self._choices[1], {})
                except NotFoundError as error:
                    # The gates say what is missing.
                    remedies.append(error.remedy)
                    continue
                others |= {self._key(version): version for version in found}
        except ModelGateError as error:
            errors["against"] = error_about("against", self._against.host.address, error, self._against.host.server)
        if errors:
            raise join_errors(errors)
        return selected, others, "" if others else " ".join(remedies)

    def _key(self, version: SelectedVersion) -> _Key:
        return _Key(version.model, version.version if self._has_same_numbers else "")

    def _compared(
        self, version: SelectedVersion, others: Mapping[_Key, SelectedVersion], counts: Mapping[str, int], remedy: str
    ) -> Gate:
        """Return the gate of a selected version."""

        def request() -> CompareRequest:
            selection, against = self._selection, self._against
            left = _request(selection.host, selection.models, version)
            name = self._renaming.renamed(version.model)
            if counts[name] > 1:
                raise InputError(
                    f"`rename` leads from {printable(version.model)!r} and from another selected model to"
                    f" {printable(name)!r}.",
                    "Correct `rename`, so that each model has a counterpart of its own.",
                )
            number = version.version if self._has_same_numbers else ""
            other = others.get(_Key(name, number)) or others.get(_Key(name, ""))
            if other is None:
                raise self._missing(version, name, remedy)
            right = _request(against.host, name, other)
            if left == right:
                raise InputError(
                    f"{_title(version)} would be compared with itself.",
                    "Name another server or another version under `against`, or rename the models.",
                )
            return CompareRequest(
                left, right, selection.compare_run_models, selection.compare_reg_models, options=selection.options
            )

        return _gate(self._selection, version, request)

    def _missing(self, version: SelectedVersion, name: str, remedy: str) -> NotFoundError:
        choice = self._choices[1] or version.version
        return NotFoundError(
            f"{_title(version)} on {_place(self._selection.host)} has no counterpart on {_place(self._against.host)}:"
            f" {_wanted(name, choice)} is missing there.",
            remedy or _MISSING_REMEDY,
        )

    def _extra(
        self, selected: Sequence[SelectedVersion], others: Mapping[_Key, SelectedVersion]
    ) -> list[tuple[str, str, Gate]]:
        """Return a gate with an error for each version on the other server without a selected counterpart.

        If tags select, the list is empty: a version without counterpart may be one without these tags.
        """
        selected_numbers = _numbers(selected, self._renaming.renamed)
        extra = []
        for other in others.values():
            original = next(filter(self._models.matches, self._renaming.originals(other.model)), None)
            numbers = selected_numbers.get(other.model)
            is_known = numbers is not None and (
                not self._has_same_numbers or not {other.version, ""}.isdisjoint(numbers) or not other.version
            )
            if original is None or is_known:
                continue
            number = other.version if self._has_same_numbers else ""
            missing = _wanted(original, self._choices[0] or number)
            error = NotFoundError(
                f"{_title(other)} on {_place(self._against.host)} has no counterpart on"
                f" {_place(self._selection.host)}: {missing} is missing there.",
                _EXTRA_REMEDY,
            )
            name = _gate_name(self._selection, replace(other, model=original, version=number))
            extra.append((original, number, Gate(name, self._selection.entry, None, error)))
        return extra


class _SealGates:
    """The gates of a selection against seals.

    Args:
        selection: The selection.
        path: Path of the seals with `{model}`, and possibly `{version}`.
        read_seal: Reads a seal.
        list_directory: Lists a directory.
    """

    def __init__(self, selection: Selection, path: str, read_seal: ReadSeal, list_directory: ListDirectory) -> None:
        self._selection = selection
        self._path = path
        self._read_seal = read_seal
        self._list_directory = list_directory

    def gates(self, selected: Sequence[SelectedVersion]) -> Iterator[Gate]:
        """Yield the gates of the selected versions, then those of seals without a selected model.

        If tags select, only the selected versions have gates: a seal without counterpart may be of a model without
        these tags.

        Raises:
            InputError: The path does not name the model.
            StorageError: The directory of the seals cannot be read.
        """
        if "{model}" not in self._path:
            raise InputError(
                f"The path of the seals {printable(self._path)!r} does not name the model.",
                'Write, for example, seals: "seals/{model}.json".',
            )
        for version in selected:
            yield _gate(self._selection, version, lambda version=version: self._compared(version))  # type: ignore[misc]
        if not self._selection.tags:
            yield from self._extra(_numbers(selected))

    def _compared(self, version: SelectedVersion) -> CompareRequest:
        request = _request(self._selection.host, self._selection.models, version)
        path = self._seal_path(version)
        seal = self._read_seal(Path(path))
        seal.require_registered_model(version.model, "Seal the model again, or correct the path of the seals.")
        return CompareRequest(SealedVersion(seal), request, compare_run_models=False, options=self._selection.options)

    def _seal_path(self, version: SelectedVersion) -> str:
        """Return the path of the seal of a version.

        Raises:
            SealError: The name of the model cannot be a part of a path.
        """
        # The name comes from a server, which must not choose a file elsewhere.
        if version.model in {".", ".."} or set(version.model) & set("/\\\0"):
            raise SealError(
                f"The name {printable(version.model)!r} cannot be a part of the path of a seal.",
                "Compare this model with its seal in an entry of its own: check and seal.",
            )
        values = {"model": version.model, "version": version.version}
        return _SLOT.sub(lambda slot: values[slot[1]], self._path)

    def _extra(self, selected: Mapping[str, set[str]]) -> Iterator[Gate]:
        """Yield a gate with an error for each seal of a model that the glob matches and that is not selected.

        With every version selected and `{version}` in the path, also for each seal of another version.
        """
        glob = Glob(self._selection.models)
        names: set[str] = set()
        for path, model, number in self._seals():
            has_version = bool(number) and not self._selection.version_or_stage
            is_selected = model in selected and (not has_version or not {number, ""}.isdisjoint(selected[model]))
            name = _gate_name(self._selection, SelectedVersion(model, number))
            if is_selected or not glob.matches(model) or name in names:
                continue
            names.add(name)
            error = NotFoundError(
                f"The seal {printable(path)} has no counterpart on {_place(self._selection.host)}:"
                f" {_wanted(model, self._selection.version_or_stage or number)} is missing there.",
                "Remove the seal if the model is retired, or correct `models` or `version_or_stage`.",
            )
            yield Gate(name, self._selection.entry, None, error)

    def _seals(self) -> list[tuple[str, str, str]]:
        """Return the path, the model and the version of each seal that the path can name; "" for no version."""
        found: list[tuple[str, dict[str, str]]] = [("", {})]
        for part in self._path.split("/"):
            found = [
                (os.path.join(directory, name), known | values)
                for directory, known in found
                for name, values in self._names(directory, part)
                if all(known.get(slot, value) == value for slot, value in values.items())
            ]
        return [(path, values["model"], values.get("version", "")) for path, values in found]

    def _names(self, directory: str, part: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield the names in a directory that match a part of the path, with the texts of its placeholders."""
        if not _SLOT.search(part):
            yield part, {}
            return
        pattern = _part_pattern(part)
        for name in self._list_directory(Path(directory)):
            if match := pattern.fullmatch(name):
                yield name, match.groupdict()


def _part_pattern(part: str) -> re.Pattern[str]:
    """Return the expression that matches a name in a directory. A placeholder that comes again has the same text."""
    expression = ""
    seen: set[str] = set()
    for text, slot in re.findall(r"(.*?)(?:\{(model|version)\}|\Z)", part, re.DOTALL):
        expression += re.escape(text)
        if slot:
            content = r"[1-9][0-9]*" if slot == "version" else ".+"
            expression += f"(?P={slot})" if slot in seen else f"(?P<{slot}>{content})"
            seen.add(slot)
    return re.compile(expression, re.DOTALL)


def _numbers(selected: Iterable[SelectedVersion], name_of: Callable[[str], str] = str) -> dict[str, set[str]]:
    """Return the numbers of the selected versions by model, whose name is that of `name_of`."""
    numbers: defaultdict[str, set[str]] = defaultdict(set)
    for version in selected:
        numbers[name_of(version.model)].add(version.version)
    return dict(numbers)


def _title(version: SelectedVersion) -> str:
    number = f" version {version.version}" if version.version else ""
    return f"{printable(version.model)!r}{number}"


def _wanted(model: str, choice: str) -> str:
    """Return a model and which version of it, as in `'Wine' with @champion`; `choice` is "" for any version."""
    if not choice:
        return repr(printable(model))
    if choice.lower() == "latest":
        return f"any version of {printable(model)!r}"
    is_number = choice.isascii() and choice.isdigit()
    return f"{printable(model)!r} {'version ' if is_number else 'with '}{printable(choice)}"


def _place(host: Host) -> str:
    return f"{host.server} ({host.address})" if host.server else host.address
