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
from urllib.parse import unquote, urlsplit

from model_gate.access.databricks import find_login, is_databricks, parse_workspace_name
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError
from model_gate.regular_files import open_regular

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
# Paths such as /proc/self/fd/3 mean another file in each process.
_DEVICE_DIRECTORIES = ("/proc/", "/dev/fd/", "/dev/std")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KNOWN_SCHEMES = "https?|sqlite|postgresql|mysql|mssql|file|databricks(?:-uc)?|models|runs|dbfs|s3|gs|r2|wasbs?|abfss?"
# A scheme as people write it: `https://`, `http:/`, `http:` or `https//`. Any other text before a colon may be a user.
_SCHEME = re.compile(rf"(?i)((?:{_KNOWN_SCHEMES})(?:\+\w+)?)(?::/{{0,3}}|/{{2,3}})|([a-z][a-z0-9+.-]*)://")
# Schemes of services that only a plugin of MLflow can read.
_PLUGIN_SERVICES = {"arn": "Amazon SageMaker", "azureml": "Azure Machine Learning"}
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
    if is_databricks(text):
        try:
            parse_workspace_name(text)
        except InputError as error:
            raise InputError(f"{label}: {error.message}", error.remedy) from error
        return Host(HostKind.DATABRICKS, text.rstrip("/"), "databricks")
    if service := _PLUGIN_SERVICES.get(text.partition(":")[0].lower()):
        raise InputError(
            f"{label} names {service}, which Model Gate does not read: MLflow reaches it only with a plugin that brings"
            " its own login.",
            "Download both models with that plugin, and compare the directories: model-gate diff LEFT RIGHT.",
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # The message does not quote a text that cannot be parsed, because any part of it may be a password.
        raise InputError(f"{label} is not a valid URI: its host or port is malformed.", _FORMS) from error
    if parts.scheme in _DEFAULT_PORTS:
        return _http_host(text, label, port)
    if parts.scheme.partition("+")[0] in _DATABASES and "://" in text:
        return Host(
            HostKind.DATABASE,
            _without_user_info(text),
            text,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )
    if parts.scheme in {"", "file"}:
        return Host(HostKind.FILES, text, text)
    raise _not_a_server(text, label)


def _not_a_server(text: str, label: str) -> InputError:
    return InputError(f"{label} {_without_user_info(text)!r} is not the URI of a tracking server.", _FORMS)


def _http_host(text: str, label: str, port: int | None) -> Host:
    parts = urlsplit(text)
    if not parts.hostname:
        raise InputError(f"{label} {_without_user_info(text)!r} names no host.", _FORMS)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise InputError(
            f"{label}: user-info needs both a user name and a password.",
            "Write both before the host, as in user:password@; percent-encode special characters.",
        )
    if parts.query or parts.fragment:
        raise InputError(f"{label} has a query or a fragment; a tracking server's address has neither.", _FORMS)
    if "@" in parts.path:
        # The path may contain a part of a password that has a slash, and messages show the path.
        raise InputError(
            f"{label} has an '@' after its first slash.",
            "Percent-encode special characters in a user name or password: '/' is %2F.",
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    address = f"{parts.scheme}://{name}{shown_port}{parts.path.rstrip('/')}"
    return Host(HostKind.HTTP, address, address, username, password)


def _find_directory(host: Host, label: str) -> Host:
    parts = urlsplit(host.uri)
    path = Path(unquote(parts.path) if parts.scheme else host.uri)
    if not path.is_dir():
        if not parts.scheme:
            raise _not_a_server(host.uri, label)
        raise InputError(f"{label}: there is no directory {path.resolve()}.", _FORMS)
    uri = path.resolve().as_uri()
    return Host(HostKind.FILES, uri, uri)


def _find_sqlite(host: Host, label: str) -> Host:
    # In the URIs of SQLAlchemy, a path follows three slashes. An absolute path starts with a fourth slash.
    path = Path(urlsplit(host.uri).path[1:])
    _require_sqlite(path, label)
    return Host(HostKind.DATABASE, f"sqlite:///{path.resolve()}", host.uri)


def _require_sqlite(path: Path, label: str) -> None:
    # Without this check, MLflow would create a missing database and then find no model in it.
    if os.path.abspath(path).startswith(_DEVICE_DIRECTORIES):
        raise InputError(
            f"{label}: the database {path} may be another file, or none, in the process that reads it.",
            "Name the database by its path in a directory on a disk.",
        )
    try:
        with open(path, "rb", opener=open_regular) as file:
            magic = file.read(16)
    except OSError as error:
        raise InputError(
            f"{label}: the database {path} cannot be read: {error.strerror}.",
            "Name the existing database file: sqlite:///relative.db or sqlite:////absolute/path.db.",
        ) from error
    if magic != b"SQLite format 3\x00":
        raise InputError(f"{label}: {path} is not an SQLite database.", "Name the database file of a tracking server.")


def _without_user_info(text: str) -> str:
    """Return the text of a host without what may be a credential: user-info, query and fragment."""
    _, rest = _split_scheme(text)
    prefix = text[: len(text) - len(rest)]
    host = re.split("[?#]", rest, maxsplit=1)[0]
    # A password may contain a question mark, a number sign or a slash that is not percent-encoded.
    is_login = bool(secrets_in(text)) or "@" in host.partition("/")[0]
    return prefix + (re.split("[?#]", rest.rpartition("@")[2], maxsplit=1)[0] if is_login else host)


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the texts in the name of a host that may be credentials, even if the name cannot be parsed.

    >>> secrets_in("http:/ann:s3cret@example.com")
    ('ann:s3cret', 's3cret')
    """
    scheme, rest = _split_scheme(text)
    user_info, at, _ = rest.rpartition("@")
    password = user_info.partition(":")[2]
    if password:
        return user_info, password
    # In models:/NAME@ALIAS and databricks://PROFILE the text before the sign is a name.
    return (user_info,) if at and user_info and scheme.partition("+")[0] in {*_DEFAULT_PORTS, *_DATABASES} else ()


def _split_scheme(text: str) -> tuple[str, str]:
    """Split the text of a host into its scheme and the rest, also with a missing colon or slash."""
    text = text.strip()
    match = _SCHEME.match(text)
    return ((match[1] or match[2]).lower(), text[match.end() :]) if match else ("", text)
