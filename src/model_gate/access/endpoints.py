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
    """Return the origins that a worker's variables declare. Only those in MODEL_GATE_STORE_ENDPOINTS keep user-info."""
    texts = [variables.get(name, "") for name in _URL_VARIABLES]
    declared = [origin(text, with_user_info=True) for text in _split(variables.get(STORE_ENDPOINTS, ""))]
    found = [*declared, *map(origin, texts), *map(origin, _azure_endpoints(variables.get(_AZURE_CONNECTION, "")))]
    return tuple(dict.fromkeys(filter(None, found)))


def require_endpoints(text: str, label: str) -> None:
    """Require that a text lists origins.

    Raises:
        InputError: An entry is no origin. The message does not quote it, because it may contain a password.
    """
    for number, entry in enumerate(_split(text), start=1):
        if "://" not in entry or not origin(entry) or urlsplit(entry).path.strip("/") or re.search("[?#]", entry):
            raise InputError(
                f"Entry {number} of {label} is not the address of a store.",
                "Write addresses such as https://minio.example.com:9000, separated by commas.",
            )


def _split(text: str) -> list[str]:
    return [entry for entry in re.split(r"[\s,]+", text) if entry]


def origin(text: str, *, with_user_info: bool = False) -> str:
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
    user_info = parts.netloc.rpartition("@")[0] if with_user_info else ""
    return f"{parts.scheme}://{user_info}{'@' if user_info else ''}{name}" + (f":{port}" if port else "")


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
