"""Reads the compare file: YAML, validated against `schemas/config.schema.json`. Errors name the line of the file."""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from model_gate.access.declared import Declarations
from model_gate.domain.host import RegistryKind
from model_gate.domain.ignore import NOTHING, Ignore, checked_ignore
from model_gate.domain.request import ConfigFile, VersionRequest
from model_gate.domain.roles import VersionRole
from model_gate.domain.seal import SealedVersion
from model_gate.domain.variables import TRACKING_URI
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import ConfigError, InputError, storage_error
from model_gate.formats import strict_yaml
from model_gate.formats.json_schema import Violation, first_violation, load_schema
from model_gate.inputs.seal_file import read_seal
from model_gate.inputs.version_name import checked_version_name
from model_gate.symbolic_links import open_input

_SCHEMA = "config.schema.json"
# Earlier names of keys, each with its current name.
_SYNONYMS = {
    "tracking_server_01": VersionRole.TRACKING_SERVER_1.value,
    "tracking_server_02": VersionRole.TRACKING_SERVER_2.value,
}
# Number of files in the directory of a missing compare file that are searched for a similar name.
_MAX_NEIGHBOURS = 1_000
# A place for a value that another program would fill in: $NAME, ${NAME}, ${{ NAME }} or {{ NAME }}.
_VARIABLE = re.compile(r"^\$\w+|\$?\{\{.*\}\}|\$\{.*\}")
_VARIABLE_ALONE = re.compile(r"\$\w+|\$\{\w+\}", re.ASCII)
# Characters with a meaning in YAML, with which a value cannot begin unless it is quoted.
_INDICATORS = "@`*&!%|>"
_EXAMPLE = "model-gate compare --help and the README of Model Gate show an example."
_REMEDY = f"Write the file as in the example: {_EXAMPLE}"
_MISSING_KEY_REMEDIES = {
    "model": "Add it, with the name of the registered model.",
    "version_or_stage": 'Add it, with a version number (1), a stage (Production) or an alias ("@champion").',
}


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
        return len(self.versions) < len(_SYNONYMS)

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
    try:
        with open(path, "rb", opener=open_input) as file:
            # The file may be larger than this machine's memory.
            content = file.read(strict_yaml.MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no compare file {printable(str(path))}.", _missing_file_remedy(path)) from error
    except OSError as error:
        remedy = (
            storage_error(error, "").remedy if error.errno == errno.ELOOP else "Check the path and its permissions."
        )
        raise ConfigError(f"The compare file {path} cannot be read: {error.strerror}.", remedy) from error
    if len(content) > strict_yaml.MAX_BYTES:
        raise ConfigError(f"The compare file {path} is larger than {strict_yaml.MAX_BYTES:,} bytes.", _REMEDY)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: the file is not UTF-8.", "Save it as UTF-8.") from error
    return parse_config(text, str(path), environment)


def _missing_file_remedy(path: Path) -> str:
    """Return what to do about a compare file that does not exist: the name of a similar file, if there is one."""
    if set(path.name) & set("*?["):
        # Each file is one gate.
        return "Name one file: patterns are not expanded. In a workflow, a job matrix runs one job for each file."
    try:
        names = sorted(entry.name for entry in islice(os.scandir(path.parent), _MAX_NEIGHBOURS))
    except OSError:
        return f"There is no directory {printable(str(path.parent.absolute()))} either. Check the path."
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return f"Did you mean {printable(str(path.with_name(near[0])))}?"
    checkout = " In a workflow, the step actions/checkout must come first." if not names else ""
    return f"Check the path. Files are searched in {printable(str(path.parent.absolute()))}.{checkout}"


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
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        problem = "is empty" if node is None else "is not a mapping of keys"
        raise ConfigError(f"{name} {problem}.", _REMEDY)
    source = _Source(name, dict(_lines(node)), dict(_texts(node)))
    data = {_SYNONYMS.get(key, key): value for key, value in strict_yaml.plain(node).items()}
    if len(data) < len(node.value):
        raise _duplicate_server(node, name)
    schema = load_schema(_SCHEMA)
    _require_known_keys(data, schema, source)
    for key in _SYNONYMS.values():
        if key not in data:
            raise ConfigError(f"{name}: the key {key!r} is missing.", _REMEDY)
    for key in _SYNONYMS.values():
        _require_one_server(key, data[key], source)
    for key in _SYNONYMS.values():
        _require_texts(key, data[key], source)
    violation = first_violation(data, schema)
    if violation is not None:
        raise ConfigError(f"{source.where(*violation.path)}: {violation.message}.", _violation_remedy(data, violation))
    declarations = Declarations(environment)
    servers = {key: _side(key, data[key], source, declarations) for key in _SYNONYMS.values()}
    if is_declaration:
        servers = {
            key: replace(side, host=replace(side.host, is_declared=True)) if isinstance(side, VersionRequest) else side
            for key, side in servers.items()
        }
    _require_one_seal(servers, data, source)
    _require_both_native(servers, source)
    patterns = data.get("ignore", [])
    for index, pattern in enumerate(patterns):
        with source.errors_at("ignore", index=index):
            checked_ignore([pattern])
    return CompareConfig(
        **servers,
        compare_run_models=data.get("compare_run_models"),
        compare_reg_models=data.get("compare_reg_models"),
        require=Require(data["require"]) if data.get("require") else None,
        ignore=checked_ignore(patterns),
        file=ConfigFile(name, hashlib.sha256(text.encode()).hexdigest()),
    )


def _violation_remedy(data: Mapping[str, Any], violation: Violation) -> str:
    if violation.path == ("ignore",) and isinstance(data["ignore"], str):
        pattern = data["ignore"]
        # A pattern such as *.log must be quoted, because YAML would read it as an alias.
        item = pattern if pattern[:1].isalnum() else json.dumps(pattern, ensure_ascii=False)
        return f"Write a list, with one pattern on each line: - {printable(item)}"
    if violation.missing:
        return f"{_MISSING_KEY_REMEDIES.get(violation.missing, 'Add it.')} {_EXAMPLE}"
    return _REMEDY


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return strict_yaml.compose(text)
    except strict_yaml.DuplicateKeyError as error:
        raise ConfigError(
            f"{name}, line {error.second}: the key {error.key!r} is given twice, first on line {error.first}.",
            _duplicate_remedy(error.key, error.second),
        ) from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem, remedy = _yaml_problem(text, error)
        raise ConfigError(f"{name}{line}: {problem}.", remedy) from error
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name} cannot be read as YAML: {reason}.", _REMEDY) from error


def _yaml_problem(text: str, error: yaml.MarkedYAMLError) -> tuple[str, str]:
    """Return what is wrong with a text that is not YAML, and the remedy."""
    mark, problem = error.problem_mark, f"this is not YAML: {error.problem}"
    lines = text.splitlines()[mark.line :] if mark is not None else []
    if mark is None or not lines:
        return problem, _REMEDY
    line, rest = lines[0], lines[0][mark.column :]
    if "\t" in line[: len(line) - len(line.lstrip())] or rest.startswith("\t"):
        return "the line has a tab, which YAML does not allow here", "Indent with spaces: replace every tab."
    if rest[:1] and rest[0] in _INDICATORS:
        value = re.split(r"[,}\]#]|\s", rest, maxsplit=1)[0]
        noun = "alias" if value.startswith("@") else "value"
        quoted = printable(json.dumps(value, ensure_ascii=False))
        return f"a value cannot begin with {rest[0]!r} unless it is quoted", f"Quote the {noun}: {quoted}."
    return problem, _REMEDY


def _duplicate_remedy(key: str, line: int) -> str:
    if key.startswith("tracking_server"):
        return f"Rename the key on line {line} to tracking_server_{1 if key.endswith('2') else 2}."
    return "Remove one of them: YAML would silently take the last."


def _duplicate_server(node: yaml.MappingNode, name: str) -> ConfigError:
    """Return the error for a file that names one server twice, under its current and its earlier name."""
    keys: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        canonical = _SYNONYMS.get(key.value, str(key.value))
        if canonical in keys:
            line, first = strict_yaml.line_of(key), strict_yaml.line_of(keys[canonical])
            return ConfigError(
                f"{name}, line {line}: {key.value!r} duplicates {keys[canonical].value!r} on line {first}.",
                _duplicate_remedy(canonical, line),
            )
        keys[canonical] = key
    raise AssertionError("no server has two names")


def _lines(node: yaml.Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the path and the line number of every key and of every item of a list."""
    yield path, strict_yaml.line_of(node)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, _SYNONYMS.get(key.value, str(key.value)))
            yield from _lines(value, below)
            yield below, strict_yaml.line_of(key)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, (*path, str(index)))


def _texts(node: yaml.Node, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and the text of every value that is neither a mapping nor a list, as it is in the file."""
    if isinstance(node, yaml.ScalarNode):
        yield path, str(node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _texts(value, (*path, _SYNONYMS.get(key.value, str(key.value))))


@dataclass(frozen=True)
class _Source:
    """A compare file, for error messages.

    Attributes:
        name: Its name.
        lines: The lines of its keys and items by their paths.
        texts: Its values by their paths, before YAML converts them.
    """

    name: str
    lines: Mapping[tuple[str, ...], int]
    texts: Mapping[tuple[str, ...], str]

    def where(self, *path: str, index: int | None = None) -> str:
        """Return the file's name, the line of a key, and the key's path. A missing key has the line of its parent.

        With an `index`, the line is that of an item in the list of the key.
        """
        item = path if index is None else (*path, str(index))
        line = next((self.lines[item[:end]] for end in range(len(item), -1, -1) if item[:end] in self.lines), 1)
        return f"{self.name}, line {line}" + (f", {printable('.'.join(path))}" if path else "")

    @contextmanager
    def errors_at(self, *path: str, index: int | None = None) -> Iterator[None]:
        """Convert an InputError inside the block to a ConfigError that names the line of this key or item."""
        try:
            yield
        except InputError as error:
            raise ConfigError(f"{self.where(*path, index=index)}: {error.message}", error.remedy) from error


def _require_known_keys(data: Mapping[str, Any], schema: Mapping[str, Any], source: _Source) -> None:
    server_keys = list(schema["$defs"]["tracking_server"]["properties"])
    known = [key for key in schema["properties"] if key not in _SYNONYMS]
    _require_known(data, known, (), source)
    for key in _SYNONYMS.values():
        if isinstance(data.get(key), dict):
            _require_known(data[key], server_keys, (key,), source)


def _require_known(data: Mapping[str, Any], known: list[str], path: tuple[str, ...], source: _Source) -> None:
    for key in data:
        if key not in known:
            message = f"{source.where(*path, key)}: the key {key!r} is not known."
            raise ConfigError(message, _known_keys_remedy(key, known, path))


def _known_keys_remedy(key: str, known: list[str], path: tuple[str, ...]) -> str:
    """Return the remedy for an unknown key: a similar key, or where the key belongs."""
    server_keys = load_schema(_SCHEMA)["$defs"]["tracking_server"]["properties"]
    singular = next((name for name in (key, key.removesuffix("s")) if name in server_keys), "")
    if not path and singular:
        return (
            f"Remove it: the key {singular!r} belongs below tracking_server_1 and below tracking_server_2. For several"
            " pairs of versions, write one compare file for each pair."
        )
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."


def _require_texts(server: str, data: object, source: _Source) -> None:
    """Require that no value of a server was read as true or false, and that none is a variable."""
    for key, value in data.items() if isinstance(data, dict) else ():
        raw = source.texts.get((server, key), "")
        if isinstance(value, bool):
            raise ConfigError(
                f"{source.where(server, key)}: YAML reads {raw!r} as {str(value).lower()}, not as a name.",
                f'Quote it: {key}: "{raw}".',
            )
        if isinstance(value, str) and _VARIABLE.search(value):
            # The message quotes a variable alone only, since the value of a host can have a password.
            variable = f"the variable {value}" if _VARIABLE_ALONE.fullmatch(value) else "a variable such as ${NAME}"
            raise ConfigError(
                f"{source.where(server, key)}: {variable} is not replaced by its value: a compare file has no"
                " variables.",
                _VARIABLE_REMEDIES.get(key, "Write the value itself."),
            )


_VARIABLE_REMEDIES = {
    "host": (
        f"Write the address itself. Or write server: NAME instead of host, and set NAME_{TRACKING_URI} to the address;"
        " choose a NAME that no other server has."
    ),
    "server": (
        f"Write a name such as staging, and set STAGING_{TRACKING_URI} to the server's address. Or write host: with the"
        " address instead of server."
    ),
}


def _require_one_server(key: str, data: object, source: _Source) -> None:
    """Require that a server is named either by its address or by its name, if the entry is a mapping."""
    if not isinstance(data, dict):
        return
    if "seal" in data:
        other = next((name for name in ("host", "server", "version_or_stage", "registry") if name in data), None)
        if other:
            raise ConfigError(
                f"{source.where(key, other)}: a seal stands in the place of a server, so {other} has no meaning.",
                "Remove it, or remove the seal.",
            )
        return
    if "host" in data and "server" in data:
        raise ConfigError(
            f"{source.where(key, 'server')}: the server is named twice, by host and by server.", "Remove one of them."
        )
    if "host" not in data and "server" not in data:
        raise ConfigError(
            f"{source.where(key)}: the key 'host' is missing.",
            "Name the server by its address (host: https://mlflow.example.com) or by its name (server: prod), or name"
            " a seal (seal: seals/wine.json).",
        )


def _side(
    key: str, data: Mapping[str, str], source: _Source, declarations: Declarations
) -> VersionRequest | SealedVersion:
    return _sealed_version(key, data, source) if "seal" in data else _version_request(key, data, source, declarations)


def _sealed_version(key: str, data: Mapping[str, str], source: _Source) -> SealedVersion:
    """Return the seal that an entry names.

    Raises:
        ConfigError: The path leaves the working directory, or the native model is not a path inside the model.
        SealError: The seal cannot be read, was edited, or is of another registered model.
    """
    path = data["seal"]
    # The author of a compare file may not choose which files of this machine are read.
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        kind = "an absolute path" if path.startswith("/") else "not a path beneath the working directory"
        raise ConfigError(
            f"{source.where(key, 'seal')}: {printable(path)} is {kind}.",
            "Name a seal of the repository by its path from the root, such as seals/wine.json.",
        )
    with source.errors_at(key, "native_model"):
        native_model = checked_native_model(data.get("native_model") or "")
    seal = read_seal(Path(path))
    if "model" in data:
        seal.require_model_name(data["model"], f"Name the model of the seal in {source.where(key, 'model')}.")
    return SealedVersion(seal, native_model)


def _require_one_seal(
    sides: Mapping[str, VersionRequest | SealedVersion], data: Mapping[str, Any], source: _Source
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


def _version_request(key: str, data: Mapping[str, str], source: _Source, declarations: Declarations) -> VersionRequest:
    registry = RegistryKind(data["registry"]) if data.get("registry") else None
    if "server" in data:
        with source.errors_at(key, "server"):
            host = declarations.named(data["server"])
    else:
        with source.errors_at(key, "host"):
            declarations.require_no_name(data["host"], "server: {}")
            host = declarations.find(data["host"])
    with source.errors_at(key, "model" if host.workspace else "registry"):
        host = host.for_model(data["model"], registry)
    with source.errors_at(key, "native_model"):
        native_model = checked_native_model(data.get("native_model") or "")
    with source.errors_at(key, "version_or_stage"):
        version_name = checked_version_name(data["version_or_stage"], data["model"])
    return VersionRequest(host, data["model"], version_name, native_model)


def _require_both_native(servers: Mapping[str, VersionRequest | SealedVersion], source: _Source) -> None:
    missing = [key for key, version in servers.items() if not version.native_model]
    if len(missing) == 1:
        raise ConfigError(
            f"{source.where(missing[0])}: native_model is given for the other server only.",
            "Give it for both, or for neither: a native model cannot be compared with a whole MLflow model.",
        )


def checked_native_model(path: str) -> str:
    """Return the path of a native model in its shortest form, such as `a/b` for `./a//b/`.

    Raises:
        InputError: The path is absolute, or leads out of the model.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or ".." in parts or "\0" in path:
        raise InputError(
            f"The native model {path!r} is not a path inside the MLflow model.",
            "Give a relative path without '..', such as model.pkl or data/model.",
        )
    return "/".join(parts)
