"""Checks the user's settings for a tracking server before MLflow reads them.

MLflow reports these mistakes as errors of the server, or not in words. A message never shows the value of a login.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from model_gate.domain.host import LOOPBACK
from model_gate.domain.wording import printable, truncate
from model_gate.errors import AccessError, InputError
from model_gate.worker.credential_facts import CredentialFacts, edge_problem
from model_gate.worker.proxies import require_proxy, require_socks_package

_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105  # the name of a variable
_BASIC_LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
# The whole numbers that MLflow and the sockets of Python accept.
_NUMBERS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": range(1, 86_401),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": range(11),
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": range(121),
}
_SHOWN = 20


def require_server_settings(environment: Mapping[str, str]) -> None:
    """Check the login to the tracking server, the numbers that bound its requests, and the proxy for them.

    Raises:
        AccessError: A part of the login cannot be sent.
        InputError: A number is malformed or outside its range, or the address of the proxy is malformed.
    """
    prefix = CredentialFacts.from_environment(environment).prefix or ""
    problem = _token_problem(environment.get(_TOKEN, ""))
    if problem:
        name = f"{prefix}{_TOKEN}"
        remedy = f"Set {name} to the token alone, without quotation marks, white space and line breaks."
        raise AccessError(f"The value of {name} {problem}.", remedy)
    for name in _BASIC_LOGIN:
        problem = _basic_problem(environment.get(name, ""))
        if problem:
            raise AccessError(
                f"The value of {prefix}{name} {problem}.", f"Set {prefix}{name} to the text alone, in UTF-8."
            )
    for name, accepted in _NUMBERS.items():
        _require_number(name, environment.get(name, ""), accepted)
    address = environment.get("MODEL_GATE_ADDRESS", "")
    if address.startswith(("http:", "https:")):
        require_proxy(address, environment)
        # A server that only gives variables a name has an address of this machine, and gets no request.
        if urlsplit(address).hostname not in LOOPBACK:
            require_socks_package(address, environment)


def _token_problem(token: str) -> str:
    r"""Return why a token cannot be the value of a header, "" if it can.

    >>> _token_problem("token\n"), _token_problem("to ken")
    ('begins or ends with white space', '')
    """
    if problem := edge_problem(token):
        return problem
    if "\n" in token or "\r" in token:
        return "has a line break"
    return "" if token.isascii() and (token.isprintable() or not token) else "has a character that no token has"


def _basic_problem(value: str) -> str:
    r"""Return why a user name or a password is not one, "" if it can be one. Blanks count.

    >>> _basic_problem("password\n"), _basic_problem("pass word ")
    ('begins or ends with a line break', '')
    """
    if value != value.strip("\r\n"):
        return "begins or ends with a line break"
    # An environment variable may hold bytes that are not UTF-8.
    return "is not UTF-8" if any("\ud800" <= char <= "\udfff" for char in value) else ""


def _require_number(name: str, value: str, accepted: range) -> None:
    """Require that a variable is not set, or is a whole number in a range."""
    if not value:
        return
    text = value.strip()
    if not (text.isascii() and text.isdigit() and len(text) < _SHOWN and int(text) in accepted):
        raise InputError(
            f"The value of {name}, {truncate(printable(value), _SHOWN)}, is not a whole number from {accepted[0]} to"
            f" {accepted[-1]:,}.",
            f"Change {name}, or unset it.",
        )
