"""Reads gates files: the gates and the selections of a run."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from model_gate.access.declared import Declarations
from model_gate.domain.gates import AgainstRunModel, AgainstSeals, AgainstServer, Entry, Gate, Selection
from model_gate.domain.host import Host
from model_gate.domain.ignore import checked_ignore
from model_gate.domain.renaming import Renaming
from model_gate.domain.request import CheckRequest, CompareRequest, ConfigFile, GateOptions
from model_gate.domain.seal import Seal
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import ConfigError, InputError, ModelGateError
from model_gate.formats.glob import Glob
from model_gate.inputs.compare_file import compare_config
from model_gate.inputs.gate_entry import KIND, RUN_MODEL, EntryKind, ParsedEntry, parse_entries
from model_gate.inputs.options import (
    CommonOptions,
    CompareOptions,
    compare_config_request,
    compared_models,
    gate_options,
    host_notices,
)
from model_gate.inputs.seal_file import read_seal
from model_gate.inputs.version_entry import NamedServers, named_registry, seal_path, version_request
from model_gate.inputs.version_name import checked_version_name
from model_gate.inputs.yaml_source import Source, read_text

_NOUN = KIND.name
_NO_OPTIONS = CompareOptions()
_PLACE = re.compile(r"\{([^{}]*)\}")
_PLACES = ("model", "version")


@dataclass(frozen=True)
class GatesFile:
    """The content of one or more gates files.

    Attributes:
        entries: The gates and the selections in the order of the files. An entry that cannot be used is a gate with an
            error.
        files: The files.
    """

    entries: tuple[Gate | Selection, ...]
    files: tuple[ConfigFile, ...]


def read_gates(
    paths: Iterable[Path],
    common: CommonOptions,
    environment: Mapping[str, str],
    models: CompareOptions = _NO_OPTIONS,
) -> GatesFile:
    """Read gates files. A compare file is read as one gate with the name of the file.

    Args:
        paths: The files.
        common: The options that all commands have. They win over the files.
        environment: Variables that declare servers, and that contain Databricks logins or the path of a file with them.
        models: The options about run models and registry models. They win over the files.

    Raises:
        ConfigError: A file cannot be read or breaks its schema, or two entries have the same name.
        InputError: No file is named, an option cannot be used, or a variable declares a server that cannot be used.
    """
    paths = tuple(paths)
    if not paths:
        raise InputError("No gates file is named.", "Name the YAML file with the gates: --config-file gates.yaml.")
    seen: set[str] = set()
    for path in paths:
        if os.path.abspath(path) in seen:
            raise InputError(f"The gates file {printable(str(path))} is named twice.", "Name each file once.")
        seen.add(os.path.abspath(path))
    texts = [(str(path), read_text(path, KIND)) for path in paths]
    return parse_gates(texts, common, environment, models)


def parse_gates(
    texts: Iterable[tuple[str, str]],
    common: CommonOptions,
    environment: Mapping[str, str],
    models: CompareOptions = _NO_OPTIONS,
    *,
    is_declaration: bool = False,
) -> GatesFile:
    """Return the content of gates files, parsed from their texts.

    Args:
        texts: The name and the text of each file.
        common: See `read_gates`.
        environment: See `read_gates`.
        models: See `read_gates`.
        is_declaration: Whether the hosts in the texts count as declared, since the texts are part of the workflow.

    Raises:
        ConfigError: A text breaks its schema, or two entries have the same name.
        InputError: An option cannot be used, or a variable declares a server that cannot be used.
    """
    # What is wrong for all entries is an error of the whole run.
    gate_options(common)
    servers = NamedServers(Declarations(environment), are_declared=is_declaration)
    builder = _Builder(servers, common, models, cache(read_seal))
    files: list[ConfigFile] = []
    entries: list[tuple[ParsedEntry, ConfigFile]] = []
    for name, text in texts:
        files.append(ConfigFile(name, hashlib.sha256(text.encode()).hexdigest()))
        entries += [(entry, files[-1]) for entry in parse_entries(text, name, len(entries))]
    _require_distinct(entry.entry for entry, _ in entries)
    return GatesFile(tuple(builder.build(entry, file) for entry, file in entries), tuple(files))


def _require_distinct(entries: Iterable[Entry]) -> None:
    """Verify that the names of all files are unique.

    Raises:
        ConfigError: Two entries have the same name.
    """
    seen: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in seen:
            first = seen[entry.name]
            raise ConfigError(
                f"{entry.file}, line {entry.line}: the name {entry.name!r} is given twice, first in {first.file}, line"
                f" {first.line}.",
                "Rename one of them: names are unique over all files. A compare file has the name of the file.",
            )
        seen[entry.name] = entry


@dataclass(frozen=True)
class _Builder:
    """Makes gates and selections of parsed entries.

    Attributes:
        servers: The servers that the files may name.
        common: The options that all commands have.
        models: The options about run models and registry models.
        read: Reads a seal.
    """

    servers: NamedServers
    common: CommonOptions
    models: CompareOptions
    read: Callable[[Path], Seal]

    def build(self, parsed: ParsedEntry, file: ConfigFile) -> Gate | Selection:
        """Return the gate or the selection of an entry; a gate with an error if the entry cannot be used."""
        entry, source = parsed.entry, parsed.source
        try:
            with source.errors_at():
                if parsed.kind is EntryKind.SELECTION:
                    return self._selection(parsed, file)
                request = self._check(parsed) if parsed.kind is EntryKind.CHECK else self._compare(parsed)
                return Gate(entry.name, entry, replace(request, config=file))
        except ModelGateError as error:
            return Gate(entry.name, entry, None, error)

    def _compare(self, parsed: ParsedEntry) -> CompareRequest:
        config = compare_config(parsed.data, parsed.source, self.servers, self.read)
        return compare_config_request(config, self.models, self.common, parsed.source.kind.name)

    def _check(self, parsed: ParsedEntry) -> CheckRequest:
        version = version_request(("check",), parsed.data["check"], parsed.source, self.servers)
        seal = self._seal(parsed, version.model) if "seal" in parsed.data else None
        notices = host_notices([version.host], self.common, _NOUN)
        return CheckRequest(version, seal, options=self._options(parsed), notices=notices)

    def _seal(self, parsed: ParsedEntry, model: str) -> Seal:
        data, source = parsed.data, parsed.source
        seal = self.read(Path(seal_path(("seal",), data["seal"], source)))
        if "seal_model" in data:
            remedy = f"Name the model of the seal in {source.where('seal_model')}."
            seal.require_model_name(data["seal_model"], remedy)
        else:
            seal.require_registered_model(
                model,
                f"If the version is a copy of another model, name the sealed model beside the seal in"
                f" {source.where('seal')}: seal_model: NAME.",
            )
        return seal

    def _options(self, parsed: ParsedEntry) -> GateOptions:
        data = parsed.data
        require = Require(data["require"]) if data.get("require") else None
        return gate_options(self.common, require, checked_ignore(data.get("ignore", [])))

    def _selection(self, parsed: ParsedEntry, file: ConfigFile) -> Selection:
        data, source = parsed.data["select"], parsed.source
        host = self._host(("select",), data, source)
        with source.errors_at("select", "models"):
            _checked_glob(data["models"])
        with source.errors_at("select", "version_or_stage"):
            version = _selected_version(data.get("version_or_stage", ""), data["models"])
        against = self._against(parsed, data["models"])
        hosts = [host]
        run_models = reg_models = True
        if isinstance(against, AgainstServer):
            hosts.append(against.host)
            own = CompareOptions(parsed.data.get("compare_run_models"), parsed.data.get("compare_reg_models"))
            run_models, reg_models = compared_models(self.models, own)
        return Selection(
            parsed.entry,
            host,
            data["models"],
            version,
            against,
            tags=data.get("tags", {}),
            compare_run_models=run_models,
            compare_reg_models=reg_models,
            options=self._options(parsed),
            config=file,
            notices=host_notices(hosts, self.common, _NOUN),
        )

    def _host(self, path: tuple[str, ...], data: Mapping[str, Any], source: Source) -> Host:
        host = self.servers.host(path, data, source)
        with source.errors_at(*path, "registry"):
            return host.with_registry(named_registry(data))

    def _against(self, parsed: ParsedEntry, models: str) -> AgainstServer | AgainstSeals | AgainstRunModel:
        data, source = parsed.data["against"], parsed.source
        if data == RUN_MODEL:
            return AgainstRunModel()
        if "seals" in data:
            path = seal_path(("against", "seals"), data["seals"], source)
            with source.errors_at("against", "seals"):
                return AgainstSeals(_checked_places(path))
        rename = data.get("rename", {})
        for glob, name in rename.items():
            with source.errors_at("against", "rename", glob):
                Renaming([(glob, name)])
        host = self._host(("against",), data, source)
        with source.errors_at("against", "version_or_stage"):
            version = checked_version_name(data.get("version_or_stage", ""), models)
        return AgainstServer(host, tuple(rename.items()), version)


def _checked_glob(text: str) -> Glob:
    try:
        return Glob(text)
    except ValueError as error:
        raise InputError(
            f"{printable(text)!r} is not a glob: {error}.", "Write a class such as [0-9] or [!a-z]."
        ) from error


def _selected_version(text: str, models: str) -> str:
    name = checked_version_name(text, models)
    if name.isdecimal():
        raise InputError(
            f"{name} is the number of one version, but a selection has the versions of many models.",
            'Write an alias ("@champion"), a stage (Production) or latest. Or name one version: check, or'
            " tracking_server_1 and tracking_server_2.",
        )
    return name


def _checked_places(path: str) -> str:
    """Return the path of seals if it has a place for the model, and no place for anything but a model or a version."""
    if set(_PLACE.sub("", path)) & set("{}") or set(_PLACE.findall(path)) - set(_PLACES):
        raise InputError(
            f"{printable(path)} has braces around another word than model and version.",
            "Write {model} for the name of the model and {version} for the number of the version.",
        )
    return path
