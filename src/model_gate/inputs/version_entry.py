"""Reads a model version or a seal from the mapping that names it in a compare file or a gates file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from model_gate.access.declared import Declarations
from model_gate.domain.host import Host, RegistryKind
from model_gate.domain.request import VersionRequest
from model_gate.domain.seal import Seal, SealedVersion
from model_gate.domain.variables import TRACKING_URI
from model_gate.domain.wording import printable
from model_gate.errors import ConfigError, InputError
from model_gate.inputs.seal_file import read_seal
from model_gate.inputs.version_name import checked_version_name
from model_gate.inputs.yaml_source import Source

# What to write instead of a variable, by key.
VARIABLE_REMEDIES = {
    "host": (
        f"Write the address itself. Or write server: NAME instead of host, and set NAME_{TRACKING_URI} to the address;"
        " choose a NAME that no other server has."
    ),
    "server": (
        f"Write a name such as staging, and set STAGING_{TRACKING_URI} to the server's address. Or write host: with the"
        " address instead of server."
    ),
}
# What to do about a key that is missing.
MISSING_KEY_REMEDIES = {
    "model": "Add it, with the name of the registered model.",
    "version_or_stage": 'Add it, with a version number (1), a stage (Production) or an alias ("@champion").',
}
_NAME_A_SERVER = "Name the server by its address (host: https://mlflow.example.com) or by its name (server: prod)"


class NamedServers:
    """The servers that a file names. Each is looked up once.

    Args:
        declarations: The declared servers.
        are_declared: Whether every server in the file counts as declared.
    """

    def __init__(self, declarations: Declarations, *, are_declared: bool = False) -> None:
        self._declarations = declarations
        self._are_declared = are_declared
        self._found: dict[tuple[str, str], Host] = {}

    def host(self, path: tuple[str, ...], data: Mapping[str, str], source: Source) -> Host:
        """Return the server that a mapping names, without the choice of a registry.

        Raises:
            ConfigError: The address cannot be used, or no variable declares the server.
        """
        key = "server" if "server" in data else "host"
        if (key, data[key]) not in self._found:
            with source.errors_at(*path, key):
                self._found[key, data[key]] = self._find(key, data[key])
        return self._found[key, data[key]]

    def _find(self, key: str, text: str) -> Host:
        if key == "server":
            host = self._declarations.named(text)
        else:
            self._declarations.require_no_name(text, "server: {}")
            host = self._declarations.find(text)
        return replace(host, is_declared=True) if self._are_declared else host


def require_one_server(path: tuple[str, ...], data: object, source: Source, *, has_seals: bool = True) -> None:
    """Verify that a mapping names its server either by its address or by its name.

    Args:
        path: The path of the mapping.
        data: The value at the path. A value that is not a mapping breaks the schema anyway.
        source: The file.
        has_seals: Whether a seal can stand in the place of the server.

    Raises:
        ConfigError: The server is not named, or named twice.
    """
    if not isinstance(data, dict):
        return
    if has_seals and "seal" in data:
        other = next((name for name in ("host", "server", "version_or_stage", "registry") if name in data), None)
        if other:
            raise ConfigError(
                f"{source.where(*path, other)}: a seal stands in the place of a server, so {other} has no meaning.",
                "Remove it, or remove the seal.",
            )
        return
    if "host" in data and "server" in data:
        raise ConfigError(
            f"{source.where(*path, 'server')}: the server is named twice, by host and by server.",
            "Remove one of them.",
        )
    if "host" not in data and "server" not in data:
        seal = ", or name a seal (seal: seals/wine.json)" if has_seals else ""
        raise ConfigError(f"{source.where(*path)}: the key 'host' is missing.", f"{_NAME_A_SERVER}{seal}.")


def version_request(
    path: tuple[str, ...], data: Mapping[str, str], source: Source, servers: NamedServers
) -> VersionRequest:
    """Return the version that a mapping names.

    Raises:
        ConfigError: A value cannot be used, or no variable declares the server.
    """
    host, registry = servers.host(path, data, source), named_registry(data)
    with source.errors_at(*path, "model" if host.workspace else "registry"):
        host = host.for_model(data["model"], registry)
    with source.errors_at(*path, "native_model"):
        native_model = checked_native_model(data.get("native_model") or "")
    with source.errors_at(*path, "version_or_stage"):
        version_name = checked_version_name(data["version_or_stage"], data["model"])
    return VersionRequest(host, data["model"], version_name, native_model)


def named_registry(data: Mapping[str, str]) -> RegistryKind | None:
    """Return the registry that a mapping names; None if it names none."""
    return RegistryKind(data["registry"]) if data.get("registry") else None


def sealed_version(
    path: tuple[str, ...], data: Mapping[str, str], source: Source, read: Callable[[Path], Seal] = read_seal
) -> SealedVersion:
    """Return the seal that a mapping names in the place of a version.

    Raises:
        ConfigError: The path leaves the working directory, or the native model is not a path inside the model.
        SealError: The seal cannot be read, was edited, or is of another registered model.
    """
    file = seal_path((*path, "seal"), data["seal"], source)
    with source.errors_at(*path, "native_model"):
        native_model = checked_native_model(data.get("native_model") or "")
    seal = read(Path(file))
    if "model" in data:
        seal.require_model_name(data["model"], f"Name the model of the seal in {source.where(*path, 'model')}.")
    return SealedVersion(seal, native_model)


def seal_path(path: tuple[str, ...], file: str, source: Source) -> str:
    """Return the path of a seal, if it is beneath the working directory.

    Args:
        path: The path of the key that has the seal.
        file: The seal.
        source: The file with the key.

    Raises:
        ConfigError: The path leaves the working directory.
    """
    # The author of a compare file may not choose which files of this machine are read.
    if file.startswith("/") or ".." in file.split("/") or "\0" in file:
        kind = "an absolute path" if file.startswith("/") else "not a path beneath the working directory"
        raise ConfigError(
            f"{source.where(*path)}: {printable(file)} is {kind}.",
            "Name a seal of the repository by its path from the root, such as seals/wine.json.",
        )
    return file


def server_keys(schema: Mapping[str, Any]) -> list[str]:
    """Return the keys of a version or a seal, as the schema of the file lists them."""
    return list(schema["$defs"]["tracking_server"]["properties"])


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
