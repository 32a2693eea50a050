"""MLflow's settings for the clients of the clouds, which its documentation lists.

A worker that reads only stores does not import MLflow, since the import takes longer than the rest of the start. So
this module reads the variables itself. It must find the same values as MLflow. `worker.store_settings` rejects
malformed values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

IGNORE_TLS = "MLFLOW_S3_IGNORE_TLS"
INSECURE_TLS = "MLFLOW_TRACKING_INSECURE_TLS"
SERVER_CERTIFICATE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class S3Settings:
    """How the client of S3 finds a store and signs requests.

    Attributes:
        endpoint: The address of the store, None for that of boto3: Amazon's own, or another one in its own settings.
        checks_certificates: Whether a certificate must be trusted.
        signature: The version of the signatures; `unsigned` for requests without a login.
        addressing: Where a URL has the bucket: `virtual`, `path` or `auto`.
    """

    endpoint: str | None
    checks_certificates: bool
    signature: str
    addressing: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> S3Settings:
        """Return the settings in environment variables.

        >>> S3Settings.from_environment({}).addressing
        'auto'
        """
        return cls(
            environment.get("MLFLOW_S3_ENDPOINT_URL") or None,
            not is_true(environment.get(IGNORE_TLS, "")),
            environment.get("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION") or "s3v4",
            environment.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE") or "auto",
        )


def s3_owner(environment: Mapping[str, str]) -> str:
    """Return the account that must own a bucket of S3, "" if any account may."""
    return environment.get("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "")


def azure_verify(environment: Mapping[str, str]) -> bool | str:
    """Return whether the client of Azure checks certificates, or the path of a CA bundle.

    MLflow gives the settings for the certificate of the tracking server to this client too.
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
