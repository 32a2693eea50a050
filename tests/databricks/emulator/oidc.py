"""OAuth endpoints: host metadata, ID tokens of GitHub jobs, and access tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from typing import Any
from urllib.parse import parse_qsl

from tests.databricks.emulator.content import Settings
from tests.databricks.emulator.messages import ApiError, Request, Response, Routes, Workspace, json_response

ID_TOKEN_PATH = "/github/id-token"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
# Application ID of Azure Databricks in Microsoft Entra.
_DATABRICKS = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
ENTRA_TOKEN_START = "eyJ-access-entra-"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def access_token_start(port: int) -> str:
    """Return the beginning of all access tokens that the workspace at a port issues."""
    return f"eyJ-access-{port}-"


class AccessTokens:
    """Access tokens that the workspace at a port issued."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._start = access_token_start(port)
        self._settings = settings
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[float, int]] = {}

    def new(self) -> str:
        """Issue an access token."""
        token = self._start + secrets.token_hex(16)
        with self._lock:
            self._tokens[token] = (time.time() + self._settings.oauth_seconds, 0)
        return token

    def is_valid(self, token: str) -> bool:
        """Return whether a token was issued here, has not expired and has requests left. Count this request."""
        with self._lock:
            if token not in self._tokens:
                return False
            expires, uses = self._tokens[token]
            self._tokens[token] = (expires, uses + 1)
            limit = self._settings.oauth_requests
            return time.time() < expires and (not limit or uses < limit)


def _host_metadata(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    return json_response(
        {
            "oidc_endpoint": f"{workspace.address}/oidc",
            "workspace_id": workspace.content.workspace_id,
            "cloud": workspace.settings.cloud,
        }
    )


def _endpoints(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    root = f"{workspace.address}/oidc/v1"
    return json_response({"authorization_endpoint": f"{root}/authorize", "token_endpoint": f"{root}/token"})


def _id_token(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    token = workspace.content.issuer_token
    if not token or request.headers.get("authorization") != f"Bearer {token}":
        raise ApiError(401, "UNAUTHENTICATED", "The job's request token is wrong.")
    claims = {"iss": workspace.address, "aud": request.query.get("audience", ""), "exp": time.time() + 300}
    return json_response({"value": id_token(workspace.content.federation_key, claims)})


def id_token(key: str, claims: dict[str, object]) -> str:
    """Return a signed ID token."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "HS256"}, claims)
    )
    return f"{head}.{body}.{_signature(key, f'{head}.{body}')}"


def entra_token(key: str, client_id: str, resource: str) -> str:
    """Return a Microsoft Entra access token of a service principal for a resource."""
    claims = {"appid": client_id, "aud": resource, "exp": time.time() + 3600}
    return f"{ENTRA_TOKEN_START}{id_token(key, claims)}"


def is_entra_token(workspace: Workspace, token: str) -> bool:
    """Return whether a token is for Databricks and belongs to a service principal of this workspace."""
    key = workspace.content.entra_key
    if not key or not token.startswith(ENTRA_TOKEN_START):
        return False
    signed, _, signature = token.removeprefix(ENTRA_TOKEN_START).rpartition(".")
    claims = _claims(signed)
    is_member = claims["appid"] in workspace.content.service_principals
    return _signature(key, signed) == signature and claims["aud"] == _DATABRICKS and is_member


def _claims(signed: str) -> dict[str, Any]:
    body = signed.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def _signature(key: str, text: str) -> str:
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _token(workspace: Workspace, request: Request, _: tuple[str, ...]) -> Response:
    form = dict(parse_qsl(request.body.decode()))
    client_id, secret = _client(form, request)
    secrets_by_id = workspace.content.service_principals
    if client_id not in secrets_by_id:
        return _error("invalid_client", "Client authentication failed")
    if form.get("grant_type") == _EXCHANGE and form.get("subject_token_type") == _JWT:
        if problem := _problem(workspace, form.get("subject_token", "")):
            return _error("invalid_request", problem)
    elif form.get("grant_type") != "client_credentials" or not secret or secret != secrets_by_id[client_id]:
        return _error("invalid_client", "Client authentication failed")
    seconds = workspace.settings.oauth_seconds
    token = workspace.new_access_token()
    return json_response({"access_token": token, "token_type": "Bearer", "expires_in": seconds, "scope": "all-apis"})


def _client(form: dict[str, str], request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        client_id, _, secret = base64.b64decode(value).decode().partition(":")
        return client_id, secret
    return form.get("client_id", ""), form.get("client_secret", "")


def _problem(workspace: Workspace, token: str) -> str:
    key = workspace.content.federation_key
    signed, _, signature = token.rpartition(".")
    if not key or _signature(key, signed) != signature:
        return "The ID token's signature is not valid"
    claims = _claims(signed)
    audience = workspace.settings.audience or f"{workspace.address}/oidc/v1/token"
    if claims["aud"] != audience or claims["exp"] < time.time():
        return "No federation policy accepts the ID token's audience"
    return ""


def _error(code: str, description: str) -> Response:
    return json_response({"error": code, "error_description": description}, 401)


ROUTES: Routes = [
    ("GET", r"/\.well-known/databricks-config", False, _host_metadata),
    ("GET", r"/oidc/\.well-known/(?:oauth-authorization-server|openid-configuration)", False, _endpoints),
    ("POST", "/oidc/v1/token", False, _token),
    ("GET", ID_TOKEN_PATH, False, _id_token),
]
