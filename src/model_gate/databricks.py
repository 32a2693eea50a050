"""Databricks workspaces as users name them: hosts, profiles, the fields of a login, and the kind of registry.

A login never travels as a file or as `DATABRICKS_*` variables, in which MLflow and the Databricks SDK would mix it with
what else they find: its fields go to the one process that talks to this workspace.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from model_gate.errors import InputError


class RegistryKind(StrEnum):
    """The two model registries of Databricks, as the compare file calls them."""

    WORKSPACE = "workspace"
    UNITY_CATALOG = "unity-catalog"


@dataclass(frozen=True)
class Workspace:
    """A workspace and the login to it.

    Attributes:
        url: Its address: the same for two profiles of one workspace.
        fields: The login, as the Databricks SDK calls its fields.
        variables: What the login needs beside it from the environment.
        registry: Which of its registries is meant; None until the model is known.
    """

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    variables: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    registry: RegistryKind | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts that must appear nowhere."""
        found = [value for name, value in self.fields if name in _SECRET_FIELDS]
        return (*found, *(value for name, value in self.variables if name != _REQUEST_URL))

    @property
    def environment(self) -> dict[str, str]:
        """What the process that talks to this workspace gets; it takes the login out again before it does anything."""
        uri = "databricks-uc" if self.registry is RegistryKind.UNITY_CATALOG else "databricks"
        return {
            **dict(self.variables),
            "MLFLOW_TRACKING_URI": "databricks",
            "MLFLOW_REGISTRY_URI": uri,
            LOGIN_VARIABLE: json.dumps(dict(self.fields)),
        }


LOGIN_VARIABLE = "MODEL_GATE_DATABRICKS_LOGIN"
_SCHEMES = ("databricks", "databricks-uc")
SHAPES = "Name it like databricks://PROFILE, databricks-uc://PROFILE, databricks or databricks-uc."
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
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


@dataclass(frozen=True)
class _Login:
    """A login as it was found, and how errors speak of it.

    Attributes:
        name: "The profile 'x' in ~/.databrickscfg".
        fields: As found.
        lines: The line of each field, where there are lines; of the profile itself at "".
        spelling: What a field is called there.
    """

    name: str
    fields: Mapping[str, str]
    lines: Mapping[str, int]
    spelling: Mapping[str, str]

    def at(self, name: str = "") -> str:
        line = self.lines.get(name, self.lines.get("", 0))
        return f"{self.name}, line {line}," if line else self.name


def is_databricks(text: str) -> bool:
    """Whether this names a workspace, rightly or wrongly."""
    return text.partition(":")[0] in _SCHEMES


def parse_workspace(text: str, environment: Mapping[str, str]) -> Workspace:
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
    return Workspace(
        url,
        tuple(sorted(_only(auth_type, fields).items())),
        tuple(sorted(_variables(login, auth_type, environment).items())),
        RegistryKind.UNITY_CATALOG if scheme == "databricks-uc" else None,
    )


def registry_of(model: str, host: RegistryKind | None, asked: RegistryKind | None) -> RegistryKind:
    """The registry that holds this model: the one asked for, the host's, or the one its name fits.

    Raises:
        InputError: A model in Unity Catalog must have three levels.
    """
    is_three_level = model.count(".") == 2 and all(model.split("."))
    kind = asked or host or (RegistryKind.UNITY_CATALOG if is_three_level else RegistryKind.WORKSPACE)
    if kind is RegistryKind.UNITY_CATALOG and not is_three_level:
        raise InputError(
            f"The model {model!r} cannot be in Unity Catalog: its name does not have three levels.",
            "Write catalog.schema.model; for the workspace's registry, name the host databricks://PROFILE.",
        )
    return kind


def split_profile(uri: str) -> tuple[str, str, str]:
    """Scheme, profile and path of an artifact URI; the profile of `models://PROFILE@databricks/…`, or ""."""
    match = re.match(r"(models|dbfs|runs)://(?:([^/@]+)@)?databricks/+(.*)", uri)
    if match:
        return match.group(1), match.group(2) or "", match.group(3)
    scheme, _, path = uri.partition(":")
    return scheme, "", path.lstrip("/")


def login_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The secret values of any login in these variables."""
    return tuple(environment[name] for name in _SECRET_VARIABLES if environment.get(name))


def _only(auth_type: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The login without what belongs to other kinds of login: the SDK would weigh one against the other."""
    foreign = {name for needed in _NEEDED.values() for name in needed} - set(_NEEDED[auth_type])
    return {name: value for name, value in fields.items() if name not in foreign}


def _without_profile(environment: Mapping[str, str]) -> _Login:
    fields = {name: environment[variable].strip() for name, variable in _FIELDS.items() if environment.get(variable)}
    if "host" in fields:
        return _Login("The login in the DATABRICKS_* variables", fields, {}, _FIELDS)
    profile = environment.get("DATABRICKS_CONFIG_PROFILE", "").strip() or _DEFAULT
    path = _config_file(environment)
    if profile == _DEFAULT and _DEFAULT not in _read_profiles(path):
        raise InputError(
            f"The Databricks host without a profile has no login: DATABRICKS_HOST is not set, and {path} has no"
            f" [{_DEFAULT}] profile.",
            f"Set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile. {_known(_read_profiles(path))}",
        )
    return _profile(profile, environment)


def _profile(name: str, environment: Mapping[str, str]) -> _Login:
    path = _config_file(environment)
    profiles = _read_profiles(path)
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


def _config_file(environment: Mapping[str, str]) -> Path:
    named = environment.get("DATABRICKS_CONFIG_FILE", "").strip()
    home = environment.get("HOME", "").rstrip("/") or os.path.expanduser("~")
    if not named:
        return Path(home) / ".databrickscfg"
    return Path(home + named[1:] if named.startswith("~/") else named)


def _read_profiles(path: Path) -> dict[str, _Login]:
    """The profiles of a config file; one that does not exist has none."""
    try:
        text = path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8.", "Save it as UTF-8.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from error
    return parse_profiles(text, str(path))


_SPELLING = {name: name for name in _FIELDS}


def parse_profiles(text: str, path: str) -> dict[str, _Login]:
    """The profiles in the text of a `.databrickscfg`; `path` is what errors call it.

    Raises:
        InputError: A line is none of a section, a field and a comment, or says something again. It is not repeated.
    """
    fields: dict[str, dict[str, str]] = {}
    lines: dict[str, dict[str, int]] = {}
    current = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1].strip()
            if current in fields:
                raise _bad_line(
                    path, number, f"the profile {current!r} begins again, first on line {lines[current]['']}"
                )
            fields[current], lines[current] = {}, {"": number}
            continue
        name, separator, value = re.match(r"([^=:]*)([=:]?)(.*)", line).groups()  # type: ignore[union-attr]
        name = name.strip().lower()
        if not separator or not current:
            raise _bad_line(path, number, "this is neither a [profile] nor a field = value of one")
        if name in fields[current]:
            raise _bad_line(path, number, f"{name!r} is given twice, first on line {lines[current][name]}")
        fields[current][name], lines[current][name] = value.strip(), number
    return {
        name: _Login(f"The profile {name!r} in {path}", fields[name], lines[name], _SPELLING)
        for name in fields
        if name != "__settings__"
    }


def _bad_line(path: str, number: int, what: str) -> InputError:
    return InputError(f"{path}, line {number}: {what}.", "Write it as [profile], then host = …, token = … and so on.")


def _url(login: _Login) -> str:
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
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise InputError(
            f"{login.at('host')} has an http:// host: its token would travel in the clear.", "Write https://…."
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _auth_type(login: _Login, environment: Mapping[str, str]) -> str:
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


def _lacking(login: _Login, name: str, more: str = "") -> InputError:
    return InputError(
        f"{login.at()} has no {login.spelling[name]}{more}.",
        "A login is host and token; host, client_id and client_secret; or host, client_id and auth_type.",
    )


def _oidc_variable(login: _Login) -> str:
    return login.fields.get("oidc_token_env") or _OIDC_VARIABLE


def _variables(login: _Login, auth_type: str, environment: Mapping[str, str]) -> dict[str, str]:
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
