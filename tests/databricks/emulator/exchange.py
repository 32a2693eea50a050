"""One request and its answer, and the errors in the shape that Databricks gives them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.databricks.emulator.content import Content, Settings


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    headers: Mapping[str, str]

    @property
    def asked(self) -> dict[str, Any]:
        """The parameters, wherever they stand."""
        data = json.loads(self.body) if self.body.startswith(b"{") else {}
        return {**self.query, **data}


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Workspace(Protocol):
    """What a route may use."""

    content: Content
    address: str

    @property
    def settings(self) -> Settings:
        """How it behaves."""

    def new_access_token(self) -> str:
        """An access token."""

    def sign(self, path: str) -> tuple[str, list[dict[str, str]]]:
        """A URL that gives the file at this path without a token, for a while, and what must be sent along."""


Route = Callable[[Workspace, Request, tuple[str, ...]], Answer]
# Method, regular expression of the whole path, whether a token is needed, and what answers.
Routes = list[tuple[str, str, bool, Route]]


class RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = Answer(
            status,
            json.dumps({"error_code": code, "message": message}).encode(),
            {"Content-Type": "application/json"},
        )


def answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """JSON."""
    return Answer(status, json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})})


def missing(what: str) -> RefusedError:
    """404."""
    return RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"{what} does not exist.")


def denied(message: str) -> RefusedError:
    """403."""
    return RefusedError(403, "PERMISSION_DENIED", message)


def page(entries: list[Any], name: str, token: str, size: int) -> dict[str, Any]:
    """One page of a listing, with the token of the next."""
    start = int(token or 0)
    data: dict[str, Any] = {name: entries[start : start + size]}
    if start + size < len(entries):
        data["next_page_token"] = str(start + size)
    return data
