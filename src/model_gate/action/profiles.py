"""The text of a `.databrickscfg` in the input `databricks-profiles`: its secret values, and a private file for it."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from model_gate.access.databrickscfg import parse_profiles
from model_gate.errors import InputError, storage_error
from model_gate.sources.storage import SHARED_MEMORY

VARIABLE = "DATABRICKS_CONFIG_FILE"
# Every other field of a profile counts as a secret.
_PUBLIC_KEYS = frozenset(
    {
        "account_id",
        "auth_type",
        "azure_client_id",
        "azure_environment",
        "azure_login_app_id",
        "azure_tenant_id",
        "azure_workspace_resource_id",
        "client_id",
        "cloud",
        "cluster_id",
        "google_service_account",
        "host",
        "http_timeout_seconds",
        "jobs-api-version",
        "retry_timeout_seconds",
        "scopes",
        "serverless_compute_id",
        "token_audience",
        "username",
        "warehouse_id",
        "workspace_id",
    }
)
_INPUT = "The input 'databricks-profiles'"


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the values that nobody may see, each line on its own; of a text that cannot be parsed, every line."""
    try:
        profiles = parse_profiles(text, _INPUT)
    except InputError:
        return _lines(part for line in text.splitlines() for part in (line, _value_in(line)))
    fields = (item for profile in profiles.values() for item in profile.fields.items())
    return _lines(line for name, value in fields if name not in _PUBLIC_KEYS for line in value.splitlines())


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for text in texts if (stripped := text.strip())))


def _value_in(line: str) -> str:
    """Return what may be the value in a line of a text that cannot be parsed, "" if its name is public."""
    name, *value = re.split("[=:]", line, maxsplit=1)
    return "" if name.strip().lower() in _PUBLIC_KEYS else "".join(value)


def require_profiles(text: str) -> None:
    """Require that a text can be used as a `.databrickscfg`.

    Raises:
        InputError: The text cannot be parsed, or has no profile. The message contains no value.
    """
    if not parse_profiles(text, _INPUT):
        raise InputError(
            f"{_INPUT} holds no profile.",
            "Set it to the text of a .databrickscfg: a line [name] for each profile, then lines such as"
            " host = https://….",
        )


class PrivateFile:
    """A file that only this user can read. Use it as a context manager: its end removes the file."""

    def __init__(self) -> None:
        # Memory is gone with the container, even if the process is killed before it removes the file.
        directory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        self.path = directory / f"model-gate-{secrets.token_hex(16)}"

    def __enter__(self) -> PrivateFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Create the file with this text.

        Raises:
            StorageError: The file cannot be created or written.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
        except OSError as error:
            raise storage_error(error, "write the Databricks profiles to a private file") from error
