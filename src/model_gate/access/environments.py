"""Environments of worker processes.

Each environment has only variables from an allow-list, and only credentials that the user declared for the worker's
server. Otherwise MLflow would use other credentials: it prefers environment variables to profiles, and `~/.netrc` to
the user-info of a URL.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from model_gate.access.base_environment import SETTINGS, base_environment
from model_gate.access.databricks import login_environment, login_secrets
from model_gate.access.declared import (
    LOGIN_NAMES,
    Declarations,
    Ownership,
    declared_prefix,
    declared_secrets,
    undeclared_logins,
)
from model_gate.access.endpoints import http_origin, store_endpoints
from model_gate.domain.credentials import basic_auth_secrets, secret_parts
from model_gate.domain.host import Host, HostKind
from model_gate.domain.variables import (
    ANOTHER_SERVER,
    EMPTY,
    HTTP_VARIABLES,
    LOGIN_VARIABLES,
    NAMES_VARIABLE,
    NO_LOGIN_VARIABLE,
    NOT_SENT_VARIABLE,
    PREFIX_VARIABLE,
    REGISTRY_URI,
    S3_ENDPOINTS,
    SENT_VARIABLE,
    SERVER_VARIABLE,
    STORE_ENDPOINTS,
    TRACKING_URI,
    is_credential,
    is_secret,
    meant_login,
    store_family,
)
from model_gate.errors import StorageError, storage_error

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
# With these settings, a worker that gets no store credentials cannot use the files or the cloud login of this machine.
_NO_STORE_LOGIN = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
    "NO_GCE_CHECK": "true",
    # Otherwise the Azure client also tries the managed identity of this machine.
    "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
}
# How long Google's client waits for the metadata server of a machine in Google's cloud, which answers within a second.
# Everywhere else, this is the time until a missing login is an error: about 5 s. Google's defaults take 12 s.
_LOGIN_SEARCH = {"GCE_METADATA_TIMEOUT": "2", "GCE_METADATA_DETECT_RETRIES": "2"}
# Caches of logins below the home directory, of which the worker gets a copy.
_LOGIN_CACHES = (".aws/sso/cache", ".aws/cli/cache")
_MAX_CACHE_FILES = 200
_MAX_CACHE_FILE_BYTES = 64 * 1024


def environment_for(host: Host, environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the complete environment of the worker for `host`.

    Credentials of object stores go to declared servers only. `home` becomes the worker's home directory. It hides the
    user's `~/.netrc`, `~/.mlflow/credentials` and `~/.databrickscfg` from MLflow; see `make_home`.
    """
    own = _own_variables(host)
    result = base_environment(environment) | _workspace(host, environment)
    shared: dict[str, str] = {}
    if host.is_declared:
        shared = _shared_store_variables(own, environment)
        result |= _LOGIN_SEARCH | _store_files(environment) | shared
    else:
        result |= _NO_STORE_LOGIN
    result |= own | SETTINGS | {"HOME": str(home)}
    result |= {TRACKING_URI: host.uri, REGISTRY_URI: own.get(REGISTRY_URI, host.uri)}
    result |= _endpoints(result, host)
    result |= _account(host, environment, own, shared)
    if host.workspace is not None:
        return result | login_environment(host.workspace)
    if host.username and host.kind is HostKind.HTTP:
        # The credentials are not in the URI, because MLflow's exceptions quote the URI.
        result |= {"MLFLOW_TRACKING_USERNAME": host.username, "MLFLOW_TRACKING_PASSWORD": host.password}
    return result


def make_home(parent: Path, host: Host, environment: Mapping[str, str]) -> Path:
    """Make the home directory of the worker for `host` in `parent`, and return its path.

    The home of a declared server has copies of the user's cached AWS logins, so that profiles with single sign-on work.

    Raises:
        StorageError: The directory cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise storage_error(error, "make the home directory of a worker") from error
    if host.is_declared and environment.get("HOME"):
        for cache in _LOGIN_CACHES:
            # If a cached login cannot be copied, the error of the object store says that the login is missing.
            with suppress(OSError, StorageError):
                _copy_cache(Path(environment["HOME"], cache), home / cache)
    return home


def _copy_cache(source: Path, destination: Path) -> None:
    for file in sorted(source.glob("*.json"))[:_MAX_CACHE_FILES]:
        if file.is_file() and file.stat().st_size <= _MAX_CACHE_FILE_BYTES:
            destination.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, destination / file.name)
            (destination / file.name).chmod(0o600)


def _own_variables(host: Host) -> dict[str, str]:
    """Return the host's variables, without the variables of a login if the host has user-info."""
    replaced = LOGIN_VARIABLES if host.username else frozenset[str]()
    return {name: value for name, value in host.variables if name not in replaced}


def _workspace(host: Host, environment: Mapping[str, str]) -> dict[str, str]:
    """Return MLFLOW_WORKSPACE and its value for a server without a name; {} if the variable is not for this server.

    If MLFLOW_TRACKING_URI is set, MLFLOW_WORKSPACE belongs to the server in MLFLOW_TRACKING_URI.
    """
    name = "MLFLOW_WORKSPACE"
    if host.server or host.kind is HostKind.DATABRICKS or environment.get(TRACKING_URI, "").strip():
        return {}
    return {name: environment[name]} if environment.get(name) else {}


def _shared_store_variables(own: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the unprefixed variables of object stores, which all declared servers share.

    A family of stores, such as AWS, is left out if `own`, the variables of the server alone, has one of that family.
    """
    own_families = {store_family(name) for name in own}
    return {
        name: value
        for name, value in Ownership.of(environment).unprefixed.items()
        if store_family(name) and store_family(name) not in own_families
    }


def _store_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables with the paths of the object stores' credential files.

    Without these variables, a worker would not find the files, because the worker's home directory is not the
    user's. Variables of the user override them.
    """
    home = Path(environment.get("HOME") or "/nonexistent")
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": home / ".aws" / "credentials",
        "AWS_CONFIG_FILE": home / ".aws" / "config",
        "CLOUDSDK_CONFIG": home / ".config" / "gcloud",
    }
    # Unlike `Path.is_dir`, this does not raise if the home belongs to another user, as in a container.
    if os.path.isdir(home / ".azure"):
        # If the directory did not exist, the Azure command line would make it.
        files["AZURE_CONFIG_DIR"] = home / ".azure"
    return {name: environment.get(name) or str(path) for name, path in files.items()}


def _endpoints(variables: Mapping[str, str], host: Host) -> dict[str, str]:
    """Return MODEL_GATE_STORE_ENDPOINTS with the origins of the declared object stores and of a separate registry."""
    registry = variables[REGISTRY_URI]
    other = http_origin(registry) if host.workspace is None and registry != host.uri else ""
    return {STORE_ENDPOINTS: ",".join(filter(None, (*store_endpoints(variables), other)))}


def _account(
    host: Host, environment: Mapping[str, str], own: Mapping[str, str], shared: Mapping[str, str]
) -> dict[str, str]:
    """Return variables with the names of the credentials that a worker gets, and of those that it does not get.

    Another variable has the names that the user has given to the variables of the server.

    The addresses of S3 stores that the worker does not get are with the latter: with a login, they decide what is read.

    Args:
        host: The worker's server.
        environment: The environment of the gate.
        own: The variables of the server.
        shared: The unprefixed variables that the worker gets too.
    """
    prefix = declared_prefix(environment, host.server)
    prefixed = {name: prefix + name for name, value in own.items() if environment.get(prefix + name) == value}
    names = [prefixed.get(name, name) for name in own]
    handed_over = {*names, *shared}
    sent = [name for name in (*names, *shared) if is_credential(name)]
    not_sent = [entry for entry in _not_sent(host, environment, own) if entry[0] not in handed_over]
    is_owner = bool(prefix) or (not host.server and Declarations(environment).is_default(host))
    return {
        SERVER_VARIABLE: host.server,
        **({PREFIX_VARIABLE: prefix} if is_owner else {}),
        # The user name comes before the password.
        SENT_VARIABLE: json.dumps(sorted(sent, key=lambda name: (not name.endswith("_USERNAME"), name))),
        NOT_SENT_VARIABLE: json.dumps(not_sent),
        NAMES_VARIABLE: json.dumps({name: prefixed.get(name, name) for name in (*own, *shared) if store_family(name)}),
    }


def _not_sent(host: Host, environment: Mapping[str, str], own: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each credential and S3 address in the environment, and why it would not be sent to a host."""
    ownership = Ownership.of(environment)
    own_prefix = declared_prefix(environment, host.server)
    own_names = {store_family(name): own_prefix + name for name in reversed(list(own))}
    replaced = "the address of the server has a login of its own"
    for name in undeclared_logins(environment):
        prefix = next(name.removesuffix(login) for login in LOGIN_NAMES if name.endswith(login))
        yield name, f"it declares no server, because {prefix}{TRACKING_URI} is not set"
    if host.is_declared:
        yield from ((own_prefix + name, EMPTY) for name in LOGIN_NAMES if environment.get(own_prefix + name) == "")
    for name in sorted(environment):
        prefix = ownership.prefix(name)
        plain = name.removeprefix(prefix)
        if environment[name] and name.startswith("MLFLOW_") and not prefix and meant_login(name):
            yield name, NO_LOGIN_VARIABLE
            continue
        if not environment[name] or not (is_credential(plain) or plain in S3_ENDPOINTS):
            continue
        if prefix:
            server = prefix.removesuffix("_").lower()
            yield name, replaced if server == host.server else ANOTHER_SERVER + server
        elif name in HTTP_VARIABLES:
            is_own = not host.server and name in dict(host.variables)
            yield name, replaced if is_own else _unprefixed_reason(environment)
        elif store_family(name):
            family = store_family(name)
            own_name = own_names.get(family, "") if host.is_declared else ""
            reason = f"this server has {family} variables of its own, such as {own_name}"
            yield name, reason if own_name else "this server is not declared"


def _unprefixed_reason(environment: Mapping[str, str]) -> str:
    if environment.get(TRACKING_URI, "").strip():
        return f"it belongs to the address in {TRACKING_URI}, and this server has another"
    return f"no server is declared for it: {TRACKING_URI} is not set"


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secret values in environment variables: of declared servers, of object stores and of Databricks."""
    ownership = Ownership.of(environment)
    values: list[str] = []
    for prefix in ("", *ownership.prefixes):
        variables = ownership.prefixed(prefix) if prefix else _unprefixed_credentials(ownership)
        values += [part for name, value in variables.items() if is_secret(name) for part in secret_parts(value)]
        username, password = (variables.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
        values += basic_auth_secrets(username, password)
        values += _endpoint_secrets(variables.get(STORE_ENDPOINTS, ""))
    for name in _PROXIES:
        values += _login_secrets(re.sub(r"^\w*://", "", environment.get(name, "").rpartition("@")[0]))
    values += declared_secrets(environment)
    values += login_secrets(environment)
    return tuple(dict.fromkeys(filter(None, values)))


def _unprefixed_credentials(ownership: Ownership) -> dict[str, str]:
    passed = {name for prefix in ("", *ownership.prefixes) for name in ownership.passed_names(prefix)}
    return {
        name: value
        for name, value in ownership.unprefixed.items()
        if name in HTTP_VARIABLES or store_family(name) or name in passed
    }


def _endpoint_secrets(text: str) -> list[str]:
    """Return the user-info of each address in a text, the password in it, and both as the header of a request."""
    return [secret for found in re.findall(r"://([^\s,/?#]+)@", text) if found for secret in _login_secrets(found)]


def _login_secrets(user_info: str) -> list[str]:
    """Return user-info, the password in it, and both as the header of a request. A proxy's login can have any sign."""
    password = user_info.partition(":")[2]
    return [user_info, password, unquote(password), *basic_auth_secrets(*map(unquote, user_info.partition(":")[::2]))]
