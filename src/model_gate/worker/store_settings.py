"""Checks the settings of an object store before the client of its cloud is made.

The clients report these mistakes in words of their own, or not at all: with a login file that Google's client cannot
read, a store is read without a login. A message shows the value of a setting only if the value contains no login.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model_gate.domain.variables import INSECURE_TLS, SERVER_CERTIFICATE
from model_gate.domain.wording import printable
from model_gate.errors import AccessError, InputError, ModelError
from model_gate.worker.credential_facts import CredentialFacts, StoreFamily, edge_problem
from model_gate.worker.object_store import (
    ACCESS_KEY,
    address_variable,
    azure_login_variable,
    connection_field,
    family_of,
    store_of,
)
from model_gate.worker.proxies import require_proxy
from model_gate.worker.stores.mlflow_settings import IGNORE_TLS, is_boolean, is_true

# Schemes of Azure that MLflow does not read, and those of the same stores that it reads.
_READ_BY_MLFLOW = {"wasb": "wasbs", "abfs": "abfss"}
# The host names that each client accepts. Only the client of S3 rejects an underscore.
_S3_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\.?|[0-9a-f:.]*:[0-9a-f:.]*(?:%.*)?", re.IGNORECASE | re.ASCII)
_ANY_HOST = re.compile(r"\S+")
# Only such a value is shown, because another value may contain a password.
_MISTYPED_ADDRESS = re.compile(r"(?:[a-z]+:/{1,3})?[\w.-]*(?::\d*)?/?", re.ASCII)
# Variables with the file of a certificate authority.
_CERTIFICATES = {
    StoreFamily.S3: ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
    StoreFamily.AZURE: ("REQUESTS_CA_BUNDLE",),
    StoreFamily.GCS: ("REQUESTS_CA_BUNDLE",),
}
# The values that the client of S3 accepts for a variable. A worker does not get an empty variable.
_S3_CHOICES = {
    "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": ("auto", "path", "virtual"),
    "AWS_RETRY_MODE": ("legacy", "standard", "adaptive"),
}
_S3_NUMBERS = {
    "AWS_MAX_ATTEMPTS": (re.compile(r"\s*\+?0*[1-9][0-9]{0,8}\s*", re.ASCII), "a whole number of at least 1"),
    "MLFLOW_S3_EXPECTED_BUCKET_OWNER": (
        re.compile(r"[!-~]+"),
        "the ID of an account: letters, digits and signs without white space",
    ),
}
_GOOGLE_LOGIN = "GOOGLE_APPLICATION_CREDENTIALS"
# A longer value may be the login itself in place of its path.
_MAX_PATH = 255
_GOOGLE_LOGIN_TYPES = frozenset(
    {
        "authorized_user",
        "service_account",
        "external_account",
        "external_account_authorized_user",
        "impersonated_service_account",
        "gdch_service_account",
    }
)


def require_settings(uri: str, environment: Mapping[str, str]) -> None:
    """Check the settings that the client of a location's cloud will use. Locations outside a cloud have none.

    Raises:
        ModelError: MLflow does not read the scheme of the location.
        InputError: The address of the store or of its proxy is malformed, or another setting.
        AccessError: The file with the login cannot be used.
    """
    scheme, _, rest = uri.partition(":")
    family = family_of(scheme)
    if scheme in _READ_BY_MLFLOW:
        other = _READ_BY_MLFLOW[scheme]
        raise ModelError(f"MLflow does not read {scheme}: locations.", f"Name the location {other}:{rest}.")
    if family is None:
        return
    given_name = CredentialFacts.from_environment(environment).given_name
    for name in _CERTIFICATES[family]:
        if environment.get(name):
            _require_certificates(given_name(name), environment[name])
    if family is StoreFamily.S3:
        _require_s3_settings(environment, given_name)
    if scheme == "wasbs":
        _require_blob_settings(environment, given_name)
    if name := address_variable(family, environment):
        hosts = _S3_HOST if family is StoreFamily.S3 else _ANY_HOST
        _require_address(given_name(name), environment[name], hosts)
    elif family is StoreFamily.GCS and environment.get(_GOOGLE_LOGIN):
        _require_google_login(given_name(_GOOGLE_LOGIN), environment[_GOOGLE_LOGIN])
    if store := store_of(uri, environment):
        # The client of S3 does not read ALL_PROXY.
        read = {name for name in environment if family is not StoreFamily.S3 or name.lower() != "all_proxy"}
        require_proxy(store.url, {name: environment[name] for name in read})


def _require_s3_settings(environment: Mapping[str, str], given_name: Callable[[str], str]) -> None:
    """Check the settings that only a store of S3 has."""
    _require_boolean(given_name(IGNORE_TLS), environment.get(IGNORE_TLS, ""))
    for name, choices in _S3_CHOICES.items():
        if environment.get(name) and environment[name] not in choices:
            shown = f"{', '.join(choices[:-1])} or {choices[-1]}"
            raise InputError(
                f"The value of {given_name(name)} is not {shown}.", f"Set {given_name(name)} to {shown}, or unset it."
            )
    for name, (pattern, meaning) in _S3_NUMBERS.items():
        if environment.get(name) and not pattern.fullmatch(environment[name]):
            raise InputError(
                f"The value of {given_name(name)} is not {meaning}.", f"Change {given_name(name)}, or unset it."
            )


def _require_blob_settings(environment: Mapping[str, str], given_name: Callable[[str], str]) -> None:
    """Check the settings that only a Blob Storage has."""
    _require_boolean(given_name(INSECURE_TLS), environment.get(INSECURE_TLS, ""))
    _reject_both(given_name(INSECURE_TLS), given_name(SERVER_CERTIFICATE), environment)
    if login := azure_login_variable(environment):
        _require_azure_key(given_name(login), environment[login], is_string=login != ACCESS_KEY)
        if login != ACCESS_KEY:
            _require_blob_endpoint(given_name(login), environment[login])


def _require_blob_endpoint(name: str, connection_string: str) -> None:
    """Require that the address of the store in a connection string is one. Its scheme can be missing."""
    endpoint = connection_field(connection_string, "BlobEndpoint").partition("?")[0]
    if endpoint and not _is_address(endpoint if "://" in endpoint else f"https://{endpoint}", _ANY_HOST):
        raise InputError(
            f"The BlobEndpoint in {name} is not the address of a store.",
            "Set it to https://ACCOUNT.blob.core.windows.net or http://HOST:PORT/ACCOUNT, without a login.",
        )


def _require_boolean(name: str, value: str) -> None:
    """Require that the value of a variable is true or false."""
    if not is_boolean(value):
        raise InputError(f"The value of {name} is neither true nor false.", f"Set {name} to true or false.")


def _reject_both(insecure: str, certificate: str, environment: Mapping[str, str]) -> None:
    """Reject a certificate whose check is turned off. MLflow rejects it too."""
    if is_true(environment.get(INSECURE_TLS, "")) and environment.get(SERVER_CERTIFICATE):
        raise InputError(
            f"{insecure} skips the check of certificates, but {certificate} names a certificate.",
            f"Unset {insecure} or {certificate}.",
        )


def _require_certificates(name: str, path: str) -> None:
    """Require that the file or directory in a variable exists. The clients would say that no certificate is trusted."""
    if not os.path.exists(path):
        raise InputError(
            f"The file in {name}, {printable(path)}, does not exist.",
            f"Set {name} to the file of the certificate authority.",
        )


def _require_azure_key(name: str, value: str, *, is_string: bool) -> None:
    """Require that the key of an account of Azure is base64.

    Args:
        name: The variable.
        value: Its value: the key, or a connection string.
        is_string: Whether the value is a connection string.

    Raises:
        AccessError: The key is not base64, or the value is in quotation marks.
    """
    # Azure's client ignores white space.
    if problem := edge_problem(value.strip()):
        raise AccessError(f"The value of {name} {problem}.", f"Remove the quotation marks from {name}.")
    try:
        base64.b64decode(connection_field(value, "AccountKey") if is_string else value)
    except ValueError as error:
        what = f"The AccountKey in {name}" if is_string else f"The value of {name}"
        raise AccessError(f"{what} is not base64, so it is not a key.", "Copy the key of the account again.") from error


def _require_address(name: str, value: str, hosts: re.Pattern[str]) -> None:
    """Require that the value of a variable is the address of a store."""
    problem = edge_problem(value)
    if problem or not _is_address(value, hosts):
        shown = f" ({value})" if _MISTYPED_ADDRESS.fullmatch(value) else ""
        raise InputError(
            f"The value of {name}{shown} {problem or 'is not the address of a store'}.",
            "Set it to http://HOST:PORT or https://HOST:PORT, without a login or a query. A host is an IP address, or a"
            " name of letters, digits, hyphens and dots.",
        )


def _is_address(text: str, hosts: re.Pattern[str]) -> bool:
    """Return whether a text is an http(s) URL without a login, with one of the hosts that a pattern matches.

    >>> [_is_address(text, _S3_HOST) for text in ("http://minio:9000", "minio:9000", "http://min_io", "http://a:b@c")]
    [True, False, False, False]
    """
    try:
        parts = urlsplit(text)
        is_port_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    host = parts.hostname or ""
    is_valid = parts.scheme in {"http", "https"} and "@" not in parts.netloc and is_port_valid
    is_valid = is_valid and not (parts.query or parts.fragment)
    return is_valid and hosts.fullmatch(host) is not None


def _require_google_login(name: str, path: str) -> None:
    """Require that Google's client can use the file with the login, whose path is the value of a variable."""
    problem = _google_login_problem(path)
    if problem:
        is_path = len(path) <= _MAX_PATH and "{" not in path
        subject = f"The file in {name}, {printable(path)}," if is_path else f"The value of {name}"
        raise AccessError(
            f"{subject} {problem}." if is_path else f"{subject} is not the path of a file.",
            f"Set {name} to the path of the JSON file that Google made for the login, or download the file again.",
        )


def _google_login_problem(path: str) -> str:
    """Return why a file is no login to Google, "" if it is one. The text has nothing of the file's content."""
    try:
        content: Any = json.loads(Path(path).read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:
        return "is not JSON"
    kind = content.get("type") if isinstance(content, dict) else None
    if kind not in _GOOGLE_LOGIN_TYPES:
        return "is not a login to Google: its field `type` has no kind of login"
    if kind == "service_account":
        from google.oauth2.service_account import Credentials

        try:
            Credentials.from_service_account_info(content)  # type: ignore[no-untyped-call]
        except (ValueError, TypeError, AttributeError):
            return "is not the login of a service account: a field is missing, or the private key is malformed"
    return ""
