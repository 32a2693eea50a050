"""Databricks workspaces as users name them: hosts, profiles, the fields of a login, and the kind of registry.

A login never travels as a file or as `DATABRICKS_*` variables, in which MLflow and the Databricks SDK would mix it with
what else they find: its fields go to the one process that talks to this workspace.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from model_gate.access.databrickscfg import Login, config_file, read_profiles
from model_gate.domain.host import LOOPBACK, RegistryKind, WorkspaceLogin
from model_gate.errors import InputError

LOGIN_VARIABLE = "MODEL_GATE_DATABRICKS_LOGIN"
_SCHEMES = ("databricks", "databricks-uc")
SHAPES = "Name it like databricks://PROFILE, databricks-uc://PROFILE, databricks or databricks-uc."
_REQUEST_URL, _REQUEST_TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_OIDC_VARIABLE = "DATABRICKS_OIDC_TOKEN"
# Where the process finds the ID token, whatever the variable was called that it came in.
_ID_TOKEN = "MODEL_GATE_ID_TOKEN"  # noqa: S105  # a name
_DEFAULT = "DEFAULT"

# The fields of a login, and the variables that hold them for the workspace without a profile.
_FIELDS = {
    "host": "DATABRICKS_HOST",
    "token": "DATABRICKS_TOKEN",
    "client_id": "DATABRICKS_CLIENT_ID",
    "client_secret": "DATABRICKS_CLIENT_SECRET",
    "auth_type": "DATABRICKS_AUTH_TYPE",
    "account_id": "DATABRICKS_ACCOUNT_ID",
    "workspace_id": "DATABRICKS_WORKSPACE_ID",
    "token_audience": "DATABRICKS_TOKEN_AUDIENCE",
    "oidc_token_env": "DATABRICKS_OIDC_TOKEN_ENV",
    "azure_client_id": "ARM_CLIENT_ID",
    "azure_client_secret": "ARM_CLIENT_SECRET",
    "azure_tenant_id": "ARM_TENANT_ID",
    "azure_environment": "ARM_ENVIRONMENT",
    "azure_workspace_resource_id": "DATABRICKS_AZURE_RESOURCE_ID",
}
_SECRET_FIELDS = frozenset({"token", "client_secret", "azure_client_secret"})
_SECRET_VARIABLES = (*(_FIELDS[name] for name in sorted(_SECRET_FIELDS)), _REQUEST_TOKEN, _OIDC_VARIABLE)
# What each kind of login cannot do without.
_NEEDED = {
    "pat": ("token",),
    "oauth-m2m": ("client_id", "client_secret"),
    "github-oidc": ("client_id",),
    "env-oidc": ("client_id",),
    "azure-client-secret": ("azure_client_id", "azure_client_secret", "azure_tenant_id"),
}


def is_databricks(text: str) -> bool:
    """Whether this names a workspace, rightly or wrongly."""
    return text.partition(":")[0] in _SCHEMES


def parse_workspace(text: str, environment: Mapping[str, str]) -> WorkspaceLogin:
    """The workspace that `databricks[-uc][://PROFILE]` names, with its login.

    Raises:
        InputError: There is no such profile, or the login lacks something; the message never repeats a value.
    """
    match = re.fullmatch(r"(databricks(?:-uc)?)(?:://([^/?#]*)/?)?", text)
    if match is None:
        raise InputError(f"{text!r} is not the name of a Databricks workspace.", SHAPES)
    scheme, profile = match.groups()
    if profile and ":" in profile:
        raise InputError(
            f"{text!r} names a secret scope, which only a notebook can read.",
            "Name a profile: databricks://PROFILE.",
        )
    login = _profile(profile, environment) if profile else _without_profile(environment)
    url = _url(login)
    auth_type = _auth_type(login, environment)
    for needed in _NEEDED[auth_type]:
        if not login.fields.get(needed):
            raise _lacking(login, needed, f", which {auth_type} needs")
    fields = {name: value for name, value in login.fields.items() if name in _FIELDS and value}
    fields |= {"host": url, "auth_type": auth_type}
    if auth_type == "env-oidc":
        fields["oidc_token_env"] = _ID_TOKEN
    own = _only(auth_type, fields)
    variables = _variables(login, auth_type, environment)
    return WorkspaceLogin(
        url,
        tuple(sorted(own.items())),
        tuple(sorted(variables.items())),
        _secrets_in(own, variables),
        RegistryKind.UNITY_CATALOG if scheme == "databricks-uc" else None,
    )


def _secrets_in(fields: Mapping[str, str], variables: Mapping[str, str]) -> tuple[str, ...]:
    secret_fields = [value for name, value in fields.items() if name in _SECRET_FIELDS]
    return (*secret_fields, *(value for name, value in variables.items() if name != _REQUEST_URL))


def login_environment(login: WorkspaceLogin) -> dict[str, str]:
    """The variables of the worker that talks to this workspace; the worker removes the login from its environment."""
    is_catalog = login.registry is RegistryKind.UNITY_CATALOG
    return {
        **dict(login.variables),
        "MLFLOW_TRACKING_URI": "databricks",
        "MLFLOW_REGISTRY_URI": "databricks-uc" if is_catalog else "databricks",
        LOGIN_VARIABLE: json.dumps(dict(login.fields)),
    }


def login_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secret values of any login in these variables."""
    return tuple(environment[name] for name in _SECRET_VARIABLES if environment.get(name))


def _only(auth_type: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The login without what belongs to other kinds of login: the SDK would weigh one against the other."""
    foreign = {name for needed in _NEEDED.values() for name in needed} - set(_NEEDED[auth_type])
    return {name: value for name, value in fields.items() if name not in foreign}


def _without_profile(environment: Mapping[str, str]) -> Login:
    fields = {name: environment[variable].strip() for name, variable in _FIELDS.items() if environment.get(variable)}
    if "host" in fields:
        return Login("The login in the DATABRICKS_* variables", fields, {}, _FIELDS)
    profile = environment.get("DATABRICKS_CONFIG_PROFILE", "").strip() or _DEFAULT
    path = config_file(environment)
    if profile == _DEFAULT and _DEFAULT not in read_profiles(path):
        raise InputError(
            f"The Databricks host without a profile has no login: DATABRICKS_HOST is not set, and {path} has no"
            f" [{_DEFAULT}] profile.",
            f"Set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile. {_known(read_profiles(path))}",
        )
    return _profile(profile, environment)


def _profile(name: str, environment: Mapping[str, str]) -> Login:
    path = config_file(environment)
    profiles = read_profiles(path)
    if name not in profiles:
        near = difflib.get_close_matches(name, profiles, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        what = f"There is no Databricks profile {name!r}: {path}"
        reason = "has no such section" if path.exists() else "does not exist"
        raise InputError(f"{what} {reason}.", f"{hint}{_known(profiles)}")
    return profiles[name]


def _known(profiles: Iterable[str]) -> str:
    names = sorted(profiles)
    if not names:
        return "Write the profile into ~/.databrickscfg, or into the file that DATABRICKS_CONFIG_FILE names."
    return f"Known profiles: {', '.join(names)}."


def _url(login: Login) -> str:
    """The workspace's address, without what a browser's address bar adds to it."""
    text = login.fields.get("host", "")
    if not text:
        raise _lacking(login, "host")
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError as error:
        raise InputError(f"{login.at('host')} has a malformed host.", "Write https://….") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username:
        raise InputError(f"{login.at('host')} has a host that is no address of a workspace.", "Write https://….")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise InputError(
            f"{login.at('host')} has an http:// host: its token would travel in the clear.", "Write https://…."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _auth_type(login: Login, environment: Mapping[str, str]) -> str:
    fields = login.fields
    if asked := fields.get("auth_type"):
        if asked not in _NEEDED:
            raise InputError(
                f"{login.at('auth_type')} asks for an auth_type that Model Gate does not know.",
                f"Known are {', '.join(_NEEDED)}.",
            )
        return asked
    complete = [kind for kind in ("pat", "oauth-m2m", "azure-client-secret") if all(map(fields.get, _NEEDED[kind]))]
    if len(complete) > 1:
        raise InputError(
            f"{login.at()} holds more than one login: {' and '.join(complete)}.", "Say which with auth_type."
        )
    if complete:
        return complete[0]
    if fields.get("client_id"):
        if _oidc_variable(login) in environment:
            return "env-oidc"
        if _REQUEST_URL in environment:
            return "github-oidc"
        raise _lacking(login, "client_secret", " and no auth_type")
    if fields.get("azure_client_id") or fields.get("azure_client_secret"):
        raise _lacking(login, next(name for name in _NEEDED["azure-client-secret"] if not fields.get(name)))
    if fields.get("client_secret"):
        raise _lacking(login, "client_id")
    raise _lacking(login, "token", ", and no other login")


def _lacking(login: Login, name: str, more: str = "") -> InputError:
    return InputError(
        f"{login.at()} has no {login.spelling.get(name, name)}{more}.",
        "A login is host and token; host, client_id and client_secret; or host, client_id and auth_type.",
    )


def _oidc_variable(login: Login) -> str:
    return login.fields.get("oidc_token_env") or _OIDC_VARIABLE


def _variables(login: Login, auth_type: str, environment: Mapping[str, str]) -> dict[str, str]:
    needed: tuple[str, ...] = ()
    remedy = ""
    if auth_type == "github-oidc":
        needed = (_REQUEST_URL, _REQUEST_TOKEN)
        remedy = "Give the job `permissions: id-token: write`."
    elif auth_type == "env-oidc":
        needed = (_oidc_variable(login),)
        remedy = "Put the ID token into that variable."
    for name in needed:
        if not environment.get(name):
            raise InputError(f"{login.at()} uses {auth_type}, but {name} is not set.", remedy)
    return {_ID_TOKEN if name == _oidc_variable(login) else name: environment[name] for name in needed}
