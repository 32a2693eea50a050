"""Fetches files by presigned URLs: no credential goes along, every wait is bounded, a URL that failed is drawn anew.

A large file comes in parts, side by side, where the store has ranges and says which file they are of.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from model_gate.errors import AccessError, NotFoundError, TransferError, UnreachableError
from model_gate.worker.progress import ProgressCallback, TransferProgress
from model_gate.worker.transfer.byte_range import split_into_ranges
from model_gate.worker.transfer.concurrency import MAX_CONCURRENCY, THROTTLING_STATUSES, ConcurrencyLimiter, retry_after
from model_gate.worker.transfer.range_download import RangeDownload, UnsupportedDownloadError

# Until the first byte; how long a body may take is the parent's to say, which knows its size.
_CONNECT_SECONDS, _READ_SECONDS, _RETRY_SECONDS = 10, 20, 20
_TRIES = 4
_CHUNK_BYTES = 1024 * 1024
# What stores answer to a URL that is no longer valid.
_EXPIRED = frozenset({400, 401, 403})
_BUSY = THROTTLING_STATUSES | {408, 500, 502, 504}
# A URL that was signed for a range is for that range only. The second one is what Azure calls the first.
_RANGES = frozenset({"range", "x-ms-range", "if-range"})
_ADDRESS = re.compile(r"\S*[/?]\S*")

_T = TypeVar("_T")


@dataclass(frozen=True)
class PresignedUrl:
    """A URL that is its own credential, and the headers that must go with it."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """Where it leads, without what it must not tell."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


RequestUrl = Callable[[], PresignedUrl]


class PresignedStore:
    """The stores that presigned URLs lead to."""

    def __init__(self, flow: ConcurrencyLimiter) -> None:
        self._flow = flow
        self._parts = ThreadPoolExecutor(MAX_CONCURRENCY)

    def fetch(self, draw: RequestUrl, path: str, size: int, destination: str, note: ProgressCallback) -> None:
        """Write the file of `size` bytes behind a presigned URL to `destination`, which exists.

        `draw` asks for a URL, anew each time; `note` is given how many `bytes` more have come.

        Raises:
            AccessError: The store refuses a fresh URL too.
            NotFoundError: It has no such file.
            UnreachableError: It does not answer, or asks to wait for too long.
            TransferError: The body broke off.
        """
        tally = TransferProgress(note)
        connections = min(len(split_into_ranges(size)), MAX_CONCURRENCY)
        if connections > 1:
            with _SignedWire(draw, path, self._flow, connections) as wire:
                if self._fetch_parts(wire, size, destination, tally):
                    return
        with self._flow.request(size), _SignedWire(draw, path, self._flow, 1) as wire:
            wire.write_to(destination, tally)

    def _fetch_parts(self, wire: _SignedWire, size: int, destination: str, tally: TransferProgress) -> bool:
        """Whether it went smoothly; if not, the store may give the file whole, or tell what is wrong."""
        try:
            RangeDownload(wire, self._flow, self._parts, "", size, tally.add).write_to(destination)
        except (HTTPError, UnsupportedDownloadError, AccessError):
            return False
        return True


class _SignedWire:
    """Connections for one file, at most so many that are kept. Use it as a context manager.

    Once one request has failed for good, no other is sent or waits to be sent.
    """

    def __init__(self, draw: RequestUrl, path: str, flow: ConcurrencyLimiter, connections: int) -> None:
        self._draw = draw
        self._path = path
        self._flow = flow
        self._signed: PresignedUrl | None = None
        self._failure: Exception | None = None
        self._failed = threading.Event()
        self._lock = threading.Lock()
        # It knows the environment's proxies and certificates.
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=connections)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def __enter__(self) -> _SignedWire:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:  # noqa: ARG002  # it is drawn
        """The answer to a GET with these `headers`, its body unread, as soon as the store gives one.

        Raises:
            UnsupportedDownloadError: The URL leaves no choice of a range.
            ModelGateError: As `PresignedStore.fetch` does.
        """
        try:
            with self._try(lambda signed: self._ask(signed, headers)) as response:
                yield response.raw
        except Exception as error:
            self._fail(error)
            raise

    def write_to(self, destination: str, tally: TransferProgress) -> None:
        """Write the file, of a single answer.

        Raises:
            ModelGateError: As `PresignedStore.fetch` does.
        """
        self._try(lambda signed: self._write(signed, destination, tally))

    def _try(self, call: Callable[[PresignedUrl], _T]) -> _T:
        """What a call comes to, again and again with another URL, until it does not fail or there is no hope."""
        deadline = time.monotonic() + _RETRY_SECONDS
        failures = 0
        while True:
            signed = self._current()
            try:
                return call(signed)
            except requests.RequestException as error:
                pause = error.seconds if isinstance(error, _BusyError) else 2.0**failures
                failures += 1
                if failures == _TRIES or time.monotonic() + pause > deadline:
                    raise _given_up(signed, self._path, error) from _nameless(error)
            self._discard(signed)
            self._failed.wait(pause)

    def _ask(self, signed: PresignedUrl, headers: Mapping[str, str]) -> requests.Response:
        """An answer that is neither an error nor a wish to be asked later."""
        if headers and not _RANGES.isdisjoint(name.lower() for name in signed.headers):
            raise UnsupportedDownloadError("The URL is for a range of its own.")
        response = self._session.get(
            signed.url,
            headers={"Accept-Encoding": "identity", **signed.headers, **headers},
            stream=True,
            timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        )
        try:
            self._require_answer(signed, response, is_part=bool(headers))
        except BaseException:
            response.close()
            raise
        return response

    def _require_answer(self, signed: PresignedUrl, response: requests.Response, *, is_part: bool) -> None:
        status = response.status_code
        if status in THROTTLING_STATUSES:
            self._flow.push_back()
        if status in _BUSY:
            raise _BusyError(response)
        if status in _EXPIRED:
            raise _RefusedError(status)
        if status == 404:
            raise NotFoundError(f"{self._path} does not exist in the store at {signed.host} (404).", "Was it deleted?")
        # That there is no such part is an answer: the file is another one by now.
        if not (is_part and status == 416):
            response.raise_for_status()

    def _write(self, signed: PresignedUrl, destination: str, tally: TransferProgress) -> None:
        tally.restart()
        with self._ask(signed, {}) as response, open(destination, "wb") as file:
            for data in response.iter_content(_CHUNK_BYTES):
                file.write(data)
                tally.add(len(data))

    def _current(self) -> PresignedUrl:
        """The URL for the next request."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._signed is None:
                self._signed = self._draw()
            return self._signed

    def _discard(self, signed: PresignedUrl) -> None:
        """Have another URL drawn, unless that was done meanwhile."""
        with self._lock:
            if self._signed is signed:
                self._signed = None

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._failure = self._failure or error
        self._failed.set()


class _RefusedError(requests.RequestException):
    """The store does not accept the URL, as if it had expired."""


class _BusyError(requests.RequestException):
    """The store asks to be asked again in so many `seconds`."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(response.status_code)
        self.seconds = retry_after(response.headers, 1.0)


def _given_up(signed: PresignedUrl, path: str, failure: requests.RequestException) -> Exception:
    if isinstance(failure, _RefusedError):
        return AccessError(
            f"The store at {signed.host} refuses {path}, even by a fresh signed URL ({failure}).",
            "Check that this runner's network may reach the store, and that its clock is right.",
        )
    if isinstance(failure, requests.exceptions.ChunkedEncodingError):
        return TransferError(f"The download of {path} from {signed.host} broke off before its end.", "Run it again.")
    is_busy = isinstance(failure, _BusyError)
    reason = "it is busy" if is_busy else "it cannot be reached, or does not answer in time"
    return UnreachableError(
        f"The store at {signed.host}, where {path} is, gives no answer: {reason}.",
        "Check that this runner's network may reach the store.",
    )


def _nameless(failure: requests.RequestException) -> requests.RequestException:
    """What happened, for --verbose, without the URL: whoever has that may fetch the file."""
    reason = failure.args[0] if failure.args else None
    reason = getattr(reason, "reason", None) or reason
    return requests.RequestException(_ADDRESS.sub("…", f"{type(failure).__name__}: {reason!r}"))
