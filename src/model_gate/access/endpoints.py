"""Origins of the object stores that environment variables declare.

>>> store_endpoints({"MLFLOW_S3_ENDPOINT_URL": "https://minio.example.com:9000/"})
('https://minio.example.com:9000',)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from model_gate.domain.variables import STORE_ENDPOINTS
from model_gate.errors import InputError

_URL_VARIABLES = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "STORAGE_EMULATOR_HOST")
_AZURE_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_AZURE_EMULATOR = "http://127.0.0.1:10000"


def store_endpoints(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the origins that a worker's variables declare. Entries of MODEL_GATE_STORE_ENDPOINTS are kept as they are.

    Such an entry can have user-info, which is the login for it, a path, and a protocol of its own such as hdfs.
    """
    texts = [variables.get(name, "") for name in _URL_VARIABLES]
    declared = [entry.rstrip("/") for entry in _split(variables.get(STORE_ENDPOINTS, "")) if _is_endpoint(entry)]
    found = [*declared, *map(origin, texts), *map(origin, _azure_endpoints(variables.get(_AZURE_CONNECTION, "")))]
    return tuple(dict.fromkeys(filter(None, found)))


def require_endpoints(text: str, label: str) -> None:
    """Require that a text lists the addresses of stores.

    Raises:
        InputError: An entry is no address. The message does not quote it, because it may contain a password.
    """
    for number, entry in enumerate(_split(text), start=1):
        if not _is_endpoint(entry):
            raise InputError(
                f"Entry {number} of {label} is not the address of a store.",
                "Write addresses such as https://minio.example.com:9000, separated by commas.",
            )


def _split(text: str) -> list[str]:
    return [entry for entry in re.split(r"[\s,]+", text) if entry]


def _is_endpoint(entry: str) -> bool:
    try:
        parts = urlsplit(entry)
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return bool("://" in entry and parts.hostname and is_port and not parts.query and not parts.fragment)


def origin(text: str) -> str:
    """Return the scheme, host and port of an HTTP URL, "" if the text is none."""
    text = text.strip()
    if text and "://" not in text:
        # Google's emulator variable may have no scheme.
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return ""
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _azure_endpoints(connection: str) -> Iterator[str]:
    fields = dict(part.partition("=")[::2] for part in connection.split(";") if part)
    names = {name.lower(): value for name, value in fields.items()}
    if names.get("usedevelopmentstorage", "").lower() == "true":
        yield _AZURE_EMULATOR
    for kind in ("blob", "dfs"):
        if endpoint := names.get(f"{kind}endpoint"):
            yield endpoint
        elif names.get("endpointsuffix") and names.get("accountname"):
            scheme = names.get("defaultendpointsprotocol", "https")
            yield f"{scheme}://{names['accountname']}.{kind}.{names['endpointsuffix']}"
