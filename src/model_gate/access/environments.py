"""Environments of worker processes.

Each environment has only variables from an allow-list, and only credentials that the user declared for the worker's
server. Otherwise MLflow would use other credentials: it prefers environment variables to profiles, and `~/.netrc` to
the user-info of a URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from model_gate.access.databricks import login_environment, login_secrets
from model_gate.access.hosts import find_host, parse_host
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError

_TRACKING_URI = "MLFLOW_TRACKING_URI"

# Variables that every worker gets: search path, locale, certificates, proxies, and MLflow's request settings.
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

# Prefixes of the object stores' credentials. Every worker gets them, because they do not belong to a tracking server.
_STORE_PREFIXES = ("AWS_", "AZURE_STORAGE_", "AZURE_CLIENT_", "AZURE_TENANT_", "GOOGLE_", "BOTO_")

# Credentials for the server in MLFLOW_TRACKING_URI only.
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

# With two retries and ten seconds for each request, a dead server is an error after half a minute. With MLflow's
# defaults, it takes four minutes.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # With this header, a server could make the gate wait for an hour.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow would start processes with presigned URLs in their arguments.
    "MLFLOW_ENABLE_MULTIPART_DOWNLOAD": "false",
    # MLflow reads pieces of 100 MB of each file, which many downloads at once have no memory for.
    "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(8 * 1024 * 1024),
    "PYTHONWARNINGS": "ignore",
    # `requests` would prefer ~/.netrc to the declared credentials.
    "NETRC": os.devnull,
}


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without credentials, for a worker that starts before its tracking server is known."""
    allowed = {name: value for name, value in environment.items() if name in _ENVIRONMENT}
    return _LIMITS | allowed | _SETTINGS | {"HOME": os.devnull}


def environment_for(host: Host, environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the complete environment of the worker for `host`.

    `home` is an empty directory that becomes the worker's home directory. It hides the user's `~/.netrc`,
    `~/.mlflow/credentials` and `~/.databrickscfg` from MLflow.
    """
    result = base_environment(environment) | {"HOME": str(home)}
    result |= {name: value for name, value in environment.items() if name.startswith(_STORE_PREFIXES)}
    result |= _store_files(environment)
    result["MLFLOW_TRACKING_URI"] = result["MLFLOW_REGISTRY_URI"] = host.uri
    if host.workspace is not None:
        return result | login_environment(host.workspace)
    return result | _credentials_for(host, environment)


def _store_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables with the paths of the object stores' credential files.

    Without these variables, a worker would not find the files, because the worker's home directory is not the
    user's.
    """
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
        # The credentials are not in the URI, because MLflow's exceptions quote the URI.
        return {"MLFLOW_TRACKING_USERNAME": host.username, "MLFLOW_TRACKING_PASSWORD": host.password}
    default = _parsed_default(environment)
    if default is None or default.address != host.address:
        return {}
    result = {name: environment[name] for name in _TRACKING_CREDENTIALS if environment.get(name)}
    if default.username:
        result |= {"MLFLOW_TRACKING_USERNAME": default.username, "MLFLOW_TRACKING_PASSWORD": default.password}
    return result


def _parsed_default(environment: Mapping[str, str]) -> Host | None:
    try:
        return parse_host(environment.get(_TRACKING_URI, ""))
    except InputError:
        return None


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secret values in environment variables, and the secrets of the server in `MLFLOW_TRACKING_URI`."""
    values = [environment.get(name, "") for name in _SECRET_VARIABLES]
    values += login_secrets(environment)
    with suppress(InputError):
        values += find_host(environment.get(_TRACKING_URI, ""), environment).secrets
    return tuple(value for value in values if value)
