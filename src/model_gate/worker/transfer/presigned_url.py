"""Downloads files by presigned URLs, that is by URLs whose signature grants access to one file.

Requests have no other credentials, and all waits have a time limit. After a failed request, the next request uses a new
URL. A large file is downloaded in concurrent byte ranges, if the store supports ranges and sends a strong ETag.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from model_gate.domain.origin import StoreEndpoint
from model_gate.domain.progress import ProgressCallback
from model_gate.errors import AccessError, NotFoundError, TransferError, UnreachableError
from model_gate.worker.network import PresignedAdapter
from model_gate.worker.progress import TransferProgress
from model_gate.worker.transfer.byte_range import split_into_ranges
from model_gate.worker.transfer.concurrency import (
    MAX_CONCURRENCY,
    THROTTLING_STATUSES,
    ConcurrencyLimiter,
    retry_after_seconds,
)
from model_gate.worker.transfer.file_parts import FileParts
from model_gate.worker.transfer.file_version import FileRequests
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.range_download import RangeDownload, UnsupportedDownloadError

_MAX_ATTEMPTS = 4
_CHUNK_BYTES = 1024 * 1024
# HTTP statuses with which object stores reject an expired URL.
_EXPIRED_STATUSES = frozenset({400, 401, 403})
_BUSY_STATUSES = THROTTLING_STATUSES | {408, 500, 502, 504}
# If the signature of a URL covers one of these headers, the URL is valid for one byte range only. Azure uses
# `x-ms-range` as its `Range` header.
_RANGE_HEADERS = frozenset({"range", "x-ms-range", "if-range"})
_URL_OR_PATH = re.compile(r"\S*[/?]\S*")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Timeouts:
    """Time limits in seconds for requests to a store.

    The download of a whole file has no time limit here. The parent process limits it, because the limit depends on the
    size.

    Attributes:
        connect: Limit for opening a connection.
        read: Limit for a wait without data from the store.
        retry: Limit for all attempts of one request together. No attempt starts later.
    """

    connect: float = 10
    read: float = 20
    retry: float = 20


@dataclass(frozen=True)
class PresignedUrl:
    """A presigned URL, and the headers that each request to this URL must have."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """Host and port of the URL. They are not secret, unlike the rest of the URL."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


# Function that requests a new presigned URL for one file from the workspace.
RequestUrl = Callable[[], PresignedUrl]


class PresignedStore:
    """Downloads files from object stores by presigned URLs."""

    def __init__(
        self, limiter: ConcurrencyLimiter, endpoints: Sequence[StoreEndpoint] = (), timeouts: Timeouts | None = None
    ) -> None:
        self._limiter = limiter
        self._endpoints = endpoints
        self._timeouts = timeouts or Timeouts()
        self._range_pool = ThreadPoolExecutor(MAX_CONCURRENCY)

    def fetch(
        self, request_url: RequestUrl, path: str, size: int, destination: str, on_progress: ProgressCallback
    ) -> None:
        """Write a file of `size` bytes to `destination`, which must exist.

        Args:
            request_url: Function that requests a new presigned URL for the file.
            path: Path of the file in its model, for error messages.
            size: Size of the file in bytes.
            destination: Local path of the file to write.
            on_progress: May be called with the number of `bytes` received since its last call.

        Raises:
            ModelError: The URL or one of its headers is not allowed.
            AccessError: The store rejects even new URLs.
            NotFoundError: The store does not have the file.
            UnreachableError: The store does not respond in time, or demands a wait beyond the time limit.
            TransferError: The body is incomplete.
        """
        progress = TransferProgress(on_progress)
        connections = min(len(split_into_ranges(size)), MAX_CONCURRENCY)
        if connections > 1:
            with self._client(request_url, path, connections) as client:
                if self._fetch_ranges(client, size, destination, progress):
                    return
        with (
            self._limiter.request(size),
            self._client(request_url, path, 1) as client,
        ):
            client.write_to(destination, progress)

    def open(self, request_url: RequestUrl, path: str, size: int) -> FileParts:
        """Return the parts of one file of `size` bytes. The arguments are those of `fetch`."""
        # A request that fails for good ends its client, and a store that refuses ranges must not end the stream.
        stream = self._client(request_url, path, 1)
        ranges = self._client(request_url, path, MAX_CONCURRENCY)

        def close_clients() -> None:
            stream.close()
            ranges.close()

        file_requests = FileRequests(lambda: stream.request({}), ranges.request, close=close_clients)
        return FileParts(ListedFile(path, size), file_requests, self._limiter)

    def _client(self, request_url: RequestUrl, path: str, connections: int) -> _PresignedClient:
        adapter = PresignedAdapter(self._endpoints, pool_maxsize=connections)
        return _PresignedClient(request_url, path, self._limiter, self._timeouts, adapter)

    def _fetch_ranges(self, client: _PresignedClient, size: int, destination: str, progress: TransferProgress) -> bool:
        """Download the file in ranges. Return false if the caller must request the whole file instead."""
        try:
            RangeDownload(client, self._limiter, self._range_pool, "", size, progress.add).write_to(destination)
        except (HTTPError, UnsupportedDownloadError, AccessError):
            return False
        return True


class _PresignedClient:
    """Sends requests for one file with `adapter`. Use it as a context manager.

    Threads share the client and its current URL. If a request of one thread fails for good, no thread sends or retries
    another request.
    """

    def __init__(
        self,
        request_url: RequestUrl,
        path: str,
        limiter: ConcurrencyLimiter,
        timeouts: Timeouts,
        adapter: PresignedAdapter,
    ) -> None:
        self._request_url = request_url
        self._path = path
        self._limiter = limiter
        self._timeouts = timeouts
        self._presigned: PresignedUrl | None = None
        self._failure: Exception | None = None
        self._failed = threading.Event()
        self._lock = threading.Lock()
        # The session uses the proxies and certificates that the environment variables name.
        self._session = requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, adapter)

    def __enter__(self) -> _PresignedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:  # noqa: ARG002  # presigned
        """Send a GET request with retries, and yield the response with an unread body.

        `headers` are sent in addition to those of the presigned URL. `url` is ignored: the presigned URL is used.

        Raises:
            UnsupportedDownloadError: The signature of the presigned URL covers a byte range.
            ModelGateError: One of the errors of `PresignedStore.fetch`.
        """
        with self.request(headers) as response:
            try:
                yield response
            except Exception as error:
                self._set_failure(error)
                raise

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:
        """Do the same as `get`, except that an error of the caller, for example in the body, does not end the client.

        The caller may send another request for the bytes that are missing.
        """
        try:
            response = self._with_retries(lambda presigned: self._send(presigned, headers))
        except Exception as error:
            self._set_failure(error)
            raise
        with response:
            yield response.raw

    def write_to(self, destination: str, progress: TransferProgress) -> None:
        """Download the whole file in a single request, with retries, and write it to `destination`.

        Raises:
            ModelGateError: One of the errors of `PresignedStore.fetch`.
        """
        self._with_retries(lambda presigned: self._write(presigned, destination, progress))

    def _with_retries(self, call: Callable[[PresignedUrl], _T]) -> _T:
        """Return the result of `call` with the current URL. If a request fails, wait, then call it with a new URL.

        There are at most four attempts.
        """
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
        """Send a GET request and return the response. Its status is a success, or 416 if `headers` request a range.

        Raises:
            RequestException: The request failed, and may be tried again with a new URL.
            NotFoundError: The store does not have the file.
            UnsupportedDownloadError: The signature of the presigned URL covers a byte range.
        """
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
        # A range request gets 416 if the file in the store became shorter after the listing. The caller handles it.
        if not (is_range and status == 416):
            # Among the other statuses, `network.guard_statuses` rejects those of another content.
            response.raise_for_status()

    def _write(self, presigned: PresignedUrl, destination: str, progress: TransferProgress) -> None:
        progress.restart()
        with self._send(presigned, {}) as response, open(destination, "wb") as file:
            for data in response.iter_content(_CHUNK_BYTES):
                file.write(data)
                progress.add(len(data))

    def _current_url(self) -> PresignedUrl:
        """Return the URL that all threads use now. Request a new URL if there is none."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._presigned is None:
                self._presigned = self._request_url()
            return self._presigned

    def _discard_url(self, presigned: PresignedUrl) -> None:
        """Discard the current URL if it is `presigned`. Otherwise another thread has already replaced `presigned`."""
        with self._lock:
            if self._presigned is presigned:
                self._presigned = None

    def _set_failure(self, error: Exception) -> None:
        with self._lock:
            self._failure = self._failure or error
        self._failed.set()


class _RefusedError(requests.RequestException):
    """The store rejects the URL, for example because it has expired."""


class _BusyError(requests.RequestException):
    """The store is busy. The next attempt must wait for `seconds`."""

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
    """Return a copy of an exception with "…" in place of URLs and paths.

    The traceback of --verbose shows the copy. The URL is secret, because it grants access to the file.
    """
    reason = failure.args[0] if failure.args else None
    reason = getattr(reason, "reason", None) or reason
    return requests.RequestException(_URL_OR_PATH.sub("…", f"{type(failure).__name__}: {reason!r}"))
