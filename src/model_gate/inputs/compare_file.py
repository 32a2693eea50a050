"""Reads the compare file: YAML, validated against `schemas/config.schema.json`. Errors name the line of the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model_gate.access.declared import Declarations
from model_gate.domain.ignore import NOTHING, Ignore, checked_ignore
from model_gate.domain.request import ConfigFile, VersionRequest
from model_gate.domain.roles import VersionRole
from model_gate.domain.seal import Seal, SealedVersion
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import ConfigError
from model_gate.formats.json_schema import Violation, first_violation, load_schema
from model_gate.inputs.seal_file import read_seal
from model_gate.inputs.version_entry import (
    MISSING_KEY_REMEDIES,
    VARIABLE_REMEDIES,
    NamedServers,
    require_one_server,
    sealed_version,
    server_keys,
    version_request,
)
from model_gate.inputs.yaml_source import FileKind, Source, parse_mapping, read_text

_SCHEMA = "config.schema.json"
# Earlier names of keys, each with its current name.
SYNONYMS = {
    "tracking_server_01": VersionRole.TRACKING_SERVER_1.value,
    "tracking_server_02": VersionRole.TRACKING_SERVER_2.value,
}
SIDES = tuple(SYNONYMS.values())
KIND = FileKind(
    "a compare file",
    "model-gate compare --help and the README of Model Gate show an example.",
    # Each file is one gate.
    "Name one file: patterns are not expanded. In a workflow, a job matrix runs one job for each file.",
)


@dataclass(frozen=True)
class CompareConfig:
    """The content of a compare file. An optional key that is not set is None."""

    tracking_server_1: VersionRequest | SealedVersion
    tracking_server_2: VersionRequest | SealedVersion
    compare_run_models: bool | None = None
    compare_reg_models: bool | None = None
    require: Require | None = None
    ignore: Ignore = NOTHING
    # Two files with the same content in other words ask for the same gate.
    file: ConfigFile | None = field(default=None, compare=False)

    @property
    def has_seal(self) -> bool:
        """Whether a seal stands for one of the versions."""
        return len(self.versions) < len(SIDES)

    @property
    def versions(self) -> tuple[VersionRequest, ...]:
        """The versions on tracking servers, left before right: one if a seal stands for the other."""
        sides = (self.tracking_server_1, self.tracking_server_2)
        return tuple(side for side in sides if isinstance(side, VersionRequest))


def read_config(path: Path, environment: Mapping[str, str]) -> CompareConfig:
    """Read and validate a compare file.

    The variables in `environment` declare servers, and contain Databricks logins or the path of a file with them.

    Raises:
        ConfigError: The file cannot be read, or breaks the schema.
    """
    return parse_config(read_text(path, KIND), str(path), environment)


def parse_config(
    text: str, name: str, environment: Mapping[str, str], *, is_declaration: bool = False
) -> CompareConfig:
    """Return the content of a compare file, parsed from its text.

    Args:
        text: The text.
        name: The file's name in error messages.
        environment: Variables that declare servers, and that contain Databricks logins or the path of a file with them.
        is_declaration: Whether the hosts in the text count as declared, since the text is part of the workflow.

    Raises:
        ConfigError: The text breaks the schema. The message names the line and the key.
        InputError: A variable declares a server that cannot be used.
    """
    source = Source(name, parse_mapping(text, name, KIND), KIND, SYNONYMS)
    data = source.plain()
    if "gates" in data and not data.keys() & set(SIDES):
        raise ConfigError(
            f"{source.where('gates')}: {name} is a gates file, with the gates of a run.",
            f"Run its gates: model-gate run --config-file {'FILE' if is_declaration else printable(name)}.",
        )
    require_compare_keys(data, source)
    servers = NamedServers(Declarations(environment), are_declared=is_declaration)
    config = compare_config(data, source, servers)
    return replace(config, file=ConfigFile(name, hashlib.sha256(text.encode()).hexdigest()))


def require_compare_keys(data: Mapping[str, Any], source: Source) -> None:
    """Verify that a mapping has the form of a compare file. No server, no variable and no seal is looked up.

    Raises:
        ConfigError: The mapping breaks the schema of a compare file.
    """
    schema = load_schema(_SCHEMA)
    known = [key for key in schema["properties"] if key not in SYNONYMS]
    source.require_known(data, known, hint=lambda key: _misplaced_key_remedy(key, source))
    for key in SIDES:
        if isinstance(data.get(key), dict):
            source.require_known(data[key], server_keys(schema), (key,))
    for key in SIDES:
        if key not in data:
            # A file that lacks a server is wrong as a whole; an entry of a gates file has a line.
            place = source.where() if source.parents else source.file
            raise ConfigError(f"{place}: the key {key!r} is missing.", source.kind.remedy)
    for key in SIDES:
        require_one_server((key,), data[key], source)
    for key in SIDES:
        source.require_texts(data[key] if isinstance(data[key], dict) else None, (key,), VARIABLE_REMEDIES)
    violation = first_violation(data, schema)
    if violation is not None:
        raise source.violation(violation, violation_remedy(data, violation, source))
    require_patterns(data, source)


def require_patterns(data: Mapping[str, Any], source: Source) -> None:
    """Verify the globs of ignored paths.

    Raises:
        ConfigError: A glob is malformed, or matches MLmodel.
    """
    for index, pattern in enumerate(data.get("ignore", [])):
        with source.errors_at("ignore", index=index):
            checked_ignore([pattern])


def compare_config(
    data: Mapping[str, Any], source: Source, servers: NamedServers, read: Callable[[Path], Seal] = read_seal
) -> CompareConfig:
    """Return the content of a mapping that has the form of a compare file, with its servers and its seal.

    Args:
        data: The mapping.
        source: The mapping in its file.
        servers: The servers that the mapping may name.
        read: Reads a seal.

    Raises:
        ConfigError: A value cannot be used, or no variable declares a server.
        SealError: The seal cannot be read, was edited, or is of another registered model.
    """
    sides = {
        key: sealed_version((key,), data[key], source, read)
        if "seal" in data[key]
        else version_request((key,), data[key], source, servers)
        for key in SIDES
    }
    _require_one_seal(sides, data, source)
    _require_both_native(sides, source)
    return CompareConfig(
        sides[SIDES[0]],
        sides[SIDES[1]],
        compare_run_models=data.get("compare_run_models"),
        compare_reg_models=data.get("compare_reg_models"),
        require=Require(data["require"]) if data.get("require") else None,
        ignore=checked_ignore(data.get("ignore", [])),
    )


def violation_remedy(data: Mapping[str, Any], violation: Violation, source: Source) -> str:
    """Return what to do about a mapping that breaks a schema."""
    if violation.path[-1:] == ("ignore",) and isinstance(data.get("ignore"), str):
        pattern = data["ignore"]
        # A pattern such as *.log must be quoted, because YAML would read it as an alias.
        item = pattern if pattern[:1].isalnum() else json.dumps(pattern, ensure_ascii=False)
        return f"Write a list, with one pattern on each line: - {printable(item)}"
    if violation.missing:
        return f"{MISSING_KEY_REMEDIES.get(violation.missing, 'Add it.')} {source.kind.example}"
    return source.kind.remedy


def _misplaced_key_remedy(key: str, source: Source) -> str:
    """Return the remedy for a key that belongs to a server, "" for another key."""
    known = server_keys(load_schema(_SCHEMA))
    singular = next((name for name in (key, key.removesuffix("s")) if name in known), "")
    if not singular:
        return ""
    write = "an entry" if source.parents else "a gates file (model-gate run) with an entry"
    return (
        f"Remove it: the key {singular!r} belongs below tracking_server_1 and below tracking_server_2. For several"
        f" pairs of versions, write {write} for each pair."
    )


def _require_one_seal(
    sides: Mapping[str, VersionRequest | SealedVersion], data: Mapping[str, Any], source: Source
) -> None:
    """Verify that at most one side is a seal, and that the seal is of the other side's model if it names no model.

    Raises:
        ConfigError: Both sides are seals.
        SealError: The seal is of another registered model.
    """
    seals = {key: side.seal for key, side in sides.items() if isinstance(side, SealedVersion)}
    versions = [side for side in sides.values() if isinstance(side, VersionRequest)]
    if not versions:
        *_, last = seals
        raise ConfigError(
            f"{source.where(last, 'seal')}: both sides are seals.",
            "Name a model version on a tracking server on one side.",
        )
    for key, seal in seals.items():
        if "model" not in data[key]:
            seal.require_registered_model(
                versions[0].model,
                f"If the version is a copy of another model, name the sealed model beside the seal in"
                f" {source.where(key)}: model: NAME.",
            )


def _require_both_native(sides: Mapping[str, VersionRequest | SealedVersion], source: Source) -> None:
    missing = [key for key, version in sides.items() if not version.native_model]
    if len(missing) == 1:
        raise ConfigError(
            f"{source.where(missing[0])}: native_model is given for the other server only.",
            "Give it for both, or for neither: a native model cannot be compared with a whole MLflow model.",
        )
