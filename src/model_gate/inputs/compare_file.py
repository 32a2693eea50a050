"""The compare file: YAML, checked against `schemas/config.schema.json`, every complaint with its line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from model_gate.access.hosts import parse_host
from model_gate.domain.host import RegistryKind
from model_gate.domain.ignore import NOTHING, Ignore, checked_ignore
from model_gate.domain.request import VersionRequest
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import ConfigError, InputError
from model_gate.formats import strict_yaml
from model_gate.formats.json_schema import first_violation, load_schema

_SCHEMA = "config.schema.json"
# The historical spelling, by the one that is used from here on.
_SYNONYMS = {"tracking_server_01": "tracking_server_1", "tracking_server_02": "tracking_server_2"}
# Which key an error is about, by what it says.
_SIGNS = {"native_model": "native model", "registry": "registry:", "model": "The model "}
_REMEDY = "See the example in the README, or point your editor at schemas/config.schema.json."


@dataclass(frozen=True)
class CompareConfig:
    """What a compare file asks for; None where it leaves it open."""

    tracking_server_1: VersionRequest
    tracking_server_2: VersionRequest
    compare_run_models: bool | None = None
    compare_reg_models: bool | None = None
    require: Require | None = None
    ignore: Ignore = NOTHING


def read_config(path: Path) -> CompareConfig:
    """The compare file at `path`.

    Raises:
        ConfigError: It is missing, unreadable or says what it may not say.
    """
    try:
        with path.open("rb") as file:
            # What is named may have no end, as /dev/zero.
            content = file.read(strict_yaml.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"The config file {path} cannot be read: {error.strerror}.", "Check the path and its permissions."
        ) from error
    if len(content) > strict_yaml.MAX_BYTES:
        raise ConfigError(f"The config file {path} is larger than {strict_yaml.MAX_BYTES:,} bytes.", _REMEDY)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: the file is not UTF-8.", "Save it as UTF-8.") from error
    return parse_config(text, str(path))


def parse_config(text: str, name: str) -> CompareConfig:
    """The compare file with this text; `name` is what errors call it.

    Raises:
        ConfigError: It says what it may not say; the message has the line, the key and what to do.
    """
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        what = "is empty" if node is None else "is not a mapping of keys"
        raise ConfigError(f"{name} {what}.", _REMEDY)
    lines = dict(_lines(node))
    data = {_SYNONYMS.get(key, key): value for key, value in strict_yaml.plain(node).items()}
    if len(data) < len(node.value):
        raise _given_twice(node, name)
    schema = load_schema(_SCHEMA)
    _require_known_keys(data, schema, lines, name)
    for key in _SYNONYMS.values():
        if key not in data:
            raise ConfigError(f"{name}: the key {key!r} is missing.", _REMEDY)
    violation = first_violation(data, schema)
    if violation is not None:
        where = _where(violation.path, lines, name)
        raise ConfigError(f"{where}: {violation.message}.", _REMEDY)
    servers = {key: _version_request(key, data[key], lines, name) for key in _SYNONYMS.values()}
    _require_native_on_both(servers, lines, name)
    return CompareConfig(
        **servers,
        compare_run_models=data.get("compare_run_models"),
        compare_reg_models=data.get("compare_reg_models"),
        require=Require(data["require"]) if data.get("require") else None,
        ignore=_ignore(data.get("ignore", []), lines, name),
    )


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return strict_yaml.compose(text)
    except strict_yaml.DuplicateKeyError as error:
        raise ConfigError(
            f"{name}, line {error.second}: the key {error.key!r} is given twice, first on line {error.first}.",
            _twice_remedy(error.key),
        ) from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{name}{line}: this is not YAML: {error.problem}.", _REMEDY) from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name} cannot be read as YAML: {reason}.", _REMEDY) from error


def _twice_remedy(key: str) -> str:
    if key.startswith("tracking_server"):
        return "Name the two servers tracking_server_1 and tracking_server_2."
    return "Remove one of them: YAML would silently take the last."


def _given_twice(node: yaml.MappingNode, name: str) -> ConfigError:
    seen: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        canonical = _SYNONYMS.get(key.value, str(key.value))
        if canonical in seen:
            line, first = strict_yaml.line_of(key), strict_yaml.line_of(seen[canonical])
            return ConfigError(
                f"{name}, line {line}: {key.value!r} says again what {seen[canonical].value!r} on line {first} says.",
                _twice_remedy(canonical),
            )
        seen[canonical] = key
    raise AssertionError("no key stands for another")


def _lines(node: yaml.Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """The line of every key, by its path."""
    yield path, strict_yaml.line_of(node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, _SYNONYMS.get(key.value, str(key.value)))
            yield from _lines(value, below)
            yield below, strict_yaml.line_of(key)


_Lines = Mapping[tuple[str, ...], int]


def _where(path: tuple[str, ...], lines: _Lines, name: str) -> str:
    line = next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 1)
    return f"{name}, line {line}" + (f", {printable('.'.join(path))}" if path else "")


def _require_known_keys(data: Mapping[str, Any], schema: Mapping[str, Any], lines: _Lines, name: str) -> None:
    server_keys = list(schema["$defs"]["tracking_server"]["properties"])
    known = [key for key in schema["properties"] if key not in _SYNONYMS]
    _require_known(data, known, (), lines, name)
    for key in _SYNONYMS.values():
        if isinstance(data.get(key), dict):
            _require_known(data[key], server_keys, (key,), lines, name)


def _require_known(data: Mapping[str, Any], known: list[str], path: tuple[str, ...], lines: _Lines, name: str) -> None:
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            remedy = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."
            raise ConfigError(f"{_where((*path, key), lines, name)}: the key {key!r} is not known.", remedy)


def _version_request(key: str, data: Mapping[str, str], lines: _Lines, name: str) -> VersionRequest:
    try:
        registry = RegistryKind(data["registry"]) if data.get("registry") else None
        host = parse_host(data["host"], "host").for_model(data["model"], registry)
        native_model = checked_native_model(data.get("native_model") or "")
    except InputError as error:
        field = next((name for name, sign in _SIGNS.items() if sign in error.message), "host")
        raise ConfigError(f"{_where((key, field), lines, name)}: {error.message}", error.remedy) from error
    return VersionRequest(host, data["model"], data["version_or_stage"], native_model)


def _ignore(patterns: list[str], lines: _Lines, name: str) -> Ignore:
    try:
        return checked_ignore(patterns)
    except InputError as error:
        raise ConfigError(f"{_where(('ignore',), lines, name)}: {error.message}", error.remedy) from error


def _require_native_on_both(servers: Mapping[str, VersionRequest], lines: _Lines, name: str) -> None:
    lacking = [key for key, version in servers.items() if not version.native_model]
    if len(lacking) == 1:
        raise ConfigError(
            f"{_where((lacking[0],), lines, name)}: native_model is given for the other server only.",
            "Give it for both, or for neither: a native model cannot be compared with a whole MLflow model.",
        )


def checked_native_model(path: str) -> str:
    """The native model's path without superfluous parts.

    Raises:
        InputError: It is absolute or leaves the model.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or "\0" in path:
        raise InputError(
            f"The native model {path!r} is not a path inside the MLflow model.",
            "Give a relative path without '..', such as model.pkl or data/model.",
        )
    return "/".join(parts)
