"""The form of a gates file and of its entries, without servers, variables and seals."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any

from model_gate.domain.gates import Entry
from model_gate.domain.wording import printable
from model_gate.errors import ConfigError
from model_gate.formats.json_schema import Violation, first_violation, load_definition, load_schema
from model_gate.inputs import compare_file
from model_gate.inputs.compare_file import SIDES, SYNONYMS, require_compare_keys, require_patterns, violation_remedy
from model_gate.inputs.version_entry import VARIABLE_REMEDIES, require_one_server
from model_gate.inputs.yaml_source import FileKind, Source, parse_mapping

MAX_ENTRIES = 10_000
# The value of `against` for the version's own run model.
RUN_MODEL = "run_model"
KIND = FileKind(
    "a gates file",
    "model-gate run --help and docs/run.md of Model Gate show an example.",
    "Name each file: patterns are not expanded.",
    # 50 keys and values for each entry.
    max_nodes=500_000,
)
_SCHEMA = "gates.schema.json"
_MAX_NAME = 100
_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,{_MAX_NAME - 1}}}")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_REMEDY = "Use the letters a to z and A to Z, digits, '.', '_' and '-', and begin with a letter, a digit or '_'."
# Options with a meaning for two servers only.
_MODELS = ("compare_run_models", "compare_reg_models")
_MERGE_REMEDY = "Merge keys are not supported. Write what all entries share below defaults."
_GATES_REMEDY = "Write a mapping with the name of each gate as its key, as in wine: {check: …}."
_KIND_REMEDY = (
    "Write tracking_server_1 and tracking_server_2 to compare two versions, check for one version, or select and"
    " against for many versions."
)
_REMEDIES = {
    "check": "Name the version: check: {server: prod, model: Wine, version_or_stage: Production}.",
    "select": 'Name the versions: select: {server: prod, models: "prod.ml.*", version_or_stage: "@champion"}.',
    "against": (
        'Name the other side: against: {server: staging}, against: {seals: "seals/{model}.json"} or against: run_model.'
    ),
    "seal": "Name the seal: seal: seals/wine.json. Or remove seal_model.",
    "models": 'Name the models by one glob, as in models: "prod.ml.*". Write an entry for each further glob.',
    "tags": "Write a mapping: tags: {team: risk}.",
    "rename": 'Write a mapping: rename: {"prod.ml.*": "staging.ml.*"}.',
    "seals": 'Write the path of the seals with a place for the name: seals: "seals/{model}.json".',
}


class EntryKind(StrEnum):
    """What an entry names. The values are the definitions in the schema."""

    COMPARE = "compare"
    CHECK = "check"
    SELECTION = "selection"


# The keys that make an entry one of a kind.
_KEYS = {EntryKind.COMPARE: SIDES, EntryKind.CHECK: ("check",), EntryKind.SELECTION: ("select", "against")}


@dataclass(frozen=True)
class ParsedEntry:
    """An entry in the right form.

    Attributes:
        entry: Its name, place and digest.
        kind: What it names.
        data: The entry as plain data, with the defaults of its file.
        source: The entry in its file.
    """

    entry: Entry
    kind: EntryKind
    data: Mapping[str, Any]
    source: Source


def entry_digests(text: str, name: str) -> Mapping[str, tuple[str, int]]:
    """Return the digest and the line of each entry of a gates file or a compare file, by the name of the entry.

    Args:
        text: The text of the file.
        name: The file's name in error messages. The entry of a compare file has the file's name without its suffix.

    Raises:
        ConfigError: The text is not YAML, or breaks the schema.
    """
    return {parsed.entry.name: (parsed.entry.digest, parsed.entry.line) for parsed in parse_entries(text, name)}


def parse_entries(text: str, name: str, already: int = 0) -> Iterator[ParsedEntry]:
    """Yield the entries of a gates file; for a compare file, one entry.

    Args:
        text: See `entry_digests`.
        name: See `entry_digests`.
        already: Number of entries in the other files of the run.

    Raises:
        ConfigError: The text is not YAML, or breaks the schema, or a run has too many entries.
    """
    source = Source(name, parse_mapping(text, name, KIND), KIND)
    keys = source.keys()
    if "gates" not in keys and {SYNONYMS.get(key, key) for key in keys} & set(SIDES):
        _require_few(already + 1, source)
        yield _parse_compare_file(replace(source, kind=compare_file.KIND, synonyms=SYNONYMS))
        return
    known = list(load_schema(_SCHEMA)["properties"])
    source.require_known(keys, known if "gates" in keys else [*known, *SIDES], hint=_file_key_remedy)
    if "gates" not in keys:
        raise ConfigError(f"{name}: the key 'gates' is missing.", KIND.remedy)
    children = dict(source.children())
    defaults = _parse_defaults(source, children)
    gates = children["gates"]
    if gates is None or not gates.node.value:
        raise source.violation(Violation(("gates",), _not_entries(source)), _GATES_REMEDY)
    _require_few(already + len(gates.node.value), gates)
    for entry_name, entry in gates.children():
        _require_name(entry_name, gates)
        if entry is None:
            raise ConfigError(f"{gates.where(entry_name)}: the entry is not a mapping.", _KIND_REMEDY)
        yield _parse_entry(entry_name, replace(entry, synonyms=SYNONYMS), defaults)


def _require_few(count: int, source: Source) -> None:
    if count > MAX_ENTRIES:
        raise ConfigError(
            f"{source.where()}: there are {count:,} entries, and {MAX_ENTRIES:,} are allowed in all files of a run.",
            "Select versions by pattern (select and against), or run the files one by one.",
        )


def _parse_compare_file(source: Source) -> ParsedEntry:
    data = source.plain()
    require_compare_keys(data, source)
    name = _NOT_IN_NAME.sub("-", PurePath(source.file).stem).lstrip("-.")[:_MAX_NAME]
    return _parsed(name or "compare", EntryKind.COMPARE, data, source)


def _not_entries(source: Source) -> str:
    violation = first_violation(source.plain()["gates"], load_schema(_SCHEMA)["properties"]["gates"])
    return "it is empty" if violation is None else violation.message


def _parse_defaults(source: Source, children: Mapping[str, Source | None]) -> dict[str, Any]:
    if "defaults" not in children:
        return {}
    defaults = children["defaults"]
    if defaults is None:
        raise ConfigError(f"{source.where('defaults')}: the defaults are not a mapping.", _defaults_remedy())
    data, schema = defaults.plain(), load_schema(_SCHEMA)["properties"]["defaults"]
    defaults.require_known(data, schema["properties"])
    if (violation := first_violation(data, schema)) is not None:
        raise defaults.violation(violation, violation_remedy(data, violation, defaults))
    require_patterns(data, defaults)
    return data


def _defaults_remedy() -> str:
    return f"Known below defaults: {', '.join(load_schema(_SCHEMA)['properties']['defaults']['properties'])}."


def _require_name(name: str, gates: Source) -> None:
    if _NAME.fullmatch(name):
        return
    problem = "is not the name of an entry"
    if len(name) > _MAX_NAME:
        problem = f"… is not the name of an entry: it has more than {_MAX_NAME} characters"
    elif "/" in name:
        problem = "is not the name of an entry: ENTRY/MODEL, with a slash, is the name of a gate of a selection"
    raise ConfigError(
        f"{gates.file}, line {gates.line_of(name)}, gates: {printable(name[:_MAX_NAME])!r} {problem}.",
        _MERGE_REMEDY if name == "<<" else _NAME_REMEDY,
    )


def _parse_entry(name: str, source: Source, defaults: Mapping[str, Any]) -> ParsedEntry:
    data = source.plain()
    kind = _kind_of(data, source)
    if kind is EntryKind.COMPARE:
        require_compare_keys(data, source)
    else:
        _require_form(kind, data, source)
    meant = {key: value for key, value in defaults.items() if key in _options_of(kind, data)}
    return _parsed(name, kind, meant | data, source)


def _kind_of(data: Mapping[str, Any], source: Source) -> EntryKind:
    """Return what an entry names.

    Raises:
        ConfigError: The entry names nothing, or two things at once.
    """
    found = [(kind, next(key for key in keys if key in data)) for kind, keys in _KEYS.items() if set(keys) & set(data)]
    if len(found) > 1:
        (_, first), (_, second), *_ = found
        raise ConfigError(
            f"{source.where(second)}: the entry has {second!r} and {first!r}, and can have one of them only.",
            "Write an entry for each.",
        )
    if found:
        return found[0][0]
    if {"seal", "seal_model"} & set(data):
        return EntryKind.CHECK
    known = dict.fromkeys(key for kind in EntryKind for key in _properties(kind) if key not in SYNONYMS)
    source.require_known(data, list(known), hint=lambda key: _misplaced_key_remedy(key, ("check", "select", "against")))
    raise ConfigError(f"{source.where()}: the entry names nothing to check or to compare.", _KIND_REMEDY)


def _require_form(kind: EntryKind, data: Mapping[str, Any], source: Source) -> None:
    """Verify the keys of a check or a selection, and the types of their values.

    Raises:
        ConfigError: The entry breaks the schema.
    """
    source.require_known(data, _properties(kind), hint=lambda key: _misplaced_key_remedy(key, _KEYS[kind]))
    required = (*_KEYS[kind], *(["seal"] if "seal_model" in data else []))
    for key in required:
        if key not in data:
            raise ConfigError(f"{source.where()}: the key {key!r} is missing.", _REMEDIES[key])
    for key in _KEYS[kind]:
        _require_keys(key, data[key], source)
    for key in (*_KEYS[kind], "seal", "seal_model"):
        source.require_texts(data.get(key), (key,), VARIABLE_REMEDIES)
    for path, value, schema in _parts(kind, data):
        if (violation := first_violation(value, schema)) is not None:
            found = replace(violation, path=(*path, *violation.path))
            known = "" if found.missing else _REMEDIES.get(found.path[-1], "")
            raise source.violation(found, known or violation_remedy(data, found, source))
    if not _options_of(kind, data) >= set(_MODELS) and (key := next((key for key in _MODELS if key in data), "")):
        raise ConfigError(
            f"{source.where(key)}: only two servers are compared by run models and registry models, so {key} has no"
            " meaning here.",
            "Remove it.",
        )
    require_patterns(data, source)


def _require_keys(key: str, data: object, source: Source) -> None:
    """Verify the keys of the mapping that names a version, the selected versions or the other side."""
    if key == "against" and isinstance(data, str) and data != RUN_MODEL and not data.startswith("$"):
        # The text can be an address with a password.
        raise ConfigError(f"{source.where(key)}: the text is not {RUN_MODEL}.", _REMEDIES[key])
    if not isinstance(data, dict):
        return
    known = _properties(_definition_of(key, data))
    if key == "against" and "seals" in data and (other := next((name for name in data if name != "seals"), "")):
        raise ConfigError(
            f"{source.where(key, other)}: seals stand in the place of a server, so {other} has no meaning.",
            "Remove it, or remove the seals.",
        )
    if key == "against" and isinstance(data.get("seals"), str) and "{model}" not in data["seals"]:
        where = source.where(key, "seals")
        raise ConfigError(f"{where}: the path has no place for the name of the model.", _REMEDIES["seals"])
    if key == "against" and "seals" not in data:
        known = [*known, "seals"]
    source.require_known(data, known, (key,), lambda name: _misplaced_key_remedy(name, (), key))
    if "seals" not in data:
        require_one_server((key,), data, source, has_seals=False)


def _definition_of(key: str, data: object) -> str:
    """Return the definition in the schema for the value of a key of an entry."""
    if key == "check":
        return "version"
    if key == "against":
        return "against_seals" if isinstance(data, dict) and "seals" in data else "against_server"
    return key


def _parts(kind: EntryKind, data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], object, dict[str, Any]]]:
    """Yield each part of an entry with its path and its schema. The schema of the whole has alternatives.

    A message about alternatives does not name the mistake.
    """
    for key in _KEYS[kind]:
        if data[key] != RUN_MODEL or key != "against":
            yield (key,), data[key], load_definition(_SCHEMA, _definition_of(key, data[key]))
    rest = {key: value for key, value in data.items() if key not in _KEYS[kind]}
    schema = load_schema(_SCHEMA)
    yield (), rest, {"properties": schema["$defs"][kind]["properties"], "$defs": schema["$defs"]}


def _options_of(kind: EntryKind, data: Mapping[str, Any]) -> set[str]:
    """Return the keys of `defaults` that have a meaning for an entry."""
    options = set(load_schema(_SCHEMA)["properties"]["defaults"]["properties"])
    against = data.get("against")
    is_pair = kind is EntryKind.COMPARE or (isinstance(against, dict) and "seals" not in against)
    return options if is_pair else options - set(_MODELS)


def _properties(definition: str) -> list[str]:
    return list(load_schema(_SCHEMA)["$defs"][definition]["properties"])


def _file_key_remedy(key: str) -> str:
    """Return the remedy for a key of an entry or of the defaults at the root of a gates file, "" for another key."""
    if key in load_schema(_SCHEMA)["properties"]["defaults"]["properties"]:
        return f"Write it below defaults, for all entries, or in an entry: defaults: {{{key}: …}}."
    if any(key in _properties(kind) for kind in EntryKind):
        return f"Write it in an entry below gates, as in wine: {{{key}: …}}."
    return _MERGE_REMEDY if key == "<<" else ""


def _misplaced_key_remedy(key: str, places: tuple[str, ...], inside: str = "") -> str:
    """Return the remedy for a key that is known in another mapping of an entry, "" for another key.

    Args:
        key: The key.
        places: The keys of the mappings in which it may be known.
        inside: The key of the mapping that has the key, "" for the entry itself.
    """
    if key == "<<":
        return _MERGE_REMEDY
    if inside and any(key in _properties(kind) for kind in EntryKind):
        return f"Write it in the entry, beside {inside}."
    definitions = {place: (_definition_of(place, {}), _definition_of(place, {"seals": ""})) for place in places}
    known = [place for place, names in definitions.items() if any(key in _properties(name) for name in names)]
    return f"Write it below {' or below '.join(known)}." if known else ""


def _parsed(name: str, kind: EntryKind, data: Mapping[str, Any], source: Source) -> ParsedEntry:
    return ParsedEntry(Entry(name, source.file, source.line, _digest(data)), kind, data, source)


def _digest(data: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what an entry asks for."""
    meant = {key: _meant(value) for key, value in data.items() if value not in (None, [])}
    return hashlib.sha256(json.dumps(meant, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _meant(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    # A native model without a path is the whole model.
    meant = {key: item for key, item in value.items() if item is not None and (key, item) != ("native_model", "")}
    # The first glob that matches renames a model, so the order of the globs counts.
    return {key: list(item.items()) if key == "rename" else item for key, item in meant.items()}
