"""The text of a `.databrickscfg`, handed over as a secret: what in it is secret, and a private file for it."""

from __future__ import annotations

import configparser
import os
import secrets
import tempfile
from pathlib import Path
from types import TracebackType

from model_gate.errors import InputError, storage_error
from model_gate.sources.storage import SHARED_MEMORY

VARIABLE = "DATABRICKS_CONFIG_FILE"
# Whatever else a profile holds counts as a secret.
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
_REMEDY = "It is the text of a .databrickscfg: a line [name] for each profile, then lines such as host = https://…."


def secrets_in(text: str) -> tuple[str, ...]:
    """The values that nobody may see, line by line; of lines that cannot be understood, everything."""
    found: list[str] = []
    key = ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped[0] in "[#;":
            continue
        name, separator, value = _pair(stripped)
        if separator and not line[0].isspace():
            key, stripped = name.lower(), value
        # A line that is indented goes on with the value before it.
        if key not in _PUBLIC_KEYS and stripped:
            found.append(stripped)
    return tuple(dict.fromkeys(found))


def _pair(line: str) -> tuple[str, str, str]:
    cut = min((position for position in (line.find("="), line.find(":")) if position >= 0), default=-1)
    return ("", "", line) if cut < 0 else (line[:cut].strip(), line[cut], line[cut + 1 :].strip())


def require_profiles(text: str) -> None:
    """Refuse what is no `.databrickscfg`, without repeating any of it.

    Raises:
        InputError: It cannot be read as one, or holds no profile.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except (
        configparser.MissingSectionHeaderError,
        configparser.DuplicateOptionError,
        configparser.DuplicateSectionError,
    ) as error:
        raise _not_readable(error.lineno) from None
    except configparser.ParsingError as error:
        raise _not_readable(error.errors[0][0]) from None
    except configparser.Error:
        raise _not_readable(None) from None
    if not parser.sections() and not parser.defaults():
        raise InputError("The input 'databricks-profiles' holds no profile.", _REMEDY)


def _not_readable(line: int | None) -> InputError:
    where = "" if line is None else f": see line {line} of it"
    return InputError(f"The input 'databricks-profiles' cannot be read{where}.", _REMEDY)


class PrivateFile:
    """A file that only this user can read, gone when it ends. Use it as a context manager."""

    def __init__(self) -> None:
        # In memory where that can be had: then it is gone with the container even if nobody is left to remove it.
        directory = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        self.path = directory / f"model-gate-{secrets.token_hex(16)}"

    def __enter__(self) -> PrivateFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Make the file.

        Raises:
            StorageError: It cannot be made.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text + "\n")
        except OSError as error:
            raise storage_error(error, "write the Databricks profiles to a private file") from error
