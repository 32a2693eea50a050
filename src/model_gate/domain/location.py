"""Where a model is: its physical URI, and the tracking server that serves it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """Where an MLflow model is.

    Attributes:
        uri: Its physical URI, without credentials.
        server: The address of the tracking server that serves it, where the URI means something only there.
        local_path: The directory, if it is on this machine.
    """

    uri: str
    server: str = ""
    local_path: Path | None = None

    @property
    def key(self) -> str:
        """The same for two locations exactly if they are one and the same."""
        if self.local_path is not None:
            return str(self.local_path)
        return f"{self.server} {self.uri.rstrip('/')}"


def is_local_uri(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return uri.startswith(("/", "./", "../", "file:")) or ":/" not in uri


def split_profile(uri: str) -> tuple[str, str, str]:
    """Scheme, profile and path of an artifact URI; the profile of `models://PROFILE@databricks/…`, or ""."""
    match = re.match(r"(models|dbfs|runs)://(?:([^/@]+)@)?databricks/+(.*)", uri)
    if match:
        return match.group(1), match.group(2) or "", match.group(3)
    scheme, _, path = uri.partition(":")
    return scheme, "", path.lstrip("/")
