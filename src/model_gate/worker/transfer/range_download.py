"""One file over the wire: whole if it is small, in parts side by side if it is large, resumed where it broke off."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Protocol

from urllib3.exceptions import HTTPError

from model_gate.worker.transfer.byte_range import ByteRange, split_into_ranges, strong_etag
from model_gate.worker.transfer.concurrency import THROTTLING_STATUSES, ConcurrencyLimiter, retry_after

# Held by each connection that reads, at most: what has come is written at once, since waiting for a whole chunk copies
# it once more, which is half of what a large file costs.
_CHUNK_BYTES = 256 * 1024
_TRIES = 4
_LONGEST_PAUSE_SECONDS = 10.0


class UnsupportedDownloadError(Exception):
    """The file cannot be had in this way: the answer is not to what was asked, or the connection keeps breaking."""


class Response(Protocol):
    """What a file is answered with."""

    @property
    def status(self) -> int:
        """Of the answer."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, in any case of its letters."""

    def read1(self, amount: int, /) -> bytes:
        """What has come of the body, up to `amount` bytes; nothing at its end."""


class Client(Protocol):
    """What a file is asked of, by any number of threads."""

    def get(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """The answer to a GET, its body unread."""


class RangeDownload:
    """One file of `size` bytes at `url`.

    `on_bytes` hears of each piece that was written. Parts are asked for only of a server that has ranges and tells by
    an ETag that they are of one and the same file; each answer must say that it is the part that was asked for.
    """

    def __init__(
        self,
        source: Client,
        flow: ConcurrencyLimiter,
        pool: ThreadPoolExecutor,
        url: str,
        size: int,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._flow = flow
        self._pool = pool
        self._url = url
        self._size = size
        self._on_bytes = on_bytes
        self._parts = split_into_ranges(size)
        self._tag = ""
        self._stopped = threading.Event()

    def write_to(self, destination: str) -> None:
        """Write the file.

        Raises:
            UnsupportedDownloadError: It cannot be had in this way.
            HTTPError: urllib3's, the same.
            OSError: It cannot be written.
        """
        descriptor = os.open(destination, os.O_WRONLY)
        # Not O_TRUNC: whatever was emptied, if only of nothing, ext4 writes to the disk as soon as it is closed.
        if os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, 0)
        others: list[Future[None]] = []

        def begin_others() -> None:
            others.extend(self._pool.submit(self._fetch, descriptor, part) for part in self._parts[1:])

        try:
            self._fetch(descriptor, self._parts[0], begin_others)
            wait(others, return_when=FIRST_EXCEPTION)
            for future in others:
                future.result()
        finally:
            self._stopped.set()
            for future in others:
                future.cancel()
            # Nobody may write into a file of the same number that is opened next.
            wait(others)
            os.close(descriptor)

    def _fetch(self, descriptor: int, part: ByteRange, begin_others: Callable[[], None] | None = None) -> None:
        left = part
        for attempt in range(_TRIES):
            pause = 0.0
            with self._flow.request(left.size), self._source.get(self._url, self._asked(left)) as response:
                if response.status in THROTTLING_STATUSES:
                    self._flow.push_back()
                    pause = min(retry_after(response.headers, 2.0**attempt), _LONGEST_PAUSE_SECONDS)
                elif response.status == 200 and not self._tag:
                    # A small file, or a server that has no ranges. Once parts are under way, it would be another file
                    # than theirs.
                    self._read_whole(descriptor, response)
                    return
                else:
                    self._require(left, response)
                    if begin_others:
                        begin_others()
                        begin_others = None
                    left = self._read(descriptor, left, response)
                    if not left.size:
                        return
            if self._stopped.wait(pause):
                raise UnsupportedDownloadError("Another part could not be had.")
        raise UnsupportedDownloadError("It keeps breaking off.")

    def _asked(self, part: ByteRange) -> dict[str, str]:
        if len(self._parts) == 1:
            return {}
        return {"Range": part.asked} | ({"If-Range": self._tag} if self._tag else {})

    def _require(self, part: ByteRange, response: Response) -> None:
        """Make sure that an answer is this part, of the same file as the parts before it."""
        tag = strong_etag(response.headers)
        is_part = response.status == 206 and part.is_answered_by(response.headers, self._size)
        if not is_part or not tag or tag != (self._tag or tag) or _is_encoded(response):
            raise UnsupportedDownloadError(
                f"It is answered with status {response.status}, and not with {part.asked} of the file."
            )
        self._tag = tag

    def _read(self, descriptor: int, part: ByteRange, response: Response) -> ByteRange:
        """Write what comes of a part; returns what is missing of it when the connection breaks."""
        left = part
        try:
            while left.size and (data := response.read1(min(_CHUNK_BYTES, left.size))):
                if self._stopped.is_set():
                    raise UnsupportedDownloadError("Another part could not be had.")
                self._write(descriptor, data, left.start)
                left = left.after(len(data))
        except HTTPError:
            if left == part:
                raise
        return left

    def _read_whole(self, descriptor: int, response: Response) -> None:
        told = response.headers.get("Content-Length", str(self._size))
        if told != str(self._size) or _is_encoded(response):
            raise UnsupportedDownloadError(f"It is answered with {told} bytes, and was listed with {self._size}.")
        offset = 0
        while data := response.read1(_CHUNK_BYTES):
            offset += len(data)
            if offset > self._size:
                raise UnsupportedDownloadError("It is answered with more bytes than it was listed with.")
            self._write(descriptor, data, offset - len(data))
        if offset < self._size:
            raise UnsupportedDownloadError("It is answered with fewer bytes than it was listed with.")

    def _write(self, descriptor: int, data: bytes, offset: int) -> None:
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)
        self._on_bytes(written)


def _is_encoded(response: Response) -> bool:
    return response.headers.get("Content-Encoding", "identity") != "identity"
