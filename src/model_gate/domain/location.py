"""Locations of models: physical URIs, and the tracking servers that serve them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """Location of an MLflow model.

    Attributes:
        uri: Physical URI, without credentials.
        server: Address of the tracking server that serves the URI, "" if the URI is valid without a server.
        local_path: The directory, if the model is on this machine.
    """

    uri: str
    server: str = ""
    local_path: Path | None = None

    @property
    def key(self) -> str:
        """Key that is equal exactly if two locations are one and the same."""
        if self.local_path is not None:
            return str(self.local_path)
        return f"{self.server} {self.uri.rstrip('/')}"


def is_local_uri(uri: str) -> bool:
    """Return whether a URI is a path on this machine.

    >>> is_local_uri("./model"), is_local_uri("file:///model"), is_local_uri("s3://bucket/model")
    (True, True, False)
    """
    return uri.startswith(("/", "./", "../", "file:")) or ":/" not in uri


def split_profile(uri: str) -> tuple[str, str, str]:
    """Split an artifact URI into scheme, Databricks profile ("" if there is none) and path.

    >>> split_profile("models://PROFILE@databricks/wine/1")
    ('models', 'PROFILE', 'wine/1')
    """
    match = re.match(r"(models|dbfs|runs)://(?:([^/@]+)@)?databricks/+(.*)", uri)
    if match:
        return match.group(1), match.group(2) or "", match.group(3)
    scheme, _, path = uri.partition(":")
    return scheme, "", path.lstrip("/")


def is_logged_model(path: str) -> bool:
    """Return whether the path of a `models:/` URI is the ID of a logged model, not a version of a registered model.

    >>> is_logged_model("m-0123"), is_logged_model("m-wine/1"), is_logged_model("m-wine@champion")
    (True, False, False)
    """
    return path.startswith("m-") and "/" not in path and "@" not in path
