"""Locations of models: physical URIs, and the tracking servers that serve them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """The location of an MLflow model.

    Attributes:
        uri: The physical URI, without credentials.
        server: The owner of the URI, if only one tracking server can read it; else "".
        local_path: The directory, if it is on this machine.
    """

    uri: str
    server: str = ""
    local_path: Path | None = None

    @property
    def key(self) -> str:
        """Equal exactly if two locations are one and the same."""
        if self.local_path is not None:
            return str(self.local_path)
        return f"{self.server} {self.uri.rstrip('/')}"


def is_local_uri(uri: str) -> bool:
    """Return whether a URI is a path on this machine.

    >>> is_local_uri("./model"), is_local_uri("models:/Wine/7")
    (True, False)
    """
    return uri.startswith(("/", "./", "../", "file:")) or ":/" not in uri


def split_profile(uri: str) -> tuple[str, str, str]:
    """Split an artifact URI into scheme, profile and path; the profile is "" if the URI has none.

    >>> split_profile("models://prod@databricks/Wine/7")
    ('models', 'prod', 'Wine/7')
    """
    match = re.match(r"(models|dbfs|runs)://(?:([^/@]+)@)?databricks/+(.*)", uri)
    if match:
        return match.group(1), match.group(2) or "", match.group(3)
    scheme, _, path = uri.partition(":")
    return scheme, "", path.lstrip("/")
