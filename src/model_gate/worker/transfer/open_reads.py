"""The reads of one file by several threads: whether they go on, and the error that has ended them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from model_gate.worker.transfer.byte_range import ByteRange
from model_gate.worker.transfer.range_download import CHUNK_BYTES, Response

Write = Callable[[bytes, int], None]


class OpenReads:
    """The reads of one file. An error of one thread ends the reads of all threads.

    Attributes:
        changed: Is notified when the reads end. Its lock guards the attributes of this object.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._failure: Exception | None = None

    def end(self, error: Exception) -> None:
        """End all reads with an error, unless an earlier error has ended them."""
        with self.changed:
            self._failure = self._failure or error
            self.changed.notify_all()

    @property
    def are_ended(self) -> bool:
        """Whether an error has ended the reads."""
        return self._failure is not None

    def require_open(self) -> None:
        """Raise the error that has ended the reads, if there is one."""
        if self._failure is not None:
            raise self._failure

    def pause(self, seconds: float) -> None:
        """Wait before another attempt.

        Raises:
            Exception: The error that has ended the reads meanwhile.
        """
        with self.changed:
            self.changed.wait_for(lambda: self.are_ended, seconds)
            self.require_open()

    def copy(self, response: Response, missing: ByteRange, write: Write, origin: int) -> ByteRange:
        """Write the next bytes of a response, and return the part that is still missing: empty unless it broke off.

        Args:
            response: The response, whose next byte is the first one of `missing`.
            missing: The bytes to write.
            write: Called with bytes and their offset from `origin`.
            origin: Offset in the file of the first byte of the destination.

        Raises:
            HTTPError: The connection timed out, or broke before the first byte.
            Exception: The error that has ended the reads meanwhile.
        """
        start = missing.start
        try:
            while missing.size and (data := response.read1(min(CHUNK_BYTES, missing.size))):
                self.require_open()
                write(data, missing.start - origin)
                missing = missing.after(len(data))
        except Urllib3TimeoutError:
            raise
        except HTTPError:
            if missing.start == start:
                raise
        return missing
