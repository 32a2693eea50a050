"""The errors of a worker, which are sent to the parent without secrets."""

from __future__ import annotations

from model_gate.errors import InternalError
from model_gate.worker.__main__ import _with_secrets


class Session:
    """A session whose secrets are known, or cannot be read."""

    def __init__(self, secrets: tuple[str, ...] | None) -> None:
        self._secrets = secrets

    def secrets(self) -> tuple[str, ...]:
        if self._secrets is None:
            raise AttributeError("no attribute 'token'")
        return self._secrets


def test_error_has_the_secrets_of_its_session() -> None:
    error = ValueError("the token is s3cret-token")
    assert _with_secrets(error, Session(("s3cret-token",))) == (error, ("s3cret-token",))  # type: ignore[arg-type]


def test_error_is_hidden_if_the_secrets_cannot_be_read() -> None:
    hidden, secrets = _with_secrets(ValueError("the token is s3cret-token"), Session(None))  # type: ignore[arg-type]
    assert isinstance(hidden, InternalError)
    assert "s3cret-token" not in hidden.message + hidden.remedy + hidden.detail
    assert hidden.__context__ is None
    assert secrets == ()
