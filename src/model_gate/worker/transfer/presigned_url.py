"""Downloads by presigned URLs.

No credential is sent, every wait has a limit, and a URL that failed is replaced by a new one. A large file is
downloaded in concurrent ranges, if the store supports ranges and sends a strong ETag.
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
from model_gate.worker.transfer.concurrency import (
    MAX_CONCURRENCY,
    THROTTLING_STATUSES,
    ConcurrencyLimiter,
    retry_after_seconds,
)
from model_gate.worker.transfer.range_download import RangeDownload, UnsupportedDownloadError

_MAX_ATTEMPTS = 4
_CHUNK_BYTES = 1024 * 1024
# Statuses with which stores reject an expired URL.
_EXPIRED_STATUSES = frozenset({400, 401, 403})
_BUSY_STATUSES = THROTTLING_STATUSES | {408, 500, 502, 504}
# A URL signed with one of these headers is valid for that range only. `x-ms-range` is Azure's `Range`.
_RANGE_HEADERS = frozenset({"range", "x-ms-range", "if-range"})
_URL_OR_PATH = re.compile(r"\S*[/?]\S*")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Timeouts:
    """Limits for one request to a store, in seconds.

    The duration of a whole body has no limit here: the parent limits it, because the parent knows the size.

    Attributes:
        connect: For a new connection.
        read: For the first byte, and between two pieces of the body.
        retry: For all attempts together.
    """

    connect: float = 10
    read: float = 20
    retry: float = 20


@dataclass(frozen=True)
class PresignedUrl:
    """A URL that grants access by itself, and the headers that must be sent with it."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """Host and port, without the secret parts of the URL."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


# Requests a new presigned URL for a file.
RequestUrl = Callable[[], PresignedUrl]


class PresignedStore:
    """Client for the stores behind presigned URLs."""

    def __init__(self, limiter: ConcurrencyLimiter, timeouts: Timeouts | None = None) -> None:
        self._limiter = limiter
        self._timeouts = timeouts or Timeouts()
        self._range_pool = ThreadPoolExecutor(MAX_CONCURRENCY)

    def fetch(
        self, request_url: RequestUrl, path: str, size: int, destination: str, on_progress: ProgressCallback
    ) -> None:
        """Write a file of `size` bytes to `destination`, which must exist.

        Args:
            request_url: Requests a new presigned URL for the file.
            path: Path of the file in its model, for errors.
            size: Size of the file in bytes.
            destination: Where to write the file.
            on_progress: Called with the number of further `bytes` received.

        Raises:
            AccessError: The store rejects a fresh URL too.
            NotFoundError: The store does not have the file.
            UnreachableError: The store does not respond, or demands too long a wait.
            TransferError: The body is incomplete.
        """
        progress = TransferProgress(on_progress)
        connections = min(len(split_into_ranges(size)), MAX_CONCURRENCY)
        if connections > 1:
            with _PresignedClient(request_url, path, self._limiter, self._timeouts, connections) as client:
                if self._fetch_ranges(client, size, destination, progress):
                    return
        with (
            self._limiter.request(size),
            _PresignedClient(request_url, path, self._limiter, self._timeouts, 1) as client,
        ):
            client.write_to(destination, progress)

    def _fetch_ranges(self, client: _PresignedClient, size: int, destination: str, progress: TransferProgress) -> bool:
        """Return whether range requests work. If not, a request for the whole file succeeds or raises the error."""
        try:
            RangeDownload(client, self._limiter, self._range_pool, "", size, progress.add).write_to(destination)
        except (HTTPError, UnsupportedDownloadError, AccessError):
            return False
        return True


class _PresignedClient:
    """Client for one file, with up to `connections` kept-alive connections. Use it as a context manager.

    After the final failure of one request, no other request is sent or retried.
    """

    def __init__(
        self, request_url: RequestUrl, path: str, limiter: ConcurrencyLimiter, timeouts: Timeouts, connections: int
    ) -> None:
        self._request_url = request_url
        self._path = path
        self._limiter = limiter
        self._timeouts = timeouts
        self._presigned: PresignedUrl | None = None
        self._failure: Exception | None = None
        self._failed = threading.Event()
        self._lock = threading.Lock()
        # The session applies the proxies and certificates of the environment.
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=connections)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def __enter__(self) -> _PresignedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:  # noqa: ARG002  # presigned
        """Send a GET with these `headers`, with retries, and yield the response with an unread body.

        Raises:
            UnsupportedDownloadError: The URL is valid for one range only.
            ModelGateError: The same errors as `PresignedStore.fetch`.
        """
        try:
            with self._with_retries(lambda presigned: self._send(presigned, headers)) as response:
                yield response.raw
        except Exception as error:
            self._set_failure(error)
            raise

    def write_to(self, destination: str, progress: TransferProgress) -> None:
        """Write the file with a single request, with retries.

        Raises:
            ModelGateError: The same errors as `PresignedStore.fetch`.
        """
        self._with_retries(lambda presigned: self._write(presigned, destination, progress))

    def _with_retries(self, call: Callable[[PresignedUrl], _T]) -> _T:
        """Return the result of `call`. After a failed attempt, wait and call it with a new URL."""
        deadline = time.monotonic() + self._timeouts.retry
        failures = 0
        while True:
            presigned = self._current_url()
            try:
                return call(presigned)
            except requests.RequestException as error:
                pause = error.seconds if isinstance(error, _BusyError) else 2.0**failures
                failures += 1
                if failures == _MAX_ATTEMPTS or time.monotonic() + pause > deadline:
                    raise _final_error(presigned, self._path, error) from _without_url(error)
            self._discard_url(presigned)
            self._failed.wait(pause)

    def _send(self, presigned: PresignedUrl, headers: Mapping[str, str]) -> requests.Response:
        """Return a successful response, or a 416 response to a range request."""
        if headers and not _RANGE_HEADERS.isdisjoint(name.lower() for name in presigned.headers):
            raise UnsupportedDownloadError("The presigned URL is valid for one range only.")
        response = self._session.get(
            presigned.url,
            headers={"Accept-Encoding": "identity", **presigned.headers, **headers},
            stream=True,
            timeout=(self._timeouts.connect, self._timeouts.read),
        )
        try:
            self._check_status(presigned, response, is_range=bool(headers))
        except BaseException:
            response.close()
            raise
        return response

    def _check_status(self, presigned: PresignedUrl, response: requests.Response, *, is_range: bool) -> None:
        status = response.status_code
        if status in THROTTLING_STATUSES:
            self._limiter.throttled()
        if status in _BUSY_STATUSES:
            raise _BusyError(response)
        if status in _EXPIRED_STATUSES:
            raise _RefusedError(status)
        if status == 404:
            raise NotFoundError(
                f"{self._path} does not exist in the store at {presigned.host} (404).", "Check whether it was deleted."
            )
        # 416 is a valid response to a range request: the file was replaced and is shorter now.
        if not (is_range and status == 416):
            response.raise_for_status()

    def _write(self, presigned: PresignedUrl, destination: str, progress: TransferProgress) -> None:
        progress.restart()
        with self._send(presigned, {}) as response, open(destination, "wb") as file:
            for data in response.iter_content(_CHUNK_BYTES):
                file.write(data)
                progress.add(len(data))

    def _current_url(self) -> PresignedUrl:
        """Return the URL for the next request, which all threads share."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._presigned is None:
                self._presigned = self._request_url()
            return self._presigned

    def _discard_url(self, presigned: PresignedUrl) -> None:
        """Discard a failed URL, unless another thread has already replaced it."""
        with self._lock:
            if self._presigned is presigned:
                self._presigned = None

    def _set_failure(self, error: Exception) -> None:
        with self._lock:
            self._failure = self._failure or error
        self._failed.set()


class _RefusedError(requests.RequestException):
    """The store rejects the URL, as it does after the URL has expired."""


class _BusyError(requests.RequestException):
    """The store demands a wait of `seconds` before the next attempt."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(response.status_code)
        self.seconds = retry_after_seconds(response.headers, 1.0)


def _final_error(presigned: PresignedUrl, path: str, failure: requests.RequestException) -> Exception:
    if isinstance(failure, _RefusedError):
        return AccessError(
            f"The store at {presigned.host} refuses {path}, even with a fresh presigned URL ({failure}).",
            "Check that this runner's network may reach the store, and that its clock is right.",
        )
    if isinstance(failure, requests.exceptions.ChunkedEncodingError):
        return TransferError(f"The download of {path} from {presigned.host} broke off before its end.", "Run it again.")
    is_busy = isinstance(failure, _BusyError)
    reason = "it is busy" if is_busy else "it cannot be reached, or does not answer in time"
    return UnreachableError(
        f"The store at {presigned.host}, which holds {path}, gives no answer: {reason}.",
        "Check that this runner's network may reach the store.",
    )


def _without_url(failure: requests.RequestException) -> requests.RequestException:
    """Return a failure for --verbose without the URL, which grants access to the file."""
    reason = failure.args[0] if failure.args else None
    reason = getattr(reason, "reason", None) or reason
    return requests.RequestException(_URL_OR_PATH.sub("…", f"{type(failure).__name__}: {reason!r}"))
