"""The settings of MLflow for the clients of the clouds.

This module reads the variables itself, because a worker that needs no other part of MLflow does not import it. The
values must be those that MLflow reads. `worker.store_settings` rejects malformed values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model_gate.domain.variables import INSECURE_TLS, S3_ENDPOINT, SERVER_CERTIFICATE

IGNORE_TLS = "MLFLOW_S3_IGNORE_TLS"
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class S3Settings:
    """How the client of S3 finds a store.

    Attributes:
        endpoint: The address of the store, None for that of boto3: Amazon's own, or another one in its own settings.
        checks_certificates: Whether a certificate must be trusted.
        addressing: Where a URL has the bucket: `virtual`, `path` or `auto`.
    """

    endpoint: str | None
    checks_certificates: bool
    addressing: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> S3Settings:
        """Return the settings in environment variables.

        >>> S3Settings.from_environment({}).addressing
        'auto'
        """
        return cls(
            environment.get(S3_ENDPOINT) or None,
            not is_true(environment.get(IGNORE_TLS, "")),
            environment.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE") or "auto",
        )


def s3_owner(environment: Mapping[str, str]) -> str:
    """Return the account that must own a bucket of S3, "" if any account may."""
    return environment.get("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "")


def azure_verify(environment: Mapping[str, str]) -> bool | str:
    """Return whether the client of Azure checks certificates, or the path of a CA bundle.

    The settings for the certificate of the tracking server are those of this client too.
    """
    return environment.get(SERVER_CERTIFICATE) or not is_true(environment.get(INSECURE_TLS, ""))


def is_boolean(value: str) -> bool:
    """Return whether MLflow reads a value as true or false. An empty value counts as not set."""
    return value.lower() in _BOOLEANS


def is_true(value: str) -> bool:
    """Return the meaning of a value; false if it has none.

    >>> is_true("True"), is_true("1"), is_true("0"), is_true("yes")
    (True, True, False, False)
    """
    return _BOOLEANS.get(value.lower(), False)
