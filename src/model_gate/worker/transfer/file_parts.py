"""Reads one large file part by part, so that no process holds the whole file.

A file is read by one streaming response, which is cut into parts. Nobody reads from the response while the parent waits
for other files: the connection then holds the server back. If the server is distant, parts are requested side by side
instead, as soon as one of them has proven that the server supports ranges and that its ETag identifies the content.

The parts of a file are always parts of one version: either of one response, or of responses with one strong ETag.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import ClassVar

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from model_gate.domain.wording import printable
from model_gate.errors import ModelGateError, RereadError, TransferError
from model_gate.worker.response_limits import downloading
from model_gate.worker.transfer.byte_range import ByteRange, strong_etag
from model_gate.worker.transfer.concurrency import THROTTLING_STATUSES, ConcurrencyLimiter, retry_after_seconds
from model_gate.worker.transfer.range_download import Response, UnsupportedDownloadError

_CHUNK_BYTES = 256 * 1024
_MAX_ATTEMPTS = 4
_MAX_PAUSE_SECONDS = 10.0
# A pause between two reads of a stream, in seconds, that an error reports. Shorter ones occur between any windows.
_STALLED_SECONDS = 5.0
# With 200, 412 and 416, a server says that it has another version of the file, or does not serve ranges.
_STATUSES_OF_CHANGES = frozenset({412, 416})
_STATUSES_OF_PARTS = frozenset({200, 206}) | _STATUSES_OF_CHANGES

OpenStream = Callable[[], AbstractContextManager[Response]]
Request = Callable[[Mapping[str, str]], AbstractContextManager[Response]]


class FileParts:
    """The parts of one file. Several threads may read parts at the same time.

    Args:
        path: Path of the file, for error messages.
        size: Listed size of the file in bytes.
        open_stream: Requests the whole file. The context manager yields the response, whose body is not read yet.
        limiter: Grants the slots for requests of ranges, and knows whether the server is near.
        request: Sends a request for a range of the file, with these headers in addition to the usual ones; None if the
            server must not be asked for ranges.
        close_clients: Called by `close`.

    Attributes:
        cut_off_hint: What the user can do if the server ends each response early, "" if nothing is known.
        stalled_hint: What the user can do if the server ends a response that nobody reads.
    """

    cut_off_hint: ClassVar[str] = ""
    stalled_hint: ClassVar[str] = "If it ends again, keep whole files with --download-dir."

    def __init__(
        self,
        path: str,
        size: int,
        open_stream: OpenStream,
        limiter: ConcurrencyLimiter,
        request: Request | None = None,
        close_clients: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._size = size
        self._request = request
        self._limiter = limiter
        self._close_clients = close_clients
        self._open_stream = open_stream
        self._stream = _Stream(self, open_stream)
        self._changed = threading.Condition()
        # Which thread may do what next. Threads that share the file change these attributes under the lock only.
        self._may_probe = request is not None
        self._has_ranges = False
        self._reading = False
        self._failure: Exception | None = None
        self._is_stopped = False
        # Whether the server has sent a part of the version that is read, in a response of its own.
        self._is_proven = False

    def read(self, part: ByteRange, destination: str, on_bytes: Callable[[int], None]) -> None:
        """Overwrite the file `destination` with the bytes of a part. The file must not be longer than the part.

        The caller must request the parts without a gap and in order, but need not wait for one part before it requests
        the next one.

        Raises:
            TransferError: The file changed, is longer or shorter than listed, or the connection keeps breaking.
            HTTPError: A request failed. This is the base class of urllib3's errors.
        """
        try:
            with downloading(self._size, self._path), _open_for_writing(destination) as write:
                while not self._read_once(part, _counted(write, on_bytes)):
                    continue
        except Exception as error:
            self.fail(error)
            raise

    def read_again(self, part: ByteRange, destination: str) -> None:
        """Write the bytes of any part to `destination`, if the server still has the version that was read.

        Raises:
            RereadError: The server cannot send parts of that version.
            TransferError: The server has another version now, or the connection keeps breaking.
            HTTPError: A request failed.
        """
        if not self.can_resume:
            raise self._not_again()
        again = FileParts(self._path, self._size, self._open_stream, self._limiter, self._request)
        again._request_ranges_of(self)
        again._is_proven = self._is_proven
        again.read(part, destination, lambda _: None)

    def continue_from(self, other: FileParts) -> bool:
        """Read the rest of the version that `other` has begun to read. An error that ended `other` does not count.

        Returns:
            Whether that is possible: `other` has read nothing yet, or has found that the server sends parts.
        """
        if other._has_ranges and self._request is not None:
            self._request_ranges_of(other)
            self._is_proven = other._is_proven
            return True
        return other._stream.is_untouched

    def _request_ranges_of(self, other: FileParts) -> None:
        self._stream.etag = other._stream.etag
        self._has_ranges = True

    @property
    def has_failed(self) -> bool:
        """Whether an error has ended the reads, and not `stop`."""
        with self._changed:
            return self._failure is not None and not self._is_stopped

    def stop(self) -> None:
        """End all reads and close the connection of the stream. Parts can still be read again."""
        with self._changed:
            self._is_stopped = True
        self.fail(TransferError(f"The download of {printable(self._path)} was ended.", "Run the gate again."))
        with self._changed:
            self._changed.wait_for(lambda: not self._reading)
            self._stream.close()

    def close(self) -> None:
        """End all reads, and close all connections."""
        try:
            self.stop()
        finally:
            self._close_clients()

    def fail(self, error: Exception) -> None:
        """End all reads with an error, unless an earlier error has ended them."""
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def _read_once(self, part: ByteRange, write: Callable[[bytes, int], None]) -> bool:
        """Wait until something can be done for a part, and do it. Return whether the part is complete."""
        action = self._next_action(part)
        if action == "stream":
            self._read_stream(part, write)
            return True
        if action == "probe":
            return self._probe(part, write)
        self._read_range(part, write)
        return True

    def _next_action(self, part: ByteRange) -> str:
        with self._changed:
            while True:
                self.require_open()
                if self._has_ranges:
                    return "range"
                if self._stream.position == part.start and not self._reading:
                    self._reading = True
                    return "stream"
                # The stream's response must have arrived first: only its ETag can prove that a range belongs to it.
                if self._may_probe and self._stream.etag and not self._limiter.is_near:
                    self._may_probe = False
                    return "probe"
                self._changed.wait()

    def require_open(self) -> None:
        """Raise the error that ended the reads of this file, if there is one."""
        if self._failure is not None:
            raise self._failure

    def _read_stream(self, part: ByteRange, write: Callable[[bytes, int], None]) -> None:
        try:
            self._stream.open(self._announce)
            self._stream.read(part, write)
        finally:
            with self._changed:
                self._reading = False
                if self._has_ranges or part.stop == self._size:
                    self._stream.close()
                self._changed.notify_all()

    def _announce(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _probe(self, part: ByteRange, write: Callable[[bytes, int], None]) -> bool:
        """Request a part as a range. If the server begins to send it, all later parts are requested as ranges.

        If not, the stream goes on. Some servers ignore ranges, others make a new ETag for each response, and a server
        with one thread answers no other request while it sends the stream.

        Returns:
            Whether the part is complete.
        """
        try:
            self._read_range(part, write)
        except (HTTPError, ModelGateError):
            # Only this thread can have proven it.
            if self._is_proven:
                raise
            return False
        return True

    def _read_range(self, part: ByteRange, write: Callable[[bytes, int], None]) -> None:
        try:
            self._receive_range(part, write)
        except UnsupportedDownloadError as error:
            raise (self.changed() if self._is_proven else self._not_again()) from error

    def _receive_range(self, part: ByteRange, write: Callable[[bytes, int], None]) -> None:
        """Request a part as a range, and resume it where the connection breaks.

        Raises:
            UnsupportedDownloadError: A response is not the requested part of the version that is read.
            TransferError: The server refuses the request, or the connection keeps breaking.
            HTTPError: A request failed.
        """
        missing = part
        for attempt in range(_MAX_ATTEMPTS):
            pause = 2.0**attempt - 1
            try:
                with self._limiter.request(missing.size):
                    # The reads may have ended while this thread waited for its slot.
                    self.require_open()
                    with self.request(missing) if self._has_ranges else self.probe(missing) as response:
                        if not is_busy(response):
                            self.require_range(missing, response)
                            self._prove_ranges()
                            missing = self.copy(response, missing, write, part.start)
                        elif response.status in THROTTLING_STATUSES:
                            self._limiter.throttled()
                            pause = min(retry_after_seconds(response.headers, 2.0**attempt), _MAX_PAUSE_SECONDS)
            except Urllib3TimeoutError:
                raise
            except HTTPError:
                # The server has closed the connection without a response, or before the first byte.
                if attempt == _MAX_ATTEMPTS - 1:
                    raise
            if not missing.size:
                return
            self.pause(pause)
        raise self.broken()

    def _prove_ranges(self) -> None:
        """Record that the server sends parts of this version. All other parts are then requested as ranges."""
        with self._changed:
            if not self._is_proven:
                self._is_proven = self._has_ranges = True
                if not self._reading:
                    self._stream.close()
                self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait before another attempt.

        Raises:
            Exception: The error that has ended the reads meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None, seconds)
            self.require_open()

    def request(self, part: ByteRange) -> AbstractContextManager[Response]:
        """Send a request for a range of the version that is read."""
        assert self._request is not None  # noqa: S101  # for mypy
        return self._request(self.range_headers(part))

    def probe(self, part: ByteRange) -> AbstractContextManager[Response]:
        """Send the first request for a range, while the server sends the stream."""
        return self.request(part)

    def range_headers(self, part: ByteRange) -> dict[str, str]:
        """Return the headers of a request for a range of the version that is read."""
        return {"Range": part.header, "If-Range": self._stream.etag}

    @property
    def can_resume(self) -> bool:
        """Whether the server may be asked for the rest of the version that is read."""
        return self._request is not None and bool(self._stream.etag)

    def require_range(self, part: ByteRange, response: Response) -> None:
        """Require that a response is the requested part of the version that is read.

        Raises:
            UnsupportedDownloadError: It is another part, or a part of another version.
            TransferError: The server refuses the request.
        """
        if response.status not in _STATUSES_OF_PARTS:
            raise TransferError(
                f"The server answers a request for a part of {printable(self._path)} with status {response.status}.",
                "Check the server, and run the gate again.",
            )
        is_match = response.status == 206 and part.matches(response.headers, self._size)
        if not is_match or strong_etag(response.headers) != self._stream.etag or is_encoded(response.headers):
            raise UnsupportedDownloadError(f"The response with status {response.status} is not {part.header}.")

    def copy(
        self, response: Response, missing: ByteRange, write: Callable[[bytes, int], None], origin: int
    ) -> ByteRange:
        """Write the next bytes of a response, and return the part that is still missing: empty unless it broke off.

        Args:
            response: The response, whose next byte is the first one of `missing`.
            missing: The bytes to write.
            write: Called with bytes and their offset from `origin`.
            origin: Offset in the file of the first byte of the destination.

        Raises:
            HTTPError: The connection timed out, or broke before the first byte.
        """
        start = missing.start
        try:
            while missing.size and (data := response.read1(min(_CHUNK_BYTES, missing.size))):
                self.require_open()
                write(data, missing.start - origin)
                missing = missing.after(len(data))
        except Urllib3TimeoutError:
            raise
        except HTTPError:
            if missing.start == start:
                raise
        return missing

    def require_size(self, response: Response) -> None:
        """Require that a response for the whole file has the listed size, as far as it says its size.

        Raises:
            TransferError: It has another size.
        """
        length = response.headers.get("Content-Length", str(self._size))
        if length != str(self._size) and not is_encoded(response.headers):
            raise self.wrong_size(f"has {printable(length)}")

    def wrong_size(self, actual: str) -> TransferError:
        """Return the error for a file of another size than listed."""
        return TransferError(
            f"{printable(self._path)} {actual} bytes, but was listed with {self._size:,}.",
            "The model may have changed: run the gate again.",
        )

    def cut_off(self, received: int, seconds: float, idle: float) -> TransferError:
        """Return the error for a response for the whole file that ended early and cannot be resumed.

        Args:
            received: Bytes of the file that have arrived.
            seconds: Seconds since the head of the response.
            idle: The longest time in seconds between two parts in which nothing was read.
        """
        message = (
            f"{printable(self._path)} ended after {received:,} bytes and {seconds:.0f} s, but was listed with"
            f" {self._size:,}."
        )
        remedy = "The transfer was cut short, or the model has changed: run the gate again."
        if idle < _STALLED_SECONDS:
            return TransferError(message, f"{remedy} {self.cut_off_hint}".rstrip())
        return TransferError(
            f"{message} Model Gate did not read from it for {idle:.0f} s, for example while it waited for the file of"
            " the other model.",
            f"{remedy} {self.stalled_hint}",
        )

    def changed(self) -> TransferError:
        """Return the error for a file of which the server now has another version."""
        return TransferError(
            f"{printable(self._path)} changed while it was read: a part of it has another ETag, size or position.",
            "Run the gate again when nothing writes to the model.",
        )

    def broken(self) -> TransferError:
        """Return the error for a connection that keeps breaking."""
        return TransferError(
            f"The download of {printable(self._path)} broke off before its end.", "Run the gate again."
        )

    def not_resumed(self, status: int) -> TransferError:
        """Return the error for a response with another part than the rest of a response that broke off.

        Without a proof that the server sends parts, the response does not show that the file has changed: some servers
        ignore ranges, and others make a new ETag for each response.
        """
        if self._is_proven or status in _STATUSES_OF_CHANGES:
            return self.changed()
        return TransferError(
            f"The download of {printable(self._path)} broke off before its end, and the server cannot resume it.",
            f"Run the gate again. {self.cut_off_hint}".rstrip(),
        )

    def _not_again(self) -> RereadError:
        return RereadError(
            f"The server cannot send parts of {printable(self._path)} again.", "Keep whole files with --download-dir."
        )

    @property
    def size(self) -> int:
        """Listed size of the file in bytes."""
        return self._size


class _Stream:
    """One response for the whole file, whose parts are read in order. A broken connection is resumed, if possible.

    Attributes:
        position: Offset of the next part.
        etag: Strong ETag of the response; "" if there is none, or no response yet.
    """

    def __init__(self, parts: FileParts, open_stream: OpenStream) -> None:
        self._parts = parts
        self._open_stream = open_stream
        # When the head of the response arrived, when the last part was complete, and the longest pause between parts.
        self._opened_at = self._read_at = self._idle = 0.0
        self._stack = ExitStack()
        self._response: Response | None = None
        self.position = 0
        self.etag = ""

    @property
    def is_untouched(self) -> bool:
        """Whether the head of the response has not arrived yet."""
        return self._response is None and not self.position and not self.etag

    def open(self, announce: Callable[[], None]) -> None:
        """Request the file, unless it is being read. `announce` is called when the head of the response is known."""
        if self.position:
            self._idle = max(self._idle, time.monotonic() - self._read_at)
        elif self._response is None:
            response = self._stack.enter_context(self._open_stream())
            self._parts.require_size(response)
            if not is_encoded(response.headers):
                self.etag = strong_etag(response.headers)
            self._response = response
            self._opened_at = time.monotonic()
            announce()

    def read(self, part: ByteRange, write: Callable[[bytes, int], None]) -> None:
        """Write the next part.

        Raises:
            TransferError: The file is longer or shorter than listed, changed, or the connection keeps breaking.
        """
        missing = part
        failures = 0
        while missing.size:
            try:
                if self._response is None:
                    self._resume(missing.start)
                missing = self._copy(missing, write, part.start)
            except Urllib3TimeoutError:
                raise
            except HTTPError as error:
                if not self._parts.can_resume:
                    raise self._cut_off(missing.start) from error
            if missing.size:
                failures += 1
                self._drop()
                if not self._parts.can_resume:
                    raise self._cut_off(missing.start)
                if failures == _MAX_ATTEMPTS:
                    raise self._parts.broken()
                self._parts.pause(failures - 1.0)
        self.position = part.stop
        self._read_at = time.monotonic()
        if part.stop == self._parts.size:
            self._require_end()

    def _cut_off(self, received: int) -> TransferError:
        return self._parts.cut_off(received, time.monotonic() - self._opened_at, self._idle)

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def _copy(self, missing: ByteRange, write: Callable[[bytes, int], None], origin: int) -> ByteRange:
        assert self._response is not None  # noqa: S101  # for mypy
        return self._parts.copy(self._response, missing, write, origin)

    def _resume(self, start: int) -> None:
        """Request the rest of the file, as far as the server still has the version that was read.

        Raises:
            TransferError: The server has another version now, or cannot send the rest.
            HTTPError: The request failed.
        """
        rest = ByteRange(start, self._parts.size)
        status = 0
        try:
            response = self._stack.enter_context(self._parts.request(rest))
            status = response.status
            if is_busy(response):
                raise HTTPError(f"status {status}")
            self._parts.require_range(rest, response)
        except UnsupportedDownloadError as error:
            raise self._parts.not_resumed(status) from error
        self._response = response

    def _require_end(self) -> None:
        """Require that nothing follows the last part.

        Raises:
            TransferError: The file is longer than listed.
        """
        if self._response is not None and self._response.read1(1):
            raise self._parts.wrong_size("has more")

    def _drop(self) -> None:
        self._response = None
        self._stack.close()


def is_busy(response: Response) -> bool:
    """Return whether a later attempt of the same request may succeed."""
    return response.status in THROTTLING_STATUSES or response.status >= 500


def is_encoded(headers: Mapping[str, str]) -> bool:
    """Return whether the body of a response is compressed."""
    return headers.get("Content-Encoding", "identity") != "identity"


@contextmanager
def _open_for_writing(destination: str) -> Iterator[Callable[[bytes, int], None]]:
    """Open a file, and yield a function that writes bytes at an offset."""
    descriptor = os.open(destination, os.O_WRONLY)

    def write(data: bytes, offset: int) -> None:
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, data[written:], offset + written)

    try:
        yield write
    finally:
        os.close(descriptor)


def _counted(write: Callable[[bytes, int], None], on_bytes: Callable[[int], None]) -> Callable[[bytes, int], None]:
    def write_and_count(data: bytes, offset: int) -> None:
        write(data, offset)
        on_bytes(len(data))

    return write_and_count
