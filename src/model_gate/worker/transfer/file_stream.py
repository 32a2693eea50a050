"""Reads a large file from one response, part after part."""

from __future__ import annotations

import time
from contextlib import ExitStack

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from model_gate.errors import TransferError
from model_gate.worker.transfer.byte_range import ByteRange
from model_gate.worker.transfer.file_version import FileVersion, OpenStream, is_busy
from model_gate.worker.transfer.open_reads import OpenReads, Write
from model_gate.worker.transfer.range_download import MAX_ATTEMPTS, Response, UnsupportedDownloadError


class FileStream:
    """One response for a whole file, whose parts are read in order. A broken connection is resumed, if possible.

    Only one thread may use it at a time.

    Attributes:
        position: Offset of the next part.
    """

    def __init__(self, version: FileVersion, open_stream: OpenStream, reads: OpenReads) -> None:
        self.position = 0
        self._version = version
        self._open_stream = open_stream
        self._reads = reads
        # When the head of the response arrived, when the last part was complete, and the longest pause between parts.
        self._opened_at = self._read_at = self._idle = 0.0
        self._stack = ExitStack()
        self._response: Response | None = None

    @property
    def is_untouched(self) -> bool:
        """Whether the head of the response has not arrived yet."""
        return self._response is None and not self.position and not self._version.etag

    def open(self) -> bool:
        """Request the file, unless it is being read. Return whether the head of the response has arrived now.

        Raises:
            TransferError: The response says that the file has another size than listed.
            HTTPError: The request failed. This is the base class of urllib3's errors.
        """
        if self.position:
            self._idle = max(self._idle, time.monotonic() - self._read_at)
            return False
        if self._response is not None:
            return False
        response = self._stack.enter_context(self._open_stream())
        self._version.begin(response)
        self._response = response
        self._opened_at = time.monotonic()
        return True

    def read(self, part: ByteRange, write: Write) -> None:
        """Write the next part.

        Raises:
            TransferError: The file is longer or shorter than listed, changed, or the connection keeps breaking.
        """
        missing = part
        failures = 0
        while missing.size:
            try:
                response = self._resume(missing.start) if self._response is None else self._response
                missing = self._reads.copy(response, missing, write, part.start)
            except Urllib3TimeoutError:
                raise
            except HTTPError as error:
                if not self._version.can_resume:
                    raise self._cut_off_error(missing.start) from error
            if missing.size:
                failures += 1
                self.close()
                if not self._version.can_resume:
                    raise self._cut_off_error(missing.start)
                if failures == MAX_ATTEMPTS:
                    raise self._version.file.broken_error()
                self._reads.pause(failures - 1.0)
        self.position = part.stop
        self._read_at = time.monotonic()
        if part.stop == self._version.file.size:
            self._require_end()

    def _cut_off_error(self, received: int) -> TransferError:
        return self._version.file.cut_off_error(received, time.monotonic() - self._opened_at, self._idle)

    def _resume(self, start: int) -> Response:
        """Request the rest of the file, as far as the server still has the version that was read.

        Raises:
            TransferError: The server has another version now, or cannot send the rest.
            HTTPError: The request failed.
        """
        rest = ByteRange(start, self._version.file.size)
        status = 0
        try:
            response = self._stack.enter_context(self._version.request(rest))
            status = response.status
            if is_busy(response):
                raise HTTPError(f"status {status}")
            self._version.require_part(rest, response)
        except UnsupportedDownloadError as error:
            raise self._version.mismatch_error(status) from error
        self._response = response
        return response

    def _require_end(self) -> None:
        """Require that nothing follows the last part.

        Raises:
            TransferError: The file is longer than listed.
        """
        if self._response is not None and self._response.read1(1):
            raise self._version.file.wrong_size_error("has more")

    def close(self) -> None:
        """Close the connection."""
        self._response = None
        self._stack.close()
