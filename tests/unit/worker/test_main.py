"""The errors of a worker, which are sent to the parent without secrets."""

from __future__ import annotations

import os

import pytest

from model_gate.worker.__main__ import _handle

TOKEN = "s3cret-token-of-a-store"


class Session:
    """A session that fails with an error, and whose secrets are known, malformed, or cannot be read."""

    def __init__(self, secrets: tuple[str, ...] | None) -> None:
        self._secrets = secrets

    def perform(self, *_: object) -> None:
        raise ValueError(f"the token is {TOKEN}")

    def secrets(self) -> tuple[str, ...]:
        if self._secrets is None:
            raise AttributeError("no attribute 'token'")
        return self._secrets


class Writer:
    """Keeps the responses."""

    def __init__(self) -> None:
        self.responses: list[dict[str, object]] = []

    def send(self, response: dict[str, object]) -> None:
        self.responses.append(response)


@pytest.mark.parametrize("secrets", [(TOKEN,), None, ("\ud800" * 16,)], ids=["known", "unreadable", "malformed"])
def test_each_failed_request_gets_a_response_without_the_secrets(secrets: tuple[str, ...] | None) -> None:
    os.environ.setdefault("MODEL_GATE_ADDRESS", "http://tracking")
    writer = Writer()
    _handle(Session(secrets), {"id": 7, "op": "list"}, writer)  # type: ignore[arg-type]
    (response,) = writer.responses
    assert response["id"] == 7
    error = response["error"]
    assert isinstance(error, dict)
    assert error["message"]
    assert TOKEN not in str(error)
