"""Requests to a server that proxies artifacts: the tracking server, or another one that the environment declares."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import requests
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.request_utils import augmented_raise_for_status
from mlflow.utils.rest_utils import http_request
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from model_gate.domain.origin import StoreEndpoint
from model_gate.errors import AccessError, NotFoundError, UnreachableError
from model_gate.worker.failures import chain_text, reason_in
from model_gate.worker.transfer.http_client import HttpClient

_DEFAULT_SECONDS = 18.0
_RETRIES = Retry(2, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), respect_retry_after_header=False)


@dataclass(frozen=True)
class RequestOptions:
    """What a request has in addition to its URL.

    Attributes:
        query: Parameters of the query of the URL.
        headers: Headers in addition to those of every request.
        is_stream: Whether the caller reads the body of the response piece by piece.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_stream: bool = False


class ArtifactServer(Protocol):
    """Sends requests to one server that proxies artifacts, with the login for this server."""

    def get(self, host: str, endpoint: str, options: RequestOptions) -> requests.Response:
        """Send a GET request to `host` + `endpoint` and return the response. A status but 200 raises an exception.

        Args:
            host: The scheme, the host, the port and a path.
            endpoint: The rest of the path.
            options: What the request has in addition.
        """

    def client(self, base: str, response: requests.Response) -> HttpClient | None:
        """Return a client that sends the headers of the request behind `response`; None if they cannot be reused."""


class TrackingServer:
    """Sends requests to the tracking server through MLflow, which adds the login in the environment."""

    def get(self, host: str, endpoint: str, options: RequestOptions) -> requests.Response:
        """Send a GET request to `host` + `endpoint` and return the response. A status but 200 raises an exception."""
        credentials = get_default_host_creds(host)  # type: ignore[no-untyped-call]
        response: requests.Response = http_request(  # type: ignore[no-untyped-call]
            credentials, endpoint, "GET", extra_headers=options.headers, params=options.query, stream=options.is_stream
        )
        augmented_raise_for_status(response)  # type: ignore[no-untyped-call]
        return response

    def client(self, base: str, response: requests.Response) -> HttpClient | None:
        """Return a client that sends the headers of the request behind `response`; None if they cannot be reused."""
        credentials = get_default_host_creds(base)  # type: ignore[no-untyped-call]
        if credentials.aws_sigv4 or credentials.auth:
            # With these kinds of authentication, each request needs its own signature. A copied request would be
            # rejected.
            return None
        return HttpClient.from_request(response.request, credentials.verify, credentials.client_cert_path)


class DeclaredServer:
    """Sends requests to a server that the environment declares and that is not the tracking server.

    MLflow would send the login of the tracking server, and the headers of its plugins, to this server too. Therefore
    the requests do not go through MLflow. They have the login that is declared for this server, or none.
    """

    def __init__(self, endpoint: StoreEndpoint) -> None:
        self._endpoint = endpoint
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_RETRIES))
        if endpoint.username:
            login = base64.b64encode(f"{endpoint.username}:{endpoint.password}".encode()).decode()
            self._session.headers["Authorization"] = f"Basic {login}"

    def get(self, host: str, endpoint: str, options: RequestOptions) -> requests.Response:
        """Send a GET request to `host` + `endpoint` and return the response. A status but 200 raises an exception."""
        seconds = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", _DEFAULT_SECONDS))
        try:
            response = self._session.get(
                f"{host}{endpoint}",
                headers=options.headers,
                params=options.query,
                stream=options.is_stream,
                timeout=seconds,
            )
        except requests.RequestException as error:
            reason = reason_in(chain_text(error)) or f"gives no answer: {type(error).__name__}"
            raise self._error(reason) from error
        if response.status_code in {401, 403}:
            login = "the login that is declared for it" if self._endpoint.username else "requests without a login"
            raise AccessError(
                f"{self._title} does not accept {login} ({response.status_code}).",
                "Write its user name and password before its host in MODEL_GATE_STORE_ENDPOINTS. The login of the"
                " tracking server is not sent to it.",
            )
        if response.status_code == 404:
            raise NotFoundError(f"{self._title} has no such files (404).", "Check the location of the model.")
        if not response.ok:
            raise self._error(f"answers with an error ({response.status_code})")
        return response

    @property
    def _title(self) -> str:
        return f"The server of the artifacts, {self._endpoint.origin},"

    def _error(self, problem: str) -> UnreachableError:
        return UnreachableError(
            f"{self._title} {problem}.", "Check its address in MODEL_GATE_STORE_ENDPOINTS, and that it runs."
        )

    def client(self, base: str, response: requests.Response) -> HttpClient | None:  # noqa: ARG002  # one server, one login
        """Return a client that sends the headers of the request behind `response`; None if they cannot be reused."""
        return HttpClient.from_request(response.request, verify=True, cert=None)
