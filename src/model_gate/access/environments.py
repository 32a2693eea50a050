"""Environments of worker processes: allow-lists, so that a credential reaches only the server it is declared for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from model_gate.access.databricks import login_environment, login_secrets
from model_gate.access.hosts import parse_host
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError

# What any program needs: where things are, how to get out, whom to trust.
_ENVIRONMENT = frozenset(
    {
        "PATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "MLFLOW_HTTP_REQUEST_TIMEOUT",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR",
        "MLFLOW_WORKSPACE",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
    }
)


# Object stores are not tracking servers: these sign requests to the store, whichever server named the file in it.
_STORE_PREFIXES = ("AWS_", "AZURE_STORAGE_", "AZURE_CLIENT_", "AZURE_TENANT_", "GOOGLE_", "BOTO_")


# Declared for the one server that MLFLOW_TRACKING_URI names, and for no other.
_TRACKING_CREDENTIALS = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
)


_SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
)


# Two retries and ten seconds a try: a dead server is told in half a minute, not in MLflow's four.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # It may say an hour.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}


_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow would put presigned URLs on the command lines of processes of its own.
    "MLFLOW_ENABLE_MULTIPART_DOWNLOAD": "false",
    "PYTHONWARNINGS": "ignore",
    # `requests` would otherwise take ~/.netrc over what was declared.
    "NETRC": os.devnull,
}


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that does not know yet which host it will talk to: no credential is in it."""
    allowed = {name: value for name, value in environment.items() if name in _ENVIRONMENT}
    return _LIMITS | allowed | _SETTINGS | {"HOME": os.devnull}


def environment_for(host: Host, environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The whole environment of the process that talks to `host`.

    `home` is an empty directory: `~/.netrc`, `~/.mlflow/credentials` and `~/.databrickscfg` are not there.
    """
    result = base_environment(environment) | {"HOME": str(home)}
    result |= {name: value for name, value in environment.items() if name.startswith(_STORE_PREFIXES)}
    result |= _store_files(environment)
    result["MLFLOW_TRACKING_URI"] = result["MLFLOW_REGISTRY_URI"] = host.uri
    if host.workspace is not None:
        return result | login_environment(host.workspace)
    return result | _credentials_for(host, environment)


def _store_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Where the object stores' own credential files are, since HOME will point elsewhere."""
    home = Path(environment.get("HOME", "/nonexistent"))
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": home / ".aws" / "credentials",
        "AWS_CONFIG_FILE": home / ".aws" / "config",
        "CLOUDSDK_CONFIG": home / ".config" / "gcloud",
    }
    return {name: environment.get(name) or str(path) for name, path in files.items()}


def _credentials_for(host: Host, environment: Mapping[str, str]) -> dict[str, str]:
    if host.kind is not HostKind.HTTP:
        return {}
    if host.username:
        # As variables, not in the URI, since MLflow's exceptions repeat the URI.
        return {"MLFLOW_TRACKING_USERNAME": host.username, "MLFLOW_TRACKING_PASSWORD": host.password}
    default = _default_host(environment)
    if default is None or default.address != host.address:
        return {}
    result = {name: environment[name] for name in _TRACKING_CREDENTIALS if environment.get(name)}
    if default.username:
        result |= {"MLFLOW_TRACKING_USERNAME": default.username, "MLFLOW_TRACKING_PASSWORD": default.password}
    return result


def _default_host(environment: Mapping[str, str]) -> Host | None:
    try:
        return parse_host(environment.get("MLFLOW_TRACKING_URI", ""), environment=environment)
    except InputError:
        return None


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secret values in this process's own environment that could end up in a text."""
    default = _default_host(environment)
    found = [environment.get(name, "") for name in _SECRET_VARIABLES]
    found += login_secrets(environment)
    return tuple(value for value in (*found, *(default.secrets if default else ())) if value)
