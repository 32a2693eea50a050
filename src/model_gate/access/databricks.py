"""Databricks workspaces: their names, their profiles, and the login that a worker receives.

A worker receives the fields of its own login in one environment variable. If they were in a file or in `DATABRICKS_*`
variables, MLflow and the Databricks SDK would mix them with the fields of other logins.

>>> parse_workspace_name("databricks-uc://prod")
WorkspaceName(profile='prod', registry=<RegistryKind.UNITY_CATALOG: 'unity-catalog'>)
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from model_gate.access.databrickscfg import LOGIN_FIELDS, Login, config_file, read_profiles
from model_gate.domain.host import LOOPBACK, RegistryKind, WorkspaceLogin
from model_gate.errors import InputError

LOGIN_VARIABLE = "MODEL_GATE_DATABRICKS_LOGIN"
_SCHEMES = ("databricks", "databricks-uc")
_FORMS = "Name it like databricks://PROFILE, databricks-uc://PROFILE, databricks or databricks-uc."
_REQUEST_URL, _REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_OIDC_VARIABLE = "DATABRICKS_OIDC_TOKEN"
# The environment variable in which a worker receives the ID token. The user's variable can have another name.
_ID_TOKEN = "MODEL_GATE_ID_TOKEN"  # noqa: S105  # a name
_DEFAULT = "DEFAULT"

_SECRET_FIELDS = frozenset({"token", "client_secret", "azure_client_secret"})
_SECRET_VARIABLES = (*(LOGIN_FIELDS[name] for name in sorted(_SECRET_FIELDS)), _REQUEST_TOKEN, _OIDC_VARIABLE)
# The fields that each auth_type requires.
_REQUIRED = {
    "pat": ("token",),
    "oauth-m2m": ("client_id", "client_secret"),
    "github-oidc": ("client_id",),
    "env-oidc": ("client_id",),
    "azure-client-secret": ("azure_client_id", "azure_client_secret", "azure_tenant_id"),
}


@dataclass(frozen=True)
class WorkspaceName:
    """A workspace as users name it: `databricks[-uc][://PROFILE]`.

    Attributes:
        profile: The profile's name; "" for the login in environment variables or else in the default profile.
        registry: Unity Catalog for `databricks-uc`; None if the model's name selects the registry.
    """

    profile: str = ""
    registry: RegistryKind | None = None


def is_databricks(text: str) -> bool:
    """Return whether a text has the scheme `databricks` or `databricks-uc`. The rest of the text can be malformed."""
    return text.partition(":")[0] in _SCHEMES


def parse_workspace_name(text: str) -> WorkspaceName:
    """Return the workspace that a text such as `databricks-uc://PROFILE` names.

    Raises:
        InputError: The text does not have the form `databricks[-uc][://PROFILE]`, or names a secret scope.
    """
    match = re.fullmatch(r"(databricks(?:-uc)?)(?:://([^/?#]*)/?)?", text)
    if match is None:
        raise InputError(f"{text!r} is not the name of a Databricks workspace.", _FORMS)
    scheme, profile = match.groups()
    if profile and ":" in profile:
        raise InputError(
            f"{text!r} names a secret scope, which only a notebook can read.",
            "Name a profile: databricks://PROFILE.",
        )
    return WorkspaceName(profile or "", RegistryKind.UNITY_CATALOG if scheme == "databricks-uc" else None)


def find_login(workspace: WorkspaceName, environment: Mapping[str, str]) -> WorkspaceLogin:
    """Return the login to a workspace, from its profile in the config file or from environment variables.

    Raises:
        InputError: There is no such profile, or its login is incomplete or ambiguous. The message contains no value of
            a field.
    """
    login = _profile(workspace.profile, environment) if workspace.profile else _default_login(environment)
    url = _url(login)
    auth_type = _auth_type(login, environment)
    for name in _REQUIRED[auth_type]:
        if not login.fields.get(name):
            raise _missing(login, name, f", which {auth_type} needs")
    fields = {name: value for name, value in login.fields.items() if name in LOGIN_FIELDS and value}
    fields |= {"host": url, "auth_type": auth_type}
    if auth_type == "env-oidc":
        fields["oidc_token_env"] = _ID_TOKEN
    fields = _only(auth_type, fields)
    variables = _variables(login, auth_type, environment)
    return WorkspaceLogin(
        url,
        tuple(sorted(fields.items())),
        tuple(sorted(variables.items())),
        _secrets_in(fields, variables),
        workspace.registry,
    )


def _secrets_in(fields: Mapping[str, str], variables: Mapping[str, str]) -> tuple[str, ...]:
    secret_fields = [value for name, value in fields.items() if name in _SECRET_FIELDS]
    return (*secret_fields, *(value for name, value in variables.items() if name != _REQUEST_URL))


def login_environment(login: WorkspaceLogin) -> dict[str, str]:
    """Return the environment variables that pass a login to the worker of its workspace.

    The worker removes these variables from its environment after reading their values.
    """
    is_catalog = login.registry is RegistryKind.UNITY_CATALOG
    return {
        **dict(login.variables),
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc" if is_catalog else "databricks",
        LOGIN_VARIABLE: json.dumps(dict(login.fields)),
    }


def login_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secret values of all Databricks logins in an environment."""
    return tuple(environment[name] for name in _SECRET_VARIABLES if environment.get(name))


def _only(auth_type: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields except those that only other auth_types require, since the SDK might use those instead."""
    foreign = {name for names in _REQUIRED.values() for name in names} - set(_REQUIRED[auth_type])
    return {name: value for name, value in fields.items() if name not in foreign}


def _default_login(environment: Mapping[str, str]) -> Login:
    fields = {
        name: environment[variable].strip() for name, variable in LOGIN_FIELDS.items() if environment.get(variable)
    }
    if "host" in fields:
        return Login("The login in the DATABRICKS_* variables", fields, {}, LOGIN_FIELDS)
    profile = environment.get("DATABRICKS_CONFIG_PROFILE", "").strip() or _DEFAULT
    path = config_file(environment)
    if profile == _DEFAULT and _DEFAULT not in read_profiles(path):
        raise InputError(
            f"The Databricks host without a profile has no login: DATABRICKS_HOST is not set, and {path} has no"
            f" [{_DEFAULT}] profile.",
            f"Set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile. {_known_profiles(read_profiles(path))}",
        )
    return _profile(profile, environment)


def _profile(name: str, environment: Mapping[str, str]) -> Login:
    path = config_file(environment)
    profiles = read_profiles(path)
    if name not in profiles:
        near = difflib.get_close_matches(name, profiles, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        reason = "has no such section" if os.path.exists(path) else "does not exist"
        raise InputError(
            f"There is no Databricks profile {name!r}: {path} {reason}.", f"{hint}{_known_profiles(profiles)}"
        )
    login = profiles[name]
    for field, value in login.fields.items():
        # Most likely, the user wanted the indented line to be the next field.
        if field in LOGIN_FIELDS and "\n" in value:
            raise InputError(
                f"{login.at(field)} has a {field} that continues on an indented line.",
                "Write each field on one line that is not indented.",
            )
    return login


def _known_profiles(profiles: Iterable[str]) -> str:
    # Quotes show the blanks of a name such as " prod ".
    names = sorted(name if name == name.strip() else repr(name) for name in profiles)
    if not names:
        return "Write the profile into ~/.databrickscfg, or set DATABRICKS_CONFIG_FILE to the file that has it."
    return f"Known profiles: {', '.join(names)}."


def _url(login: Login) -> str:
    """Return the workspace's address, without the path and query of an address copied from a browser."""
    text = login.fields.get("host", "")
    if not text:
        raise _missing(login, "host")
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError as error:
        raise InputError(f"{login.at('host')} has a malformed host.", "Write https://….") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username:
        raise InputError(f"{login.at('host')} has a host that is not the address of a workspace.", "Write https://….")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InputError(
            f"{login.at('host')} has an http:// host, which would send the token unencrypted.", "Write https://…."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _auth_type(login: Login, environment: Mapping[str, str]) -> str:
    fields = login.fields
    if auth_type := fields.get("auth_type"):
        if auth_type not in _REQUIRED:
            raise InputError(
                f"{login.at('auth_type')} asks for an auth_type that Model Gate does not support.",
                f"Set auth_type to one of {', '.join(_REQUIRED)}.",
            )
        return auth_type
    complete = [kind for kind in ("pat", "oauth-m2m", "azure-client-secret") if all(map(fields.get, _REQUIRED[kind]))]
    if len(complete) > 1:
        raise InputError(
            f"{login.at()} holds more than one login: {' and '.join(complete)}.", "Choose one with auth_type."
        )
    if complete:
        return complete[0]
    if fields.get("client_id"):
        if _oidc_variable(login) in environment:
            return "env-oidc"
        if _REQUEST_URL in environment:
            return "github-oidc"
        raise _missing(login, "client_secret", " and no auth_type")
    if fields.get("azure_client_id") or fields.get("azure_client_secret"):
        raise _missing(login, next(name for name in _REQUIRED["azure-client-secret"] if not fields.get(name)))
    if fields.get("client_secret"):
        raise _missing(login, "client_id")
    raise _missing(login, "token", ", and no other login")


def _missing(login: Login, name: str, reason: str = "") -> InputError:
    return InputError(
        f"{login.at()} has no {login.spelling.get(name, name)}{reason}.",
        "Set host and token; host, client_id and client_secret; or host, client_id and auth_type.",
    )


def _oidc_variable(login: Login) -> str:
    return login.fields.get("oidc_token_env") or _OIDC_VARIABLE


def _variables(login: Login, auth_type: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that the login needs besides its fields, such as the one with its ID token."""
    names: tuple[str, ...] = ()
    remedy = ""
    if auth_type == "github-oidc":
        names = (_REQUEST_URL, _REQUEST_TOKEN)
        remedy = "Give the job `permissions: id-token: write`."
    elif auth_type == "env-oidc":
        names = (_oidc_variable(login),)
        remedy = "Set that variable to the ID token."
    for name in names:
        if not environment.get(name):
            raise InputError(f"{login.at()} uses {auth_type}, but {name} is not set.", remedy)
    return {_ID_TOKEN if name == _oidc_variable(login) else name: environment[name] for name in names}
