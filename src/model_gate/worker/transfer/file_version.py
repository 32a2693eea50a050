"""The version of a file that is read part by part, and the requests for its parts.

All parts must be of one version: either parts of one response, or of responses with one strong ETag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from model_gate.domain.wording import printable
from model_gate.errors import TransferError
from model_gate.worker.transfer.byte_range import ByteRange, is_encoded, strong_etag
from model_gate.worker.transfer.concurrency import THROTTLING_STATUSES
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.range_download import Response, UnsupportedDownloadError

_WHOLE = 200
# With 200, 412 and 416, a server says that it has another version of the file, or does not serve ranges.
_STATUSES_OF_CHANGES = frozenset({412, 416})
_STATUSES_OF_PARTS = frozenset({_WHOLE, 206}) | _STATUSES_OF_CHANGES

OpenStream = Callable[[], AbstractContextManager[Response]]
RequestPart = Callable[[Mapping[str, str]], AbstractContextManager[Response]]


def _close_nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True)
class FileRequests:
    """How to request one file. Each context manager yields a response whose body is not read yet.

    Attributes:
        open_stream: Requests the whole file.
        part: Requests a range of the file, with these headers in addition to the usual ones; None if the server must
            not be asked for ranges.
        probe: Sends the first request for a range, while the server sends the stream; None to send it with `part`.
        close: Closes the connections of all requests.
    """

    open_stream: OpenStream
    part: RequestPart | None = None
    probe: RequestPart | None = None
    close: Callable[[], None] = _close_nothing


class FileVersion:
    """The version of a file that is read.

    Attributes:
        file: The file.
        etag: Strong ETag of the version; "" if it has none, or if no response has arrived yet.
        is_proven: Whether the server has sent a part of the version in a response of its own.
    """

    def __init__(self, file: ListedFile, requests: FileRequests) -> None:
        self.file = file
        self.etag = ""
        self.is_proven = False
        self._requests = requests

    def become(self, other: FileVersion) -> None:
        """Require from now on that all parts are of the version `other`."""
        self.etag = other.etag
        self.is_proven = other.is_proven

    @property
    def can_resume(self) -> bool:
        """Whether the server may be asked for parts of this version."""
        return self._requests.part is not None and bool(self.etag)

    def request(self, part: ByteRange) -> AbstractContextManager[Response]:
        """Send a request for a part of this version."""
        assert self._requests.part is not None  # noqa: S101  # for mypy
        return self._requests.part(self._headers(part))

    def probe(self, part: ByteRange) -> AbstractContextManager[Response]:
        """Send the first request for a part of this version, while the server sends the stream."""
        return self.request(part) if self._requests.probe is None else self._requests.probe(self._headers(part))

    def _headers(self, part: ByteRange) -> dict[str, str]:
        return {"Range": part.header, "If-Range": self.etag}

    def require_part(self, part: ByteRange, response: Response) -> None:
        """Require that a response is the requested part of this version.

        Raises:
            UnsupportedDownloadError: It is another part, or a part of another version.
            TransferError: The server refuses the request.
        """
        if response.status not in _STATUSES_OF_PARTS:
            raise self.file.refused_error(response.status)
        is_match = response.status == 206 and part.matches(response.headers, self.file.size)
        if not is_match or strong_etag(response.headers) != self.etag or is_encoded(response.headers):
            raise UnsupportedDownloadError(f"The response with status {response.status} is not {part.header}.")

    @staticmethod
    def require_end(missing: ByteRange, response: Response) -> None:
        """Require that nothing follows a part, unless bytes of the part are missing.

        Raises:
            UnsupportedDownloadError: The response is longer than the part, so it was not the part.
        """
        if not missing.size and response.read1(1):
            raise UnsupportedDownloadError(f"The response does not end at byte {missing.start:,}.")

    def begin(self, response: Response) -> None:
        """Begin to read the version that a response for the whole file contains.

        Raises:
            TransferError: The response is not the whole file, or says that the file has another size than listed.
        """
        if response.status != _WHOLE:
            raise self.file.refused_error(response.status)
        is_plain = not is_encoded(response.headers)
        length = response.headers.get("Content-Length", str(self.file.size))
        if is_plain and length != str(self.file.size):
            raise self.file.wrong_size_error(f"has {printable(length)}")
        self.etag = strong_etag(response.headers) if is_plain else ""

    def mismatch_error(self, status: int) -> TransferError:
        """Return the error for a response with this status that is not the rest of a response that broke off.

        Without a proof that the server sends parts, the response does not show that the file has changed: some servers
        ignore ranges, and others make a new ETag for each response.
        """
        is_changed = self.is_proven or status in _STATUSES_OF_CHANGES
        return self.file.changed_error() if is_changed else self.file.not_resumed_error()


def is_busy(response: Response) -> bool:
    """Return whether a later attempt of the same request may succeed."""
    return response.status in THROTTLING_STATUSES or response.status >= 500
