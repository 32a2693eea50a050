"""Fetches a file by a presigned URL: no credential goes along, every wait is bounded, an expired URL is drawn anew."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import requests

from model_gate.errors import AccessError, NotFoundError, TransferError, UnreachableError

# Until the first byte; how long a body may take is the parent's to say, which knows its size.
_CONNECT_SECONDS, _READ_SECONDS, _RETRY_SECONDS = 10, 20, 20
_TRIES = 4
_CHUNK_BYTES = 1024 * 1024
# What stores answer to a URL that is no longer valid.
_EXPIRED = frozenset({400, 401, 403})
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class SignedUrl:
    """A URL that is its own credential, and the headers that must go with it."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """Where it leads, without what it must not tell."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def fetch_signed(draw: Callable[[], SignedUrl], path: str, destination: str) -> None:
    """Write the file behind a presigned URL to `destination`; `draw` asks for a URL, anew each time.

    Raises:
        AccessError: The store refuses a fresh URL too.
        NotFoundError: It has no such file.
        UnreachableError: It does not answer, or asks to wait for too long.
        TransferError: The body broke off.
    """
    deadline = time.monotonic() + _RETRY_SECONDS
    for attempt in itertools.count():
        signed = draw()
        failure: Exception | None = None
        try:
            wait = _attempt(signed, path, destination)
        except requests.RequestException as error:
            wait, failure = 2.0**attempt, error
        if wait is None:
            return
        if attempt == _TRIES - 1 or time.monotonic() + wait > deadline:
            raise _given_up(signed, path, failure) from failure
        time.sleep(wait)


def _attempt(signed: SignedUrl, path: str, destination: str) -> float | None:
    """Try once: None if the file was written, else the seconds to wait before the next try."""
    headers = {"Accept-Encoding": "identity", **signed.headers}
    timeout = (_CONNECT_SECONDS, _READ_SECONDS)
    with requests.get(signed.url, headers=headers, stream=True, timeout=timeout) as response:
        status = response.status_code
        if status in _BUSY:
            return _retry_after(response)
        if status in _EXPIRED:
            raise _RefusedError(status)
        if status == 404:
            raise NotFoundError(f"{path} does not exist in the store at {signed.host} (404).", "Was it deleted?")
        response.raise_for_status()
        with open(destination, "wb") as file:
            file.writelines(response.iter_content(_CHUNK_BYTES))
    return None


class _RefusedError(requests.RequestException):
    """The store does not accept the URL, as if it had expired."""


def _retry_after(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 1.0


def _given_up(signed: SignedUrl, path: str, failure: Exception | None) -> Exception:
    if isinstance(failure, _RefusedError):
        return AccessError(
            f"The store at {signed.host} refuses {path}, even by a fresh signed URL ({failure}).",
            "Check that this runner's network may reach the store, and that its clock is right.",
        )
    if isinstance(failure, requests.exceptions.ChunkedEncodingError):
        return TransferError(f"The download of {path} from {signed.host} broke off before its end.", "Run it again.")
    reason = "it is busy" if failure is None else "it cannot be reached, or does not answer in time"
    return UnreachableError(
        f"The store at {signed.host}, where {path} is, gives no answer: {reason}.",
        "Check that this runner's network may reach the store.",
    )
