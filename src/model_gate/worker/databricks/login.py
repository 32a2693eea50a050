"""Makes this process one that talks to one Databricks workspace, with one login, and keeps that login fresh.

MLflow and the Databricks SDK build clients by the dozen, each with a login of its own from whatever they find. So the
login is done here, once; what they find is the workspace's address and an access token. A few of their defaults, which
would make a dead host a matter of 22 minutes, are bounded at the same time.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests
from databricks.sdk import clock, oauth
from databricks.sdk import config as sdk_config
from databricks.sdk._base_client import _BaseClient
from mlflow.utils.rest_utils import get_workspace_client
from requests.adapters import HTTPAdapter

from model_gate.access.databricks import LOGIN_VARIABLE
from model_gate.errors import AccessError, ModelGateError, UnreachableError
from model_gate.worker.failures import exception_chain

# The first answer may take so long; a request that fails is tried again for so long; a server may ask for such a wait.
_ANSWER_SECONDS, _RETRY_SECONDS, _LONGEST_WAIT = 20, 12, 20
# A login asks more than one server, one after the other.
_LOGIN_SECONDS = 15
# Before an access token expires by so much, it is renewed; a token that lives shorter is used half its life.
_MARGIN_SECONDS = 60.0
_PROFILE = "model-gate"

_T = TypeVar("_T")


class WorkspaceConnection:
    """The login to the one workspace of this process.

    Raises:
        UnreachableError: The workspace does not answer.
        AccessError: It does not accept the login.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._login: dict[str, Any] = json.loads(os.environ.pop(LOGIN_VARIABLE))
        self._lock = threading.Lock()
        self._renewed: list[Callable[[], None]] = []
        self._token = ""
        self._renew_at = float("inf")
        _bound_waits()
        _ask_once(self._login["host"])
        _settle(self._login["host"])
        self._renew()

    def on_renewal(self, forget: Callable[[], None]) -> None:
        """Have `forget` called whenever there is another token: clients keep the one they were made with."""
        self._renewed.append(forget)

    def perform(self, call: Callable[[], _T]) -> _T:
        """Do something with a fresh token; if it is refused all the same, once more with another one."""
        token = self._fresh_token()
        try:
            return call()
        except Exception as error:
            if not self._is_renewable or not _is_refused(error):
                raise
            with self._lock:
                if token == self._token:
                    self._renew()
            return call()

    @property
    def _is_renewable(self) -> bool:
        return bool(self._login["auth_type"] != "pat")

    def _fresh_token(self) -> str:
        with self._lock:
            if time.monotonic() > self._renew_at:
                self._renew()
            return self._token

    def _renew(self) -> None:
        if not self._is_renewable:
            self._token = self._login["token"]
        else:
            granted = self._exchange()
            seconds = granted.expiry.timestamp() - time.time()
            self._renew_at = time.monotonic() + max(seconds / 2, seconds - _MARGIN_SECONDS)
            self._token = granted.access_token
        os.environ["DATABRICKS_TOKEN"] = self._token
        get_workspace_client.cache_clear()
        for forget in self._renewed:
            forget()

    def _exchange(self) -> Any:
        kind = self._login["auth_type"]
        try:
            # What is in the environment for MLflow stays there meanwhile: auth_type says which login is meant.
            config = sdk_config.Config(
                **self._login,
                http_timeout_seconds=_ANSWER_SECONDS,
                retry_timeout_seconds=_RETRY_SECONDS,
            )
            return config.oauth_token()
        except ModelGateError:
            raise
        except Exception as error:
            if any(isinstance(each, requests.RequestException | TimeoutError) for each in exception_chain(error)):
                raise UnreachableError(
                    f"Logging in to {self._address} by {kind} failed: the login's server gives no answer.",
                    "Check whether it can be reached from here.",
                ) from error
            reason = str(error).partition(" Config: ")[0].rstrip(".")
            raise AccessError(f"Logging in to {self._address} by {kind} failed: {reason}.", _REMEDIES[kind]) from error


_FEDERATION = (
    "Check the service principal's client_id, and that its federation policy names this issuer, subject and audience."
)
_REMEDIES = {
    "oauth-m2m": "Check client_id and client_secret: the secret may have expired.",
    "github-oidc": f"{_FEDERATION} The job needs `permissions: id-token: write`.",
    "env-oidc": _FEDERATION,
    "azure-client-secret": "Check azure_client_id, azure_client_secret and azure_tenant_id.",
}


_REFUSALS = ("Unauthenticated", "UNAUTHENTICATED", "Invalid access token", "error code 401")


def _is_refused(error: Exception) -> bool:
    """Whether this is about the token itself: not about what it may do."""
    texts = (f"{type(each).__name__} {getattr(each, 'error_code', '')} {each}" for each in exception_chain(error))
    return any(sign in text for text in texts for sign in _REFUSALS)


def _bound_waits() -> None:
    def sleep(_: clock.RealClock, seconds: float) -> None:
        if seconds > _LONGEST_WAIT:
            raise UnreachableError(
                f"The workspace asks to wait {seconds:.0f} s before the next request: it is throttled or overloaded.",
                "Run the gate again later.",
            )
        time.sleep(seconds)

    setattr(clock.RealClock, "sleep", sleep)  # noqa: B010  # the SDK would sleep as long as a server tells it to
    sdk_config.Config.files_ext_network_transfer_inactivity_timeout_seconds = _ANSWER_SECONDS
    sdk_config.Config.experimental_files_ext_cloud_api_max_retries = 2
    client = _BaseClient(http_timeout_seconds=_LOGIN_SECONDS, retry_timeout_seconds=_RETRY_SECONDS)
    endpoints = functools.partial(oauth.get_endpoints_from_url, client=client)
    setattr(sdk_config, "get_endpoints_from_url", endpoints)  # noqa: B010
    _bound_requests()


def _bound_requests() -> None:
    """Give a limit to each request that has none: the SDK logs in by such."""
    send = HTTPAdapter.send

    @functools.wraps(send)
    def bounded(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return send(adapter, request, **{**options, "timeout": options.get("timeout") or _LOGIN_SECONDS})

    setattr(HTTPAdapter, "send", bounded)  # noqa: B010


def _ask_once(host: str) -> None:
    """Ask the workspace what it is, and let every client have that answer; one that is dead ends the matter here."""
    client = _BaseClient(http_timeout_seconds=_ANSWER_SECONDS, retry_timeout_seconds=_RETRY_SECONDS)
    about = oauth.HostMetadata(oidc_endpoint=f"{host}/oidc")
    dead: BaseException | None = None
    try:
        about = oauth.get_host_metadata(host, client=client)
    except ValueError as error:
        # One that answers but does not say is an older one.
        if isinstance(error.__cause__, ModelGateError | TimeoutError):
            dead = error.__cause__
    if dead is not None:
        raise dead

    def answer(*_: object, **__: object) -> oauth.HostMetadata:
        return about

    setattr(sdk_config, "get_host_metadata", answer)  # noqa: B010


def _settle(host: str) -> None:
    """Leave exactly one workspace to be found, by the only way that also says how long to wait for it."""
    path = Path(os.environ["HOME"]) / f"databricks-{os.getpid()}.cfg"
    waits = f"http_timeout_seconds = {_ANSWER_SECONDS}\nretry_timeout_seconds = {_RETRY_SECONDS}\n"
    path.write_text(f"[{_PROFILE}]\nhost = {host}\n{waits}", "utf-8")
    os.environ["DATABRICKS_CONFIG_FILE"] = str(path)
    os.environ["DATABRICKS_CONFIG_PROFILE"] = _PROFILE
    os.environ["DATABRICKS_AUTH_TYPE"] = "pat"
    os.environ["MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT"] = str(_RETRY_SECONDS)
