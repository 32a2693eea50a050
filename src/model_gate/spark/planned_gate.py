"""Gates as data without credentials: the driver of a cluster makes it, and the executors make gates of it again.

The data names each server by its declared name or its address. An executor finds the login of a server in its own
environment variables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from model_gate.access.declared import Declarations
from model_gate.access.redaction import Redactor
from model_gate.domain.gates import Entry, Gate
from model_gate.domain.host import Host, RegistryKind
from model_gate.domain.ignore import Ignore
from model_gate.domain.request import CheckRequest, CompareRequest, ConfigFile, GateOptions, VersionRequest
from model_gate.domain.roles import CommandName, VersionRole
from model_gate.domain.seal import Seal, SealedVersion, parse_seal
from model_gate.domain.verdict import Require
from model_gate.domain.wording import printable
from model_gate.errors import InputError, InternalError, ModelGateError, error_from_name
from model_gate.formats.model_signing import StatementError, statement_bytes

Json = dict[str, Any]
_CLUSTER_LOGIN = (
    "Write server: NAME in the gates file, and declare the server by the variables of the cluster:"
    " NAME_MLFLOW_TRACKING_URI and its login."
)


@dataclass(frozen=True)
class PlannedGate:
    """A gate that an executor can run. It has no credentials.

    Attributes:
        name: The name of the gate's row.
        data: The gate as JSON.
        seal: The gate's seal as JSON; None if it has none.
    """

    name: str
    data: str
    seal: bytes | None = field(default=None, repr=False)


class Servers:
    """The servers that planned gates name, found in the environment of this machine. Each is looked up once.

    Args:
        environment: The environment variables.

    Raises:
        InputError: A variable declares a server that cannot be used.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._declarations = Declarations(environment)
        self._found: dict[tuple[str, str], Host] = {}

    def find(self, data: Json) -> Host:
        """Return the server that the data of a gate names.

        Raises:
            InputError: The environment declares no such server, or another one by the same name.
        """
        key = data["server"], data["address"]
        if key not in self._found:
            self._found[key] = self._declarations.named(key[0]) if key[0] else self._declarations.find(key[1])
        host = self._found[key]
        workspace = "" if host.workspace is None else host.workspace.url
        if (host.address, workspace) != (data["address"], data["workspace"]):
            raise InputError(
                f"{_title(data)} is {workspace or host.address} on the executor, and"
                f" {data['workspace'] or data['address']} on the driver.",
                "Set the variables of the cluster, which are the same on the driver and on all executors.",
            )
        registry = data["registry"]
        if host.workspace is None or not registry:
            return host
        return replace(host, workspace=replace(host.workspace, registry=RegistryKind(registry)))


def plan_gate(name: str, gate: Gate, servers: Servers, redactor: Redactor) -> PlannedGate:
    """Return a gate as data. A gate that would need a credential in its data has an error in its place.

    Args:
        name: The name of the gate's row.
        gate: The gate.
        servers: The servers in the driver's environment.
        redactor: Finds the secrets of the driver's environment and of all gates.
    """
    if gate.error is not None:
        return _planned(name, _redacted(name, gate, gate.error, redactor), servers)
    try:
        planned = _planned(name, gate, servers)
        _require_no_secret(planned, redactor)
    except ModelGateError as error:
        return _planned(name, _redacted(name, gate, error, redactor), servers)
    return planned


def read_gate(planned: PlannedGate, servers: Servers) -> Gate:
    """Return the gate of a row of the plan.

    Raises:
        InputError: The environment does not declare a server of the gate, or declares another one.
    """
    data = json.loads(planned.data)
    entry = Entry(**data["entry"])
    if data["error"] is not None:
        return Gate(data["name"], entry, None, error_from_name(*data["error"]))
    return Gate(data["name"], entry, _request(data["request"], planned.seal, servers))


def read_place(planned: PlannedGate) -> Gate:
    """Return the name and the entry of a planned gate, without its request."""
    data = json.loads(planned.data)
    return Gate(planned.name, Entry(**data["entry"]), None)


def _planned(name: str, gate: Gate, servers: Servers) -> PlannedGate:
    """Return a gate as data, after a check that the same gate can be made of it.

    Raises:
        InputError: The login of a server is a part of the gates file.
        InternalError: The data is not the same gate.
    """
    request, error = gate.request, gate.error
    data = {
        "name": gate.name,
        "entry": vars(gate.entry),
        "request": None if request is None else _request_data(request, servers),
        "error": None if error is None else [error.type, error.message, error.remedy],
    }
    planned = PlannedGate(name, json.dumps(data), None if request is None else _seal_content(request.seal))
    if request is not None and read_gate(planned, servers) != gate:
        raise InternalError(f"The gate {printable(gate.name)} changes on its way to an executor.", "")
    return planned


def _redacted(name: str, gate: Gate, error: ModelGateError, redactor: Redactor) -> Gate:
    """Return a gate with an error, of which no text has a secret."""
    entry = replace(gate.entry, name=redactor.text(gate.entry.name), file=redactor.path(gate.entry.file))
    shown = type(error)(redactor.text(error.message), redactor.text(error.remedy))
    return Gate(name, entry, None, shown)


def _require_no_secret(planned: PlannedGate, redactor: Redactor) -> None:
    """Verify that no text of a planned gate has a secret of the driver.

    Raises:
        InputError: A text has a secret. The message has not.
    """
    texts = [*_texts(json.loads(planned.data))]
    if planned.seal is not None:
        # Digests can have the letters of a secret by chance.
        seal = parse_seal(planned.seal, "")
        texts += [*seal.files, *_texts({**seal.statement.annotations, "name": seal.statement.name})]
    if any(redactor.text(text) != text for text in texts):
        raise InputError(
            "This gate cannot be sent to the executors of the cluster: one of its texts contains a secret of the"
            " driver's environment, such as a password.",
            "Change the secret, or run this gate with model-gate run.",
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _request_data(request: CheckRequest | CompareRequest, servers: Servers) -> Json:
    data: Json = {
        "command": request.command,
        "versions": {role: _version_data(version, servers) for role, version in request.versions.items()},
        "seal_file": None if request.seal is None else request.seal.file,
        "options": vars(request.options) | {"ignore": request.options.ignore.patterns},
        "notices": request.notices,
        "config": request.config,
    }
    if isinstance(request, CompareRequest):
        sealed = {role: side.native_model for role, side in request.sides.items() if isinstance(side, SealedVersion)}
        run_models, reg_models = request.compare_run_models, request.compare_reg_models
        data |= {"sealed": sealed, "compare_run_models": run_models, "compare_reg_models": reg_models}
    return data


def _version_data(version: VersionRequest, servers: Servers) -> Json:
    return {
        "host": _host_data(version.host, servers),
        "model": version.model,
        "version_or_stage": version.version_or_stage,
        "native_model": version.native_model,
    }


def _host_data(host: Host, servers: Servers) -> Json:
    """Return how the environment names a server.

    Raises:
        InputError: The environment does not have the login with which the driver would use the server.
    """
    workspace = host.workspace
    data = {
        "server": host.server,
        "address": host.address,
        "workspace": "" if workspace is None else workspace.url,
        "registry": None if workspace is None else workspace.registry,
    }
    for form in ([data] if host.server else []) + [data | {"server": ""}]:
        try:
            if servers.find(form) == host:
                return form
        except InputError:
            # Another name of this machine has been written in place of the declared address.
            continue
    raise InputError(
        f"The login to {host.address} is written in the gates file, and is not sent to the executors of the cluster.",
        _CLUSTER_LOGIN,
    )


def _seal_content(seal: Seal | None) -> bytes | None:
    if seal is None:
        return None
    try:
        return statement_bytes(seal.statement)
    except StatementError as error:
        raise InputError(f"The seal {printable(seal.file)} cannot be sent to an executor: {error}.", "") from error


def _request(data: Json, seal_content: bytes | None, servers: Servers) -> CheckRequest | CompareRequest:
    seal = None if seal_content is None else parse_seal(seal_content, data["seal_file"])
    versions = {VersionRole(role): _version(version, servers) for role, version in data["versions"].items()}
    config = None if data["config"] is None else ConfigFile(*data["config"])
    options, notices = _options(data["options"]), tuple(data["notices"])
    if data["command"] == CommandName.CHECK:
        version = versions[VersionRole.MODEL_VERSION]
        return CheckRequest(version, seal, options=options, notices=notices, config=config)

    def side(role: VersionRole) -> VersionRequest | SealedVersion:
        if seal is not None and role in data["sealed"]:
            return SealedVersion(seal, data["sealed"][role])
        return versions[role]

    return CompareRequest(
        side(VersionRole.TRACKING_SERVER_1),
        side(VersionRole.TRACKING_SERVER_2),
        data["compare_run_models"],
        data["compare_reg_models"],
        options=options,
        notices=notices,
        config=config,
    )


def _version(data: Json, servers: Servers) -> VersionRequest:
    return VersionRequest(servers.find(data["host"]), data["model"], data["version_or_stage"], data["native_model"])


def _options(data: Json) -> GateOptions:
    return GateOptions(**(data | {"require": Require(data["require"]), "ignore": Ignore(tuple(data["ignore"]))}))


def _title(data: Json) -> str:
    return f"The server {data['server']!r}" if data["server"] else f"The server {data['address']}"
