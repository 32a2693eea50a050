"""Downloads one file: a small file in a single request, a large file in concurrent range requests.

If the connection breaks during a range, the next request asks for the missing rest of the range only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Protocol

from urllib3.exceptions import HTTPError

from model_gate.worker.response_limits import downloading
from model_gate.worker.transfer.byte_range import ByteRange, is_encoded, split_into_ranges, strong_etag
from model_gate.worker.transfer.concurrency import THROTTLING_STATUSES, ConcurrencyLimiter, retry_after_seconds

# Maximum size of one read from a connection. Received bytes are written at once. To collect them in a full chunk first
# would copy them once more, which is half of the processor time of a large file.
CHUNK_BYTES = 256 * 1024
MAX_ATTEMPTS = 4
MAX_PAUSE_SECONDS = 10.0


class UnsupportedDownloadError(Exception):
    """The download failed, because a response does not match its request or because the connection keeps breaking.

    The caller must download the file in another way.
    """


class WrongSizeError(UnsupportedDownloadError):
    """A response is complete, but of another size than the file."""


class Response(Protocol):
    """An HTTP response whose body is not read yet."""

    @property
    def status(self) -> int:
        """HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by name. A lookup ignores the case of the name."""

    def read1(self, amount: int, /) -> bytes:
        """Wait for the next bytes of the body, and return at most `amount` of them; b"" means the end of the body."""


class Client(Protocol):
    """Sends HTTP requests for one file. Thread-safe."""

    def get(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """Send a GET request. The context manager yields the response, whose body is not read yet."""


class RangeDownload:
    """A single download of the file at `url`, which has `size` bytes.

    Range requests need a server that supports them and sends a strong ETag. An equal ETag in all responses proves that
    all ranges belong to the same content. Each response must also name the requested range in Content-Range.

    Whenever bytes are written to the file, `on_bytes` is called with their number.
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
            UnsupportedDownloadError: A response does not match its request, or the connection keeps breaking.
            HTTPError: A request failed. This is the base class of urllib3's errors.
            OSError: The file cannot be written.
        """
        descriptor = os.open(destination, os.O_WRONLY)
        # O_TRUNC would be slow: on close, ext4 writes a truncated file to the disk, even if it was empty before.
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
            # No thread may write after the close, because another file may then have the same descriptor number.
            wait(remaining)
            os.close(descriptor)

    def _download_range(
        self, descriptor: int, byte_range: ByteRange, start_remaining: Callable[[], None] | None = None
    ) -> None:
        # This may be a thread of the pool, and `downloading` raises the limit of its own thread only.
        with downloading(self._size):
            self._download_range_with_retries(descriptor, byte_range, start_remaining)

    def _download_range_with_retries(
        self, descriptor: int, byte_range: ByteRange, start_remaining: Callable[[], None] | None
    ) -> None:
        missing = byte_range
        for attempt in range(MAX_ATTEMPTS):
            pause = 0.0
            with (
                self._limiter.request(missing.size),
                self._client.get(self._url, self._range_headers(missing)) as response,
            ):
                if response.status in THROTTLING_STATUSES:
                    self._limiter.throttled()
                    pause = min(retry_after_seconds(response.headers, 2.0**attempt), MAX_PAUSE_SECONDS)
                elif response.status == 200 and not self._etag:
                    # The file is small, or the server ignores Range. After the first range, status 200 would mean that
                    # the file has changed.
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
        """Check that a response has the requested range, and the same ETag as the earlier ranges."""
        etag = strong_etag(response.headers)
        is_match = response.status == 206 and byte_range.matches(response.headers, self._size)
        if not is_match or not etag or etag != (self._etag or etag) or is_encoded(response.headers):
            raise UnsupportedDownloadError(
                f"The response with status {response.status} does not match the request for {byte_range.header}."
            )
        self._etag = etag

    def _write_range(self, descriptor: int, byte_range: ByteRange, response: Response) -> ByteRange:
        """Write the body to the file. Return the missing rest of the range: empty, unless the connection broke."""
        missing = byte_range
        try:
            while missing.size and (data := response.read1(min(CHUNK_BYTES, missing.size))):
                if self._stopped.is_set():
                    raise UnsupportedDownloadError("Another range failed.")
                self._write(descriptor, data, missing.start)
                missing = missing.after(len(data))
        except HTTPError:
            if missing == byte_range:
                raise
        if not missing.size and response.read1(1):
            raise UnsupportedDownloadError(f"The response is longer than {byte_range.header}.")
        return missing

    def _write_whole_file(self, descriptor: int, response: Response) -> None:
        length = response.headers.get("Content-Length", str(self._size))
        if is_encoded(response.headers):
            raise UnsupportedDownloadError("The response is encoded.")
        if length != str(self._size):
            raise WrongSizeError(f"The response has {length} bytes, but the listing says {self._size}.")
        offset = 0
        while data := response.read1(CHUNK_BYTES):
            offset += len(data)
            if offset > self._size:
                raise WrongSizeError("The response has more bytes than the listing says.")
            self._write(descriptor, data, offset - len(data))
        if offset < self._size:
            raise UnsupportedDownloadError("The response has fewer bytes than the listing says.")

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)
        self._on_bytes(written)
