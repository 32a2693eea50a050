"""The environment of a worker that starts before its tracking server is known.

The module imports almost nothing, because the gate starts its first worker before it imports anything else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

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
    }
)

# With two retries and ten seconds for each request, a dead server is an error after half a minute. With MLflow's
# defaults, it takes four minutes.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # With the header Retry-After, a server could make the gate wait for an hour.
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
}

# Settings that a worker always gets, whatever the user sets.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Otherwise MLflow would start processes with presigned URLs in their arguments.
    "MLFLOW_ENABLE_MULTIPART_DOWNLOAD": "false",
    # By default, MLflow reads each file in pieces of 100 MB. Many downloads at once would need too much memory.
    "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(8 * 1024 * 1024),
    "PYTHONWARNINGS": "ignore",
    # Otherwise `requests` would prefer ~/.netrc to the declared credentials.
    "NETRC": os.devnull,
}


def base_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without credentials, for a worker that starts before its tracking server is known."""
    # MLflow rejects an empty number. An empty value counts as not set.
    allowed = {
        name: value for name, value in environment.items() if name in _ENVIRONMENT and (value or name not in _LIMITS)
    }
    return _LIMITS | allowed | SETTINGS | {"HOME": os.devnull}
