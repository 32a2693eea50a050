"""Tracking servers as users name them, and the environment in which one may be talked to.

The environment of a tracking server's process is an allow-list, since for MLflow variables beat profiles and `~/.netrc`
beats user-info: a credential gets in only when it was declared for that very server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from model_gate.access.databricks import is_databricks, parse_workspace
from model_gate.domain.host import Host, HostKind
from model_gate.errors import InputError

_DATABASES = {"sqlite", "postgresql", "mysql", "mssql"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SHAPES = (
    "Name it like https://mlflow.example.com, http://user:password@host:5000, databricks://PROFILE"
    " or sqlite:///mlflow.db."
)


def parse_host(text: str, named: str = "host", environment: Mapping[str, str] = os.environ) -> Host:
    """The tracking server that `text` names; `named` is what an error calls the input.

    `environment` says where Databricks profiles are, and holds the login of the workspace without one.

    Raises:
        InputError: It is no URI of a tracking server, its database file does not exist, or its profile is unusable.
    """
    text = text.strip()
    if not text:
        raise InputError(f"{named} is empty.", _SHAPES)
    if is_databricks(text):
        try:
            workspace = parse_workspace(text, environment)
        except InputError as error:
            raise InputError(f"{named}: {error.message}", error.remedy) from error
        return Host(HostKind.DATABRICKS, text.rstrip("/"), "databricks", workspace=workspace)
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        # The text is not repeated: what cannot be parsed may hold a password anywhere.
        raise InputError(f"{named} is not a valid URI: its host or port is malformed.", _SHAPES) from error
    if parts.scheme in _DEFAULT_PORTS:
        return _http_host(text, named, port)
    if parts.scheme.partition("+")[0] in _DATABASES:
        return _database_host(text, named)
    if parts.scheme == "file" or (not parts.scheme and Path(text).is_dir()):
        path = Path(unquote(parts.path) if parts.scheme else text).resolve()
        if not path.is_dir():
            raise InputError(f"{named}: there is no directory {path}.", _SHAPES)
        return Host(HostKind.FILES, path.as_uri(), path.as_uri())
    raise InputError(f"{named} {_without_user_info(text)!r} is not the URI of a tracking server.", _SHAPES)


def _http_host(text: str, named: str, port: int | None) -> Host:
    parts = urlsplit(text)
    if not parts.hostname:
        raise InputError(f"{named} {_without_user_info(text)!r} names no host.", _SHAPES)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise InputError(
            f"{named}: user-info needs both a user name and a password.",
            "Write it as https://user:password@host; percent-encode special characters.",
        )
    if parts.query or parts.fragment:
        raise InputError(f"{named} has a query or a fragment; a tracking server's address has neither.", _SHAPES)
    if "@" in parts.path:
        # What was meant as user-info has a slash in it: what follows it would be shown.
        raise InputError(
            f"{named} has an '@' after its first slash.",
            "Percent-encode special characters in a user name or password: '/' is %2F.",
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown_port = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    address = f"{parts.scheme}://{name}{shown_port}{parts.path.rstrip('/')}"
    return Host(HostKind.HTTP, address, address, username, password)


def _database_host(text: str, named: str) -> Host:
    parts = urlsplit(text)
    address = _without_user_info(text)
    if parts.scheme.startswith("sqlite"):
        # SQLAlchemy: three slashes, then a relative path; a fourth begins an absolute one.
        path = Path(parts.path[1:])
        _require_sqlite(path, named)
        return Host(HostKind.DATABASE, f"sqlite:///{path.resolve()}", text)
    return Host(HostKind.DATABASE, address, text, unquote(parts.username or ""), unquote(parts.password or ""))


def _require_sqlite(path: Path, named: str) -> None:
    # MLflow would create the database, and then find no model in it.
    try:
        with path.open("rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise InputError(
            f"{named}: the database {path} cannot be read: {error.strerror}.",
            "Name the existing database file: sqlite:///relative.db or sqlite:////absolute/path.db.",
        ) from error
    if magic != b"SQLite format 3\x00":
        raise InputError(f"{named}: {path} is not an SQLite database.", "Name the database file of a tracking server.")


def _without_user_info(text: str) -> str:
    parts = urlsplit(text)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def secrets_in(text: str) -> tuple[str, ...]:
    """What must appear nowhere of a host as it was typed, even if it cannot be understood: all before its last `@`."""
    user_info = text.partition("://")[2].rpartition("@")[0]
    password = user_info.partition(":")[2]
    return (user_info, password) if password else ()
