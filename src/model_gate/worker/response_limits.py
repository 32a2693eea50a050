"""Limits the bytes and the duration of every HTTP response in this process, whichever library sends the request.

MLflow and the libraries of the stores read responses with `http.client`, and most of them through urllib3. This module
counts the bytes that arrive from the socket, then the bytes that urllib3 has decompressed, then the values of JSON
texts. A response that exceeds a limit ends with a TransferError. Interim responses (1xx) are skipped, so that they are
never taken for the final response. Bytes that arrive together with a response, but after its complete body, are kept
in its attribute `extra`.
"""

from __future__ import annotations

import functools
import io
import json
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import BadStatusLine, HTTPConnection, HTTPResponse, IncompleteRead
from typing import Any

import urllib3.response
from urllib3.exceptions import InvalidChunkLength

from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.wording import byte_count, plural, printable
from model_gate.errors import ModelGateError, TransferError

_SENDER = "The server "
_REMEDY = "Check the server: it sends more than an MLflow server would."
# Bytes that are decompressed at once if the caller reads the whole body.
_STEP_BYTES = 256 * 1024
# Bytes on the wire besides the body: the head of the response, and the framing of its chunks, which can be as long as
# their content.
_HEAD_BYTES = 1024 * 1024
_FRAMING_FACTOR = 2
# A silence of more than 18 s does not count as slow sending, because the server may be reading the file from its store.
# This holds for two silences in a response: before its head and before its body. A silence that is longer than the
# timeout of the request is an error anyway.
_PAUSE_SECONDS = 18.0
_MAX_PAUSES = 2
# The head of a response that is no error page of the server.
_OTHER_RESPONSE = re.compile(rb"HTTP/1\.[01] [1-4]\d\d ")


class _Context(threading.local):
    """The limits of the responses that a thread requests.

    Attributes:
        file_bytes: Maximum size of a response in bytes, None outside a `downloading` block.
        file: Text for error messages that names the file, "" outside a `downloading` block.
        listing: The number of JSON values that the listing in progress may still have, None outside a block of a
            `ListingAllowance`.
    """

    file_bytes: int | None = None
    file: str = ""
    listing: _Allowance | None = None


@dataclass
class _Allowance:
    """The number of JSON values that the remaining responses may have together. Several threads may share it."""

    remaining: int


class _Meter:
    """The number of bytes that the process has received."""

    def __init__(self) -> None:
        self.received = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.received += count


_context = _Context()


@contextmanager
def downloading(size: int, path: str = "", limits: Limits = LIMITS) -> Iterator[None]:
    """Allow this thread's responses inside the block to be as large as a file of `size` bytes.

    `path` is the path of the file for error messages, "" to keep the path of an outer block.
    Threads that a library starts keep the usual limit for responses. It is enough for the parts that they request.
    """
    before = _context.file_bytes, _context.file
    _context.file_bytes = size + limits.file_slack
    if path:
        _context.file = f" for {printable(path)}, whose listed size is {byte_count(size)}"
    try:
        yield
    finally:
        _context.file_bytes, _context.file = before


class ListingAllowance:
    """The number of JSON values that the responses of a whole listing may have, in all its threads together."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._allowance = _Allowance(limits.listing_values)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Count the JSON values that this thread parses inside the block."""
        before = _context.listing
        _context.listing = self._allowance
        try:
            yield
        finally:
            _context.listing = before


class ResponseLimits:
    """Replaces the response classes of `http.client` and urllib3 in this process, and the JSON decoder's entry point.

    urllib3 looks its class up for each response, so connections of all libraries use the replacement. `install` is
    called once, at the start of the worker; `remove` restores the classes for tests.
    """

    def __init__(self, limits: Limits = LIMITS, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._meter = _Meter()
        self._originals = (HTTPConnection.response_class, urllib3.response.HTTPResponse, json.JSONDecoder.decode)

    def install(self) -> None:
        """Replace the response classes and the JSON decoder's `decode`."""
        raw_class, _, decode = self._originals
        max_bytes = {"max_bytes": staticmethod(self._limit)}
        HTTPConnection.response_class = _raw_response_class(raw_class, self._stream)
        urllib3.response.HTTPResponse = type("LimitedResponse", (_LimitedResponse,), max_bytes)  # type: ignore[assignment,misc]
        json.JSONDecoder.decode = _limited_decode(decode, self._limits.response_values)  # type: ignore[method-assign]

    def remove(self) -> None:
        """Restore the original response classes and the original `decode`."""
        HTTPConnection.response_class, urllib3.response.HTTPResponse, json.JSONDecoder.decode = self._originals  # type: ignore[misc,method-assign]

    def _stream(self, stream: io.RawIOBase) -> _CountedStream:
        max_bytes = self._limit() * _FRAMING_FACTOR + _HEAD_BYTES
        return _CountedStream(stream, max_bytes, self._limits, self._meter, self._clock)

    def _limit(self) -> int:
        limit = _context.file_bytes
        return self._limits.response_bytes if limit is None else limit


class _CountedStream(io.RawIOBase):
    """The bytes of one response from the socket. Too many bytes or a slow response end with a TransferError."""

    def __init__(
        self, stream: io.RawIOBase, limit: int, limits: Limits, meter: _Meter, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._limit = limit
        self._remaining = limit
        self._slow_seconds = limits.slow_seconds
        self._slow_bytes = limits.slow_seconds * limits.slow_bytes_per_second
        self._meter = meter
        self._clock = clock
        self._pauses = 0
        self._is_ended = False
        # The time measurement starts with the first byte.
        self._is_started = False
        # Seconds spent in reads, and bytes received by the process before them, since the last measurement of the rate.
        self._waited = 0.0
        self._received_before = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`, and return the number of bytes; 0 is the end of the stream.

        Raises:
            TransferError: The response is too large or too slow.
        """
        if self._is_ended:
            return 0
        start = self._clock()
        count = self._stream.readinto(buffer) or 0
        self._remaining -= count
        if self._remaining < 0:
            raise too_large(self._limit)
        self._meter.add(count)
        self._require_progress(self._clock() - start)
        return count

    def _require_progress(self, waited: float) -> None:
        """Require that enough bytes arrive while somebody waits for them.

        The time between two reads does not count: then this process waits for another server.
        """
        is_first, self._is_started = not self._is_started, True
        if not is_first and waited > _PAUSE_SECONDS:
            self._pauses += 1
        if is_first or (waited > _PAUSE_SECONDS and self._pauses <= _MAX_PAUSES):
            self._waited, self._received_before = 0.0, self._meter.received
            return
        self._waited += waited
        if self._waited >= self._slow_seconds:
            received = self._meter.received - self._received_before
            if received < self._slow_bytes:
                raise TransferError(
                    f"The server sends too slowly: {byte_count(received)} in {self._waited:.0f} s.",
                    "Check the network and the server, and run the gate again.",
                )
            self._waited, self._received_before = 0.0, self._meter.received

    def end(self) -> None:
        """Read nothing more from the socket."""
        self._is_ended = True

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()
        super().close()


def _raw_response_class(
    original: type[HTTPResponse], counted: Callable[[io.RawIOBase], _CountedStream]
) -> type[HTTPResponse]:
    class CountedResponse(original):  # type: ignore[misc,valid-type]  # the class may be another library's
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._counted_stream = counted(self.fp.detach())
            self.fp: Any = _LineReader(self._counted_stream)
            self.extra = b""

        def begin(self) -> None:
            """Read the head. After it, each line must have an end."""
            reader = self.fp
            super().begin()
            reader.is_body = True

        def _read_status(self) -> tuple[str, int, str]:
            """Read a status line. `http.client` skips 100 only, and takes other interim responses for final ones.

            The final response would then be read as the response to the next request on the connection.

            Raises:
                BadStatusLine: The server switches to a protocol that nobody requested.
            """
            version, status, reason = super()._read_status()
            if status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise BadStatusLine(f"{status} {reason}")
            return version, HTTPStatus.CONTINUE if status < HTTPStatus.OK else status, reason

        def _read_next_chunk_size(self) -> int:
            """Read the size of a chunk. If it is malformed, the connection is not used again.

            The bytes after it stay in `extra` only if they are another response. gunicorn writes an error page into a
            body that takes longer than its limit, at any place.

            Raises:
                ValueError: The size is malformed.
            """
            is_response = _OTHER_RESPONSE.match(self.fp.peek()) is not None
            try:
                return _require_size(int(super()._read_next_chunk_size()))
            except ValueError:
                self.will_close = True
                if not is_response:
                    self.extra = b""
                raise

        def _close_conn(self) -> None:
            """Close the stream, and keep the bytes in its buffer in `extra`."""
            self._counted_stream.end()
            self.extra = self.fp.peek()
            super()._close_conn()

    return CountedResponse


class _LineReader(io.BufferedReader):
    """Reads a response. The size of a chunk is a line, and a size that breaks off can be a smaller one, such as 0.

    Attributes:
        is_body: Whether a line that breaks off is an error. `http.client` reports such a line of a head itself.
    """

    is_body = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self.is_body and line and len(line) != size and not line.endswith(b"\n"):
            raise IncompleteRead(line)
        return line


def _require_size(size: int) -> int:
    """Return the size of a chunk. Python reads a hexadecimal number with a minus sign too.

    Raises:
        ValueError: The size is negative.
    """
    if size < 0:
        raise ValueError(size)
    return size


class _LimitedResponse(urllib3.response.HTTPResponse):
    """A response of urllib3 whose body is decompressed in steps and counted.

    Attributes:
        max_bytes: Returns the maximum size of a response in bytes. Subclasses set it.
    """

    max_bytes: Callable[[], int]

    def __init__(self, *args: Any, **options: Any) -> None:
        self._limit = self._decoded_remaining = self._raw_remaining = self.max_bytes()
        super().__init__(*args, **options)
        if "Content-Encoding" in self.headers:
            # Compression makes data that cannot be compressed a little larger.
            self._raw_remaining += self._raw_remaining // 100 + _STEP_BYTES

    def read(self, amt: int | None = None, decode_content: bool | None = None, cache_content: bool = False) -> bytes:
        if amt is not None and amt >= 0:
            return bytes(super().read(amt, decode_content, cache_content))
        # urllib3 would decompress the whole body at once.
        read = functools.partial(super().read, _STEP_BYTES, decode_content)
        body = b"".join(iter(read, b""))
        if cache_content:
            self._body = body
        return body

    def stream(self, amt: int | None = _STEP_BYTES, decode_content: bool | None = None) -> Generator[bytes, None, None]:
        return super().stream(_STEP_BYTES if amt is None else amt, decode_content)

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        return bytes(super().read1(_STEP_BYTES if amt is None or amt < 0 else amt, decode_content))

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Generator[bytes, None, None]:
        amt = _STEP_BYTES if amt is None or amt < 0 else amt
        return super().read_chunked(amt, decode_content)

    def _update_chunk_length(self) -> None:
        super()._update_chunk_length()
        if self.chunk_left is not None and self.chunk_left < 0:
            self.close()
            raise InvalidChunkLength(self, str(self.chunk_left).encode())

    def _raw_read(self, *args: Any, **options: Any) -> bytes:
        return self._counted(super()._raw_read(*args, **options))

    def _handle_chunk(self, amt: int | None) -> bytes:
        return self._counted(super()._handle_chunk(amt))

    def _counted(self, data: bytes) -> bytes:
        # A caller that does not decompress the body receives these bytes.
        self._raw_remaining -= len(data or b"")
        if self._raw_remaining < 0:
            raise self._too_large()
        return data

    def _decode(self, *args: Any, **options: Any) -> bytes:
        decoded: bytes = super()._decode(*args, **options)
        self._decoded_remaining -= len(decoded)
        if self._decoded_remaining < 0:
            raise self._too_large()
        return decoded

    def _too_large(self) -> TransferError:
        # urllib3 closes the connection only after errors of its own reads.
        self.close()
        return too_large(self._limit)


def _limited_decode(original: Callable[..., Any], max_values: int) -> Callable[..., Any]:
    """Return a replacement of `JSONDecoder.decode` that counts the values of a JSON text before it parses the text."""

    @functools.wraps(original)
    def decode(self: json.JSONDecoder, s: str, *args: Any, **options: Any) -> Any:
        # Each value follows one of these characters. They also count inside strings, so the number may be too high.
        values = s.count(",") + s.count("[") + s.count("{")
        listing = _context.listing
        if values > max_values:
            raise TransferError(f"The server sends a response of {plural(values, 'JSON value')}.", _REMEDY)
        if listing is not None:
            listing.remaining -= values
            if listing.remaining < 0:
                raise TransferError("The server sends a listing of too many JSON values.", _REMEDY)
        return original(self, s, *args, **options)

    return decode


def sent_by(store: object, error: ModelGateError) -> ModelGateError:
    """Return an error of a response's size or duration with the store as the sender. Other errors do not change."""
    if not isinstance(error, TransferError) or not error.message.startswith(f"{_SENDER}sends "):
        return error
    message = f"The store {store} {error.message.removeprefix(_SENDER)}"
    return TransferError(message, "Check the address of the store, and the proxies in front of it.")


def too_large(limit: int) -> TransferError:
    """Return the error for a response of more than `limit` bytes."""
    return TransferError(f"The server sends a response of more than {byte_count(limit)}{_context.file}.", _REMEDY)
