"""Reads one large file part by part, so that no process holds the whole file.

A file is read by one streaming response, which is cut into parts. Nobody reads from the response while the parent waits
for other files: the connection then holds the server back. If the server is distant, parts are requested side by side
instead, as soon as one of them has proven that the server supports ranges and that its ETag identifies the content.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from model_gate.errors import ModelGateError
from model_gate.worker.response_limits import downloading
from model_gate.worker.transfer.byte_range import ByteRange
from model_gate.worker.transfer.concurrency import THROTTLING_STATUSES, ConcurrencyLimiter, retry_after_seconds
from model_gate.worker.transfer.file_stream import FileStream
from model_gate.worker.transfer.file_version import FileRequests, FileVersion, is_busy
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.open_reads import OpenReads, Write
from model_gate.worker.transfer.range_download import MAX_ATTEMPTS, MAX_PAUSE_SECONDS, UnsupportedDownloadError


class FileParts:
    """The parts of one file. Several threads may read parts at the same time.

    Args:
        file: The file.
        requests: How to request it.
        limiter: Grants the slots for requests of ranges, and knows whether the server is near.
    """

    def __init__(self, file: ListedFile, requests: FileRequests, limiter: ConcurrencyLimiter) -> None:
        self._file = file
        self._requests = requests
        self._limiter = limiter
        self._reads = OpenReads()
        self._version = FileVersion(file, requests)
        self._stream = FileStream(self._version, requests.open_stream, self._reads)
        # Which thread may do what next. Threads that share the file change these attributes under this lock only.
        self._changed = self._reads.changed
        self._may_probe = requests.part is not None
        self._has_ranges = False
        self._is_streaming = False
        self._is_stopped = False

    def read(self, part: ByteRange, destination: str, on_bytes: Callable[[int], None]) -> None:
        """Overwrite the file `destination` with the bytes of a part. The file must not be longer than the part.

        The caller must request the parts without a gap and in order, but need not wait for one part before it requests
        the next one.

        Raises:
            TransferError: The file changed, is longer or shorter than listed, or the connection keeps breaking.
            HTTPError: A request failed. This is the base class of urllib3's errors.
        """
        try:
            with downloading(self._file.size, self._file.path), _open_for_writing(destination) as write:
                while not self._read_once(part, _counted(write, on_bytes)):
                    continue
        except Exception as error:
            self._reads.end(error)
            raise

    def read_again(self, part: ByteRange, destination: str) -> None:
        """Write the bytes of any part to `destination`, if the server still has the version that was read.

        Raises:
            RereadError: The server cannot send parts of that version.
            TransferError: The server has another version now, or the connection keeps breaking.
            HTTPError: A request failed.
        """
        if not self._version.can_resume:
            raise self._file.reread_error()
        again = FileParts(self._file, self._requests, self._limiter)
        again._request_ranges_of(self._version)
        again.read(part, destination, lambda _: None)

    def continue_from(self, other: FileParts) -> bool:
        """Read the rest of the version that `other` has begun to read. An error that ended `other` does not count.

        Returns:
            Whether that is possible: `other` has read nothing yet, or has found that the server sends parts.
        """
        if other._has_ranges and self._requests.part is not None:
            self._request_ranges_of(other._version)
            return True
        return other._stream.is_untouched

    def _request_ranges_of(self, version: FileVersion) -> None:
        self._version.become(version)
        self._has_ranges = True

    @property
    def has_failed(self) -> bool:
        """Whether an error has ended the reads, and not `stop`."""
        with self._changed:
            return self._reads.are_ended and not self._is_stopped

    def stop(self) -> None:
        """End all reads and close the connection of the stream. Parts can still be read again."""
        with self._changed:
            self._is_stopped = True
        self._reads.end(self._file.ended_error())
        with self._changed:
            self._changed.wait_for(lambda: not self._is_streaming)
            self._stream.close()

    def close(self) -> None:
        """End all reads, and close all connections."""
        try:
            self.stop()
        finally:
            self._requests.close()

    def _read_once(self, part: ByteRange, write: Write) -> bool:
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
                self._reads.require_open()
                if self._has_ranges:
                    return "range"
                if self._stream.position == part.start and not self._is_streaming:
                    self._is_streaming = True
                    return "stream"
                # The stream's response must have arrived first: only its ETag can prove that a range belongs to it.
                if self._may_probe and self._version.etag and not self._limiter.is_near:
                    self._may_probe = False
                    return "probe"
                self._changed.wait()

    def _read_stream(self, part: ByteRange, write: Write) -> None:
        try:
            if self._stream.open():
                self._notify()
            self._stream.read(part, write)
        finally:
            with self._changed:
                self._is_streaming = False
                if self._has_ranges or part.stop == self._file.size:
                    self._stream.close()
                self._changed.notify_all()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _probe(self, part: ByteRange, write: Write) -> bool:
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
            if self._version.is_proven:
                raise
            return False
        return True

    def _read_range(self, part: ByteRange, write: Write) -> None:
        try:
            self._receive_range(part, write)
        except UnsupportedDownloadError as error:
            is_changed = self._version.is_proven
            raise (self._file.changed_error() if is_changed else self._file.reread_error()) from error

    def _receive_range(self, part: ByteRange, write: Write) -> None:
        """Request a part as a range, and resume it where the connection breaks.

        Raises:
            UnsupportedDownloadError: A response is not the requested part of the version that is read.
            TransferError: The server refuses the request, or the connection keeps breaking.
            HTTPError: A request failed.
        """
        missing = part
        for attempt in range(MAX_ATTEMPTS):
            pause = 2.0**attempt - 1
            request = self._version.request if self._has_ranges else self._version.probe
            try:
                with self._limiter.request(missing.size):
                    # The reads may have ended while this thread waited for its slot.
                    self._reads.require_open()
                    with request(missing) as response:
                        if not is_busy(response):
                            self._version.require_part(missing, response)
                            self._prove_ranges()
                            rest = self._reads.copy(response, missing, write, part.start)
                            self._version.require_end(rest, response)
                            missing = rest
                        elif response.status in THROTTLING_STATUSES:
                            self._limiter.throttled()
                            pause = min(retry_after_seconds(response.headers, 2.0**attempt), MAX_PAUSE_SECONDS)
            except Urllib3TimeoutError:
                raise
            except HTTPError:
                # The server has closed the connection without a response, or before the first byte.
                if attempt == MAX_ATTEMPTS - 1:
                    raise
            if not missing.size:
                return
            self._reads.pause(pause)
        raise self._file.broken_error()

    def _prove_ranges(self) -> None:
        """Record that the server sends parts of this version. All other parts are then requested as ranges."""
        with self._changed:
            if not self._version.is_proven:
                self._version.is_proven = self._has_ranges = True
                if not self._is_streaming:
                    self._stream.close()
                self._changed.notify_all()


@contextmanager
def _open_for_writing(destination: str) -> Iterator[Write]:
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


def _counted(write: Write, on_bytes: Callable[[int], None]) -> Write:
    def write_and_count(data: bytes, offset: int) -> None:
        write(data, offset)
        on_bytes(len(data))

    return write_and_count
