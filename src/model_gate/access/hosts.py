"""Finds the tracking server that a text names. `parse_host` only parses the text, `find_host` also reads the disk.

>>> parse_host("https://ann:secret@MLflow.example.com:443/").address
'https://mlflow.example.com'
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from model_gate.access.databricks import find_login, is_databricks, parse_workspace_name
from model_gate.access.local_stores import read_only_uri, require_file_store
from model_gate.domain.host import Host, HostKind, is_credential_key
from model_gate.domain.origin import origin_of
from model_gate.domain.variables import REGISTRY_URI, TRACKING_URI
from model_gate.errors import InputError

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KNOWN_SCHEMES = "https?|sqlite|postgresql|mysql|mssql|file|databricks(?:-uc)?|models|runs|dbfs|s3|gs|r2|wasbs?|abfss?"
# A scheme, possibly mistyped: `https://`, `http:/`, `http:` or `https//`. Other text before a colon may be a user name.
_SCHEME = re.compile(rf"(?i)((?:{_KNOWN_SCHEMES})(?:\+\w+)?)(?::/{{0,3}}|/{{2,3}})|([a-z][a-z0-9+.-]*)://")
# A variable that a shell or a workflow would have replaced: $NAME at the start, ${NAME} or ${{ NAME }} anywhere.
_VARIABLE = re.compile(r"^\$\w+|\$\{\w+\}|\$\{\{[^{}]*\}\}")
# Characters that end the part of an http address in which a login is.
_ENDS = "#?/"
# A host name without a scheme.
_BARE_HOST = re.compile(r"(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w-]+(?=:))(?::\d+)?(?:/\S*)?")
# Tracking servers that only a plugin can reach, by the start of their URIs.
_VENDORS = {"arn:": "Amazon SageMaker", "azureml:": "Azure Machine Learning"}
# Keys in the query of a database's URI that replace its server or select what is read from it.
_TARGET_KEYS = frozenset(
    {"host", "hostaddr", "port", "dbname", "database", "db", "service", "unix_socket", "read_default_file", "options"}
)
_FORMS = "Name it like https://mlflow.example.com, http://localhost:5000, databricks://PROFILE or sqlite:///mlflow.db."


def find_host(text: str, environment: Mapping[str, str], label: str = "host") -> Host:
    """Return the tracking server that a text names, with its login or the absolute path of its database or directory.

    Args:
        text: The host as the user wrote it.
        environment: The environment variables that select the file of Databricks profiles, or contain a login.
        label: The name of the input in error messages.

    Raises:
        InputError: The text does not name a tracking server, its file does not exist, or its profile cannot be used.
    """
    host = parse_host(text, label)
    if host.kind is HostKind.DATABRICKS:
        try:
            workspace = find_login(parse_workspace_name(text.strip()), environment)
        except InputError as error:
            raise InputError(f"{label}: {error.message}", error.remedy) from error
        # The login comes from the user's own profile or variables.
        return replace(host, workspace=workspace, is_declared=True)
    if host.kind is HostKind.FILES:
        return _find_directory(host, label)
    if host.address.startswith("sqlite"):
        return _find_sqlite(host, label)
    return host


def parse_host(text: str, label: str = "host") -> Host:
    """Return the tracking server that a text names, without reading the disk.

    The result has no login to a Databricks workspace, and keeps a relative path; see `find_host`.

    Raises:
        InputError: The text is not the URI of a tracking server.
    """
    text = text.strip()
    if not text:
        raise InputError(f"{label} is empty.", _FORMS)
    if "\0" in text:
        raise InputError(f"{label} has a null character.", _FORMS)
    _require_no_variable(text, label)
    _require_encoded_login(text, label)
    if is_databricks(text):
        try:
            parse_workspace_name(text)
        except InputError as error:
            raise InputError(f"{label}: {error.message}", error.remedy) from error
        return Host(HostKind.DATABRICKS, text.rstrip("/"), "databricks")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # The message does not quote a text that cannot be parsed, because any part of it may be a password.
        raise InputError(f"{label} is not a valid URI: its host or port is malformed.", _FORMS) from error
    if parts.scheme in _DEFAULT_PORTS:
        return _http_host(text, label, port)
    if parts.scheme.partition("+")[0] in _DATABASES and "://" in text:
        if parts.netloc and text.count("@") > ("@" in parts.netloc):
            # SQLAlchemy takes what follows the first '@' for the server, and its errors show the server.
            raise InputError(
                f"{label} has an '@' that does not end a login.",
                "Percent-encode special characters in a user name or password: '@' is %40, '/' is %2F.",
            )
        return Host(
            HostKind.DATABASE,
            _without_user_info(text) + _target_in(parts.query),
            text,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
    if parts.scheme in {"", "file"}:
        return Host(HostKind.FILES, text, text)
    raise _not_a_server(text, label)


def _target_in(query: str) -> str:
    """Return the part of a database's query that names the server or the database, with its question mark."""
    target = sorted(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] in _TARGET_KEYS)
    return f"?{urlencode(target, safe='/:,')}" if target else ""


def database_key(host: Host) -> str:
    """Return a text that is equal for two URIs of one database, whatever their logins. It may contain credentials.

    >>> key = database_key(parse_host("postgresql://ann:s3cret@db/mlflow?options=-csearch_path%3Dprod"))
    >>> key == database_key(parse_host("postgresql://db/mlflow?options=-csearch_path%3Dstaging"))
    False
    """
    if host.local_path is not None:
        return host.address
    query = parse_qsl(urlsplit(host.uri).query, keep_blank_values=True)
    return f"{host.address} {sorted(pair for pair in query if not _is_login_key(pair[0]))}"


def has_login(host: Host) -> bool:
    """Return whether the address of a server has a login, in its user-info or in its query."""
    keys = (key for key, _ in parse_qsl(urlsplit(host.uri).query, keep_blank_values=True))
    return bool(host.username) or (host.kind is HostKind.DATABASE and any(map(_is_login_key, keys)))


def _is_login_key(key: str) -> bool:
    return key in {"user", "username"} or is_credential_key(key)


def _not_a_server(text: str, label: str) -> InputError:
    vendor = next((name for scheme, name in _VENDORS.items() if text.lower().startswith(scheme)), "")
    if vendor:
        return InputError(
            f"{label} {_without_user_info(text)!r} needs the MLflow plugin of {vendor}. Model Gate does not have it.",
            "Download both models with the vendor's tools, and compare the directories with model-gate diff.",
        )
    shown = _without_user_info(text)
    remedy = f"Write it with its scheme: https://{shown} or http://{shown}." if _BARE_HOST.fullmatch(shown) else _FORMS
    return InputError(f"{label} {shown!r} is not the URI of a tracking server.", remedy)


def _require_no_variable(text: str, label: str) -> None:
    """Raise InputError for an address with a variable such as `${HOST}`, which nothing replaced by its value."""
    if _VARIABLE.search(text):
        # The message does not quote the variable, since the same text can be a part of a password.
        raise InputError(
            f"{label} has a variable such as ${{NAME}}, which was not replaced by its value.",
            "Write the address itself; in a shell, use double quotes instead of single quotes. In a password, write %24"
            " for '$'.",
        )


def _require_encoded_login(text: str, label: str) -> None:
    """Raise InputError if the login of an http address has a character that ends the part of the address before it."""
    scheme, rest = _split_scheme(text)
    user_info, at, _ = rest.rpartition("@")
    ends = [char for char in user_info if char in _ENDS]
    if scheme in _DEFAULT_PORTS and at and ends:
        raise InputError(
            f"The user name or the password in {label} has a {ends[0]!r}, which ends this part of an address.",
            f"Write {ends[0]!r} as {quote(ends[0], safe='')}. {_login_elsewhere(label)}",
        )


def _login_elsewhere(label: str) -> str:
    """Return how to declare the server of an address without a login in the address."""
    if label == "host":
        names = "NAME_MLFLOW_TRACKING_URI, NAME_MLFLOW_TRACKING_USERNAME and NAME_MLFLOW_TRACKING_PASSWORD"
        return f"Better, keep the login out of the file: write server: NAME instead of host, and set {names}."
    variable = next((name for name in (TRACKING_URI, REGISTRY_URI) if label.endswith(name)), "")
    prefix = label.removesuffix(variable) if variable else ""
    names = f"{prefix}MLFLOW_TRACKING_USERNAME and {prefix}MLFLOW_TRACKING_PASSWORD"
    # If MLFLOW_TRACKING_URI is set, the unprefixed login belongs to the address in it.
    address = "" if variable else "MLFLOW_TRACKING_URI to the same address, "
    return f"Or remove the login from the address, and set {address}{names}."


def _http_host(text: str, label: str, port: int | None) -> Host:
    parts = urlsplit(text)
    if not parts.hostname:
        raise InputError(f"{label} {_without_user_info(text)!r} names no host.", _FORMS)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise InputError(
            f"{label}: user-info needs both a user name and a password.",
            "Write both before the host, with a colon between them and an '@' after them; percent-encode special"
            " characters.",
        )
    if parts.query or parts.fragment:
        raise InputError(f"{label} has a query or a fragment; a tracking server's address has neither.", _FORMS)
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    address = f"{parts.scheme}://{name}{shown_port}{parts.path.rstrip('/')}"
    if origin_of(address) is None:
        # Two programs could read two hosts: `http://a\\.example.com` is the host `a` for urllib3.
        raise InputError(
            f"{label} {address!r} has a host name with other characters than letters, digits, '-', '_' and '.'.",
            "Write the name as in https://mlflow.example.com, a name in another script in its form xn--….",
        )
    return Host(HostKind.HTTP, address, address, username, password)


def _find_directory(host: Host, label: str) -> Host:
    parts = urlsplit(host.uri)
    path = Path(unquote(parts.path) if parts.scheme else host.uri)
    # Unlike `Path.is_dir`, this does not raise if the parent directory cannot be searched.
    if not os.path.isdir(path):
        if not parts.scheme:
            raise _not_a_server(host.uri, label)
        raise InputError(f"{label}: there is no directory {path.resolve()}.", _FORMS)
    require_file_store(path, label)
    uri = path.resolve().as_uri()
    return Host(HostKind.FILES, uri, uri)


def _find_sqlite(host: Host, label: str) -> Host:
    # In the URIs of SQLAlchemy, a path follows three slashes. An absolute path starts with a fourth slash. The path is
    # not percent-encoded.
    location = host.uri.partition("://")[2].partition("?")[0]
    if not location.startswith("/"):
        raise _not_a_server(host.uri, label)
    path = Path(location[1:])
    uri = read_only_uri(path, label)
    return Host(HostKind.DATABASE, f"sqlite:///{path.resolve()}", uri)


def _without_user_info(text: str) -> str:
    """Return the text of a host without what may be a credential: user-info, query and fragment."""
    _, rest = _split_scheme(text)
    prefix = text[: len(text) - len(rest)]
    host = re.split("[?#]", rest, maxsplit=1)[0]
    # A password may contain a question mark, a number sign or a slash that is not percent-encoded.
    is_login = bool(secrets_in(text)) or "@" in host.partition("/")[0]
    return prefix + (re.split("[?#]", rest.rpartition("@")[2], maxsplit=1)[0] if is_login else host)


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the parts of a host's address that may be credentials, even if the address cannot be parsed.

    >>> secrets_in("http:/ann:s3cret@example.com")
    ('ann:s3cret', 's3cret')
    """
    scheme, rest = _split_scheme(text)
    user_info, at, _ = rest.rpartition("@")
    password = user_info.partition(":")[2]
    if password:
        return user_info, password
    # With other schemes, the text before the '@' is a name, as in models:/NAME@ALIAS.
    return (user_info,) if at and user_info and scheme.partition("+")[0] in {*_DEFAULT_PORTS, *_DATABASES} else ()


def _split_scheme(text: str) -> tuple[str, str]:
    """Split the text of a host into its scheme and the rest, even if the scheme lacks its colon or a slash."""
    text = text.strip()
    match = _SCHEME.match(text)
    return ((match[1] or match[2]).lower(), text[match.end() :]) if match else ("", text)
