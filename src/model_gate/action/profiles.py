"""Validates the input `databricks-profiles`, the text of a `.databrickscfg`, and finds its secret values."""

from __future__ import annotations

import re
from collections.abc import Iterable

from model_gate.access.databrickscfg import parse_profiles
from model_gate.errors import InputError

VARIABLE = "DATABRICKS_CONFIG_FILE"
# Fields of a profile that are not secret. Every other field is treated as a secret.
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
    """Return every line of every secret value in the text of a `.databrickscfg`.

    If the text cannot be parsed, every line is treated as a secret.
    """
    lines = [line for line in text.splitlines() if line.strip()[:1] not in {"", "[", "#", ";"}]
    # Sections that are not profiles can have secrets too.
    values = [_value_in(line) for line in lines]
    try:
        profiles = parse_profiles(text, _INPUT)
    except InputError:
        return _lines((*text.splitlines(), *values))
    fields = [item for profile in profiles.values() for item in profile.fields.items()]
    parsed = [line for name, value in fields if name not in _PUBLIC_KEYS for line in value.splitlines()]
    return _lines((*parsed, *values))


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stripped for text in texts if (stripped := text.strip())))


def _value_in(line: str) -> str:
    """Return the part of a line after the first `=` or `:`, "" if the name before it is the name of a public field."""
    name, *value = re.split("[=:]", line, maxsplit=1)
    return "" if name.strip().lower() in _PUBLIC_KEYS else "".join(value)


def require_profiles(text: str) -> None:
    """Raise an error if a text cannot be used as a `.databrickscfg`.

    Raises:
        InputError: The text cannot be parsed, or has no profile. The message quotes no part of the text.
    """
    if not parse_profiles(text, _INPUT):
        raise InputError(
            f"{_INPUT} holds no profile.",
            "Set it to the text of a .databrickscfg: a line [name] for each profile, then lines such as"
            " host = https://….",
        )
