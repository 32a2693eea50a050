"""Connects this process to one Databricks workspace: logs in, renews the access token, and limits all waits.

MLflow and the Databricks SDK create many clients. Each client looks for a configuration and logs in with it. To control
the login, this module logs in once and writes a configuration that has only the workspace's address. The clients take
the access token from the environment.

The timeouts are shorter than the defaults of MLflow and the SDK. With the defaults, a request to a dead host would fail
only after 22 minutes.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import requests
from databricks.sdk import clock, oauth
from databricks.sdk import config as sdk_config
from databricks.sdk._base_client import _BaseClient
from databricks.sdk.mixins.files import FilesExt
from mlflow.utils.rest_utils import get_workspace_client
from requests.adapters import HTTPAdapter

from model_gate.access.databricks import LOGIN_VARIABLE
from model_gate.domain.origin import StoreEndpoint, origin_of
from model_gate.errors import AccessError, ModelGateError, UnreachableError
from model_gate.worker.failures import exception_chain
from model_gate.worker.network import PresignedAdapter, declared_endpoints
from model_gate.worker.origins import require_login_server

# Three limits in seconds: for a wait without data from the server, for all attempts of a request together, and for the
# delay that the server demands in Retry-After.
_RESPONSE_SECONDS, _RETRY_SECONDS, _MAX_WAIT_SECONDS = 20, 12, 20
# Maximum seconds without data during a login. It is shorter, because a login sends several requests in sequence.
_LOGIN_SECONDS = 15
# An access token is renewed 60 s before it expires. If it lives less than 120 s, it is renewed after half of its life.
_RENEWAL_MARGIN_SECONDS = 60.0
_PROFILE = "model-gate"

_T = TypeVar("_T")


class WorkspaceConnection:
    """Keeps a valid access token for the only workspace of this process. Thread-safe.

    Attributes:
        store_endpoints: The origins that presigned URLs may lead to, besides the clouds' stores and the internet.

    Raises:
        UnreachableError: The workspace does not respond.
        AccessError: The workspace rejects the login.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._login: dict[str, Any] = json.loads(os.environ.pop(LOGIN_VARIABLE))
        self._lock = threading.Lock()
        self._renewal_callbacks: list[Callable[[], None]] = []
        self._token = ""
        self._renew_at = float("inf")
        _limit_waits()
        _guard_login(self._login["host"])
        # The workspace itself may serve files by presigned URLs. Requests to them carry no login.
        origin = origin_of(self._login["host"])
        own_store = () if origin is None else (StoreEndpoint(origin),)
        self.store_endpoints = (*own_store, *declared_endpoints())
        _guard_presigned_urls(self.store_endpoints)
        _fetch_metadata(self._login["host"])
        _write_config(self._login["host"])
        self._renew()

    def on_renewal(self, callback: Callable[[], None]) -> None:
        """Register a function to call after each renewal of the access token.

        Clients hold the previous token, so `callback` must discard them.
        """
        self._renewal_callbacks.append(callback)

    def perform(self, call: Callable[[], _T]) -> _T:
        """Return the result of `call`. If the workspace rejects the access token, renew it and call once more."""
        token = self._valid_token()
        try:
            return call()
        except Exception as error:
            if not self._is_renewable or not _is_token_rejected(error):
                raise
            with self._lock:
                if token == self._token:
                    self._renew()
            return call()

    @property
    def _is_renewable(self) -> bool:
        return bool(self._login["auth_type"] != "pat")

    def _valid_token(self) -> str:
        with self._lock:
            if time.monotonic() > self._renew_at:
                self._renew()
            return self._token

    def _renew(self) -> None:
        if not self._is_renewable:
            self._token = self._login["token"]
        else:
            token = self._exchange()
            seconds = token.expiry.timestamp() - time.time()
            self._renew_at = time.monotonic() + max(seconds / 2, seconds - _RENEWAL_MARGIN_SECONDS)
            self._token = token.access_token
        os.environ["DATABRICKS_TOKEN"] = self._token
        get_workspace_client.cache_clear()
        for callback in self._renewal_callbacks:
            callback()

    def _exchange(self) -> Any:
        """Exchange the login for an OAuth access token, and return the token."""
        kind = self._login["auth_type"]
        try:
            # The environment may have an earlier access token. The SDK ignores it, because the login has an auth_type.
            config = sdk_config.Config(
                **self._login,
                http_timeout_seconds=_RESPONSE_SECONDS,
                retry_timeout_seconds=_RETRY_SECONDS,
            )
            return config.oauth_token()
        except ModelGateError:
            raise
        except Exception as error:
            if any(isinstance(cause, requests.RequestException | TimeoutError) for cause in exception_chain(error)):
                raise UnreachableError(
                    f"Logging in to {self._address} by {kind} failed: the login server gives no answer.",
                    "Check whether the login server can be reached from here.",
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


_REJECTED_TOKEN = ("Unauthenticated", "UNAUTHENTICATED", "Invalid access token", "error code 401")


def _is_token_rejected(error: Exception) -> bool:
    """Return whether `error` means that the workspace rejects the access token. False for a missing permission."""
    texts = (f"{type(cause).__name__} {getattr(cause, 'error_code', '')} {cause}" for cause in exception_chain(error))
    return any(pattern in text for text in texts for pattern in _REJECTED_TOKEN)


def _limit_waits() -> None:
    """Lower the timeouts, the retries and the longest pause of the SDK for all clients in this process."""

    def sleep(_: clock.RealClock, seconds: float) -> None:
        if seconds > _MAX_WAIT_SECONDS:
            raise UnreachableError(
                f"The workspace asks to wait {seconds:.0f} s before the next request: it is throttled or overloaded.",
                "Run the gate again later.",
            )
        time.sleep(seconds)

    setattr(clock.RealClock, "sleep", sleep)  # noqa: B010  # the SDK itself has no limit for a Retry-After
    sdk_config.Config.files_ext_network_transfer_inactivity_timeout_seconds = _RESPONSE_SECONDS
    sdk_config.Config.experimental_files_ext_cloud_api_max_retries = 2
    # The SDK resumes by the time of the last change. It does not check that the next response is of the same file and
    # begins at the requested offset.
    sdk_config.Config.files_ext_client_download_max_total_recovers = 0
    _limit_requests()


def _limit_requests() -> None:
    """Set a timeout for each request that has none. The SDK sends requests without a timeout during a login."""
    send = HTTPAdapter.send

    @functools.wraps(send)
    def send_with_timeout(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        return send(adapter, request, **{**options, "timeout": options.get("timeout") or _LOGIN_SECONDS})

    setattr(HTTPAdapter, "send", send_with_timeout)  # noqa: B010


def _guard_login(host: str) -> None:
    """Make the SDK check the login server that the workspace names, before it sends the login's secret there."""
    client = _BaseClient(http_timeout_seconds=_LOGIN_SECONDS, retry_timeout_seconds=_RETRY_SECONDS)

    def endpoints(url: str) -> oauth.OidcEndpoints:
        result = oauth.get_endpoints_from_url(url, client=client)
        require_login_server(host, str(result.token_endpoint))
        return result

    setattr(sdk_config, "get_endpoints_from_url", endpoints)  # noqa: B010


def _guard_presigned_urls(endpoints: Sequence[StoreEndpoint]) -> None:
    """Make the Files API client of the SDK send its requests to presigned URLs with a `PresignedAdapter`."""
    open_session = FilesExt._cloud_provider_session  # noqa: SLF001

    @functools.wraps(open_session)
    def open_guarded_session(self: FilesExt) -> requests.Session:
        session = open_session(self)
        if not isinstance(session.adapters["https://"], PresignedAdapter):
            adapter = PresignedAdapter(endpoints, pool_connections=20, pool_maxsize=20, pool_block=True)
            for scheme in ("https://", "http://"):
                session.mount(scheme, adapter)
        return session

    setattr(FilesExt, "_cloud_provider_session", open_guarded_session)  # noqa: B010


def _fetch_metadata(host: str) -> None:
    """Request the workspace's OAuth metadata once, so that no SDK client of this process requests it again.

    Raises:
        ModelGateError: The workspace demands a wait of more than 20 s.
        TimeoutError: The workspace does not respond.
    """
    client = _BaseClient(http_timeout_seconds=_RESPONSE_SECONDS, retry_timeout_seconds=_RETRY_SECONDS)
    metadata = oauth.HostMetadata(oidc_endpoint=f"{host}/oidc")
    failure: BaseException | None = None
    try:
        metadata = oauth.get_host_metadata(host, client=client)
    except ValueError as error:
        # An older workspace responds without metadata, which is no failure. A missing response is a failure.
        if isinstance(error.__cause__, ModelGateError | TimeoutError):
            failure = error.__cause__
    if failure is not None:
        raise failure

    def cached_metadata(*_: object, **__: object) -> oauth.HostMetadata:
        return metadata

    setattr(sdk_config, "get_host_metadata", cached_metadata)  # noqa: B010


def _write_config(host: str) -> None:
    """Write a configuration file whose only profile names the workspace. Make all clients of this process use it.

    Environment variables are not enough, because only a profile can set the timeouts.
    """
    path = Path(os.environ["HOME"]) / f"databricks-{os.getpid()}.cfg"
    timeouts = f"http_timeout_seconds = {_RESPONSE_SECONDS}\nretry_timeout_seconds = {_RETRY_SECONDS}\n"
    path.write_text(f"[{_PROFILE}]\nhost = {host}\n{timeouts}", "utf-8")
    os.environ["DATABRICKS_CONFIG_FILE"] = str(path)
    os.environ["DATABRICKS_CONFIG_PROFILE"] = _PROFILE
    os.environ["DATABRICKS_AUTH_TYPE"] = "pat"
    os.environ["MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT"] = str(_RETRY_SECONDS)
