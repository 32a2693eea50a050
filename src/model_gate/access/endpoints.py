"""Endpoints of the object stores that environment variables declare.

>>> store_endpoints({"MLFLOW_S3_ENDPOINT_URL": "https://minio.example.com:9000/"})
('https://minio.example.com:9000',)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from model_gate.domain.origin import endpoint_of
from model_gate.domain.variables import CONNECTION_STRING, GOOGLE_ENDPOINT, S3_ENDPOINTS, STORE_ENDPOINTS

# The variables with the address of a store, by the scheme of its locations. The client of the cloud uses the first one
# that is set.
_ADDRESS_VARIABLES = {"s3": S3_ENDPOINTS, "r2": S3_ENDPOINTS, "gs": (GOOGLE_ENDPOINT,)}
_AZURE_EMULATOR = "http://127.0.0.1:10000"


def store_endpoints(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the unchanged value of MODEL_GATE_STORE_ENDPOINTS, and the origins of the stores in other variables."""
    urls = [variables.get(name, "") for name in (*S3_ENDPOINTS, GOOGLE_ENDPOINT)]
    origins = [http_origin(url) for url in (*urls, *_azure_endpoints(variables.get(CONNECTION_STRING, "")))]
    return tuple(dict.fromkeys(filter(None, (variables.get(STORE_ENDPOINTS, "").strip(), *origins))))


def store_addresses(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the origins of the stores whose addresses are in variables, by the scheme of their locations.

    >>> store_addresses({"AWS_ENDPOINT_URL": "http://minio:9000"})
    {'s3': 'http://minio:9000', 'r2': 'http://minio:9000'}
    """
    urls = {
        scheme: next((variables[name] for name in names if variables.get(name)), "")
        for scheme, names in _ADDRESS_VARIABLES.items()
    }
    # Without a blob endpoint, the location of a blob has the address.
    urls["wasbs"] = _azure_fields(variables.get(CONNECTION_STRING, "")).get("blobendpoint", "")
    return {scheme: origin for scheme, url in urls.items() if (origin := http_origin(url))}


def http_origin(text: str) -> str:
    """Return the scheme, host and port of an HTTP URL, "" if the text is not an HTTP URL."""
    text = text.strip()
    if text and "://" not in text:
        # The value of Google's variable STORAGE_EMULATOR_HOST may have no scheme.
        text = f"http://{text}"
    endpoint = endpoint_of(text)
    return str(endpoint.origin) if endpoint and endpoint.origin.scheme in {"http", "https"} else ""


def _azure_endpoints(connection: str) -> Iterator[str]:
    names = _azure_fields(connection)
    if names.get("usedevelopmentstorage", "").lower() == "true":
        yield _AZURE_EMULATOR
    for kind in ("blob", "dfs"):
        if endpoint := names.get(f"{kind}endpoint"):
            yield endpoint
        elif names.get("endpointsuffix") and names.get("accountname"):
            scheme = names.get("defaultendpointsprotocol", "https")
            yield f"{scheme}://{names['accountname']}.{kind}.{names['endpointsuffix']}"


def _azure_fields(connection: str) -> dict[str, str]:
    """Return the fields of a connection string by their names in lower case."""
    fields = dict(part.partition("=")[::2] for part in connection.split(";") if part)
    return {name.lower(): value for name, value in fields.items()}
