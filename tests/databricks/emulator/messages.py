"""Requests, responses, and errors in the format of the Databricks API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.databricks.emulator.content import Content, Settings


@dataclass(frozen=True)
class Request:
    """A received HTTP request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters in the query and in the JSON body of the request."""
        data = json.loads(self.body) if self.body.startswith(b"{") else {}
        return {**self.query, **data}


@dataclass(frozen=True)
class Response:
    """An HTTP response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Workspace(Protocol):
    """What a route handler may use of the emulated workspace."""

    content: Content
    address: str

    @property
    def settings(self) -> Settings:
        """The settings that change the behavior of the workspace."""

    def new_access_token(self) -> str:
        """Issue an access token."""

    def sign(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """Return a presigned URL of a file and the headers that the client must send."""


Route = Callable[[Workspace, Request, tuple[str, ...]], Response]
# Each route has a method, a regular expression for the full path, whether it requires a token, and a handler.
Routes = list[tuple[str, str, bool, Route]]


class ApiError(Exception):
    """An error response in the format of the Databricks API."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = Response(
            status,
            json.dumps({"error_code": code, "message": message}).encode(),
            {"Content-Type": "application/json"},
        )


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(status, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})


def not_found(what: str) -> ApiError:
    """Return the error, with status 404, that `what` does not exist."""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"{what} does not exist.")


def permission_denied(message: str) -> ApiError:
    """Return the error, with status 403, that the caller lacks a permission."""
    return ApiError(403, "PERMISSION_DENIED", message)


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as the API sends them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def page(entries: list[Any], name: str, token: str, size: int) -> dict[str, Any]:
    """Return a page of a listing: up to `size` entries from index `token` on, and the token of the next page.

    `name` is the name of the field with the entries.
    """
    start = int(token or 0)
    data: dict[str, Any] = {name: entries[start : start + size]}
    if start + size < len(entries):
        data["next_page_token"] = str(start + size)
    return data
