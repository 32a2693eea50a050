"""Download of one file: a single request for a small file, concurrent range requests for a large file.

A range that breaks off is resumed where it broke off.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Protocol

from urllib3.exceptions import HTTPError

from model_gate.worker.transfer.byte_range import ByteRange, split_into_ranges, strong_etag
from model_gate.worker.transfer.concurrency import THROTTLING_STATUSES, ConcurrencyLimiter, retry_after_seconds

# Read buffer of each connection. Received bytes are written at once: filling a chunk first would copy them once more,
# which is half of the cost of a large file.
_CHUNK_BYTES = 256 * 1024
_MAX_ATTEMPTS = 4
_MAX_PAUSE_SECONDS = 10.0


class UnsupportedDownloadError(Exception):
    """The file cannot be downloaded in this way: a response does not match its request, or the connection breaks."""


class Response(Protocol):
    """A response with an unread body."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by name, case-insensitive."""

    def read1(self, amount: int, /) -> bytes:
        """Return up to `amount` bytes of the body as soon as some are available; b"" at the end."""


class Client(Protocol):
    """Sends requests for a file. Thread-safe."""

    def get(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """Send a GET and return the response with an unread body."""


class RangeDownload:
    """Download of the file of `size` bytes at `url`.

    Range requests need a server that supports ranges and sends a strong ETag, which proves that all ranges belong to
    the same file. Each response must name the requested range. `on_bytes` is called with the size of each written
    piece.
    """

    def __init__(
        self,
        client: Client,
        limiter: ConcurrencyLimiter,
        pool: ThreadPoolExecutor,
        url: str,
        size: int,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._limiter = limiter
        self._pool = pool
        self._url = url
        self._size = size
        self._on_bytes = on_bytes
        self._ranges = split_into_ranges(size)
        self._etag = ""
        self._stopped = threading.Event()

    def write_to(self, destination: str) -> None:
        """Write the file to `destination`, which must exist.

        Raises:
            UnsupportedDownloadError: The file cannot be downloaded in this way.
            HTTPError: urllib3's, with the same meaning.
            OSError: The file cannot be written.
        """
        descriptor = os.open(destination, os.O_WRONLY)
        # Not O_TRUNC: ext4 flushes a file on close if it was truncated, even if it was empty.
        if os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 0)
        remaining: list[Future[None]] = []

        def start_remaining() -> None:
            remaining.extend(
                self._pool.submit(self._download_range, descriptor, byte_range) for byte_range in self._ranges[1:]
            )

        try:
            self._download_range(descriptor, self._ranges[0], start_remaining)
            wait(remaining, return_when=FIRST_EXCEPTION)
            for future in remaining:
                future.result()
        finally:
            self._stopped.set()
            for future in remaining:
                future.cancel()
            # No thread may write after the close: the descriptor's number may then belong to another file.
            wait(remaining)
            os.close(descriptor)

    def _download_range(
        self, descriptor: int, byte_range: ByteRange, start_remaining: Callable[[], None] | None = None
    ) -> None:
        missing = byte_range
        for attempt in range(_MAX_ATTEMPTS):
            pause = 0.0
            with (
                self._limiter.request(missing.size),
                self._client.get(self._url, self._range_headers(missing)) as response,
            ):
                if response.status in THROTTLING_STATUSES:
                    self._limiter.throttled()
                    pause = min(retry_after_seconds(response.headers, 2.0**attempt), _MAX_PAUSE_SECONDS)
                elif response.status == 200 and not self._etag:
                    # A small file, or a server without ranges. Once the ETag is known, a 200 response is another file.
                    self._write_whole_file(descriptor, response)
                    return
                else:
                    self._check_response(missing, response)
                    if start_remaining:
                        start_remaining()
                        start_remaining = None
                    missing = self._write_range(descriptor, missing, response)
                    if not missing.size:
                        return
            if self._stopped.wait(pause):
                raise UnsupportedDownloadError("Another range failed.")
        raise UnsupportedDownloadError("The connection keeps breaking.")

    def _range_headers(self, byte_range: ByteRange) -> dict[str, str]:
        if len(self._ranges) == 1:
            return {}
        return {"Range": byte_range.header} | ({"If-Range": self._etag} if self._etag else {})

    def _check_response(self, byte_range: ByteRange, response: Response) -> None:
        """Check that a response has the requested range of the same file as the ranges before it."""
        etag = strong_etag(response.headers)
        is_match = response.status == 206 and byte_range.matches(response.headers, self._size)
        if not is_match or not etag or etag != (self._etag or etag) or _is_encoded(response):
            raise UnsupportedDownloadError(
                f"The response with status {response.status} does not match the request for {byte_range.header}."
            )
        self._etag = etag

    def _write_range(self, descriptor: int, byte_range: ByteRange, response: Response) -> ByteRange:
        """Write the body to the file. Return the missing rest of the range, if the connection breaks."""
        missing = byte_range
        try:
            while missing.size and (data := response.read1(min(_CHUNK_BYTES, missing.size))):
                if self._stopped.is_set():
                    raise UnsupportedDownloadError("Another range failed.")
                self._write(descriptor, data, missing.start)
                missing = missing.after(len(data))
        except HTTPError:
            if missing == byte_range:
                raise
        return missing

    def _write_whole_file(self, descriptor: int, response: Response) -> None:
        length = response.headers.get("Content-Length", str(self._size))
        if length != str(self._size) or _is_encoded(response):
            raise UnsupportedDownloadError(f"The response has {length} bytes, but the listing says {self._size}.")
        offset = 0
        while data := response.read1(_CHUNK_BYTES):
            offset += len(data)
            if offset > self._size:
                raise UnsupportedDownloadError("The response has more bytes than the listing says.")
            self._write(descriptor, data, offset - len(data))
        if offset < self._size:
            raise UnsupportedDownloadError("The response has fewer bytes than the listing says.")

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)
        self._on_bytes(written)


def _is_encoded(response: Response) -> bool:
    return response.headers.get("Content-Encoding", "identity") != "identity"
