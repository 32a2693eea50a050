"""The parts of one file: no request after the end of the reads, and true errors if the server cannot resume."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ReadTimeoutError

from model_gate.errors import TransferError
from model_gate.worker.transfer.byte_range import ByteRange
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter
from model_gate.worker.transfer.file_parts import FileParts
from model_gate.worker.transfer.file_version import FileRequests
from model_gate.worker.transfer.listed_file import ListedFile
from model_gate.worker.transfer.range_download import UnsupportedDownloadError

CONTENT = bytes(range(250)) * 16
PART = 1000


class Response:
    """A response with the given body."""

    def __init__(self, status: int, body: bytes, etag: str, start: int | None = None) -> None:
        self.status = status
        place = {} if start is None else {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{len(CONTENT)}"}
        self.headers: Mapping[str, str] = CaseInsensitiveDict({"ETag": etag, **place})
        self._body = body

    def read1(self, amount: int) -> bytes:
        data, self._body = self._body[:amount], self._body[amount:]
        return data


Respond = Callable[[Mapping[str, str]], Response]


def in_context(respond: Respond) -> Callable[[Mapping[str, str]], Iterator[Response]]:
    @contextmanager
    def request(headers: Mapping[str, str]) -> Iterator[Response]:
        yield respond(headers)

    return request  # type: ignore[return-value]


def parts_of(stream: Response, respond: Respond, limiter: ConcurrencyLimiter) -> FileParts:
    request = in_context(respond)
    requests = FileRequests(lambda: in_context(lambda _: stream)({}), request)  # type: ignore[arg-type, return-value]
    return FileParts(ListedFile("model.bin", len(CONTENT)), requests, limiter)


def near() -> ConcurrencyLimiter:
    limiter = ConcurrencyLimiter()
    limiter.is_near = True
    return limiter


def read(parts: FileParts, start: int, directory: Path) -> bytes:
    destination = directory / str(start)
    destination.touch()
    parts.read(ByteRange(start, start + PART), str(destination), lambda _: None)
    return destination.read_bytes()


def range_of(headers: Mapping[str, str]) -> tuple[int, int]:
    start, last = (int(number) for number in headers["Range"].removeprefix("bytes=").split("-"))
    return start, last + 1


def with_new_etag(headers: Mapping[str, str]) -> Response:
    start, stop = range_of(headers)
    return Response(206, CONTENT[start:stop], '"2"', start)


def signed_for_one_range(_: Mapping[str, str]) -> Response:
    raise UnsupportedDownloadError("The presigned URL is valid for one range only.")


@pytest.mark.parametrize(
    "respond, is_change",
    [
        (with_new_etag, False),
        (lambda _: Response(200, CONTENT, '"1"'), False),
        (signed_for_one_range, False),
        (lambda _: Response(412, b"", ""), True),
    ],
)
def test_response_that_breaks_off_is_called_a_change_only_if_the_server_says_so(
    tmp_path: Path, respond: Respond, is_change: bool
) -> None:
    parts = parts_of(Response(200, CONTENT[:1500], '"1"'), respond, near())
    assert read(parts, 0, tmp_path) == CONTENT[:PART]
    with pytest.raises(TransferError) as raised:
        read(parts, PART, tmp_path)
    text = "changed while it was read" if is_change else "broke off before its end, and the server cannot resume it"
    assert text in raised.value.message


def with_status_200(headers: Mapping[str, str]) -> Response:
    start, stop = range_of(headers)
    return Response(200, CONTENT[start:stop], '"1"', start)


def at_another_place(headers: Mapping[str, str]) -> Response:
    start, stop = range_of(headers)
    return Response(206, CONTENT[start:stop], '"1"', start - 1)


def compressed(headers: Mapping[str, str]) -> Response:
    start, stop = range_of(headers)
    response = Response(206, CONTENT[start:stop], '"1"', start)
    response.headers = CaseInsensitiveDict({**response.headers, "Content-Encoding": "br"})
    return response


def with_another_length(headers: Mapping[str, str]) -> Response:
    start, stop = range_of(headers)
    response = Response(206, CONTENT[start:stop], '"1"', start)
    response.headers = CaseInsensitiveDict({**response.headers, "Content-Length": str(len(CONTENT))})
    return response


@pytest.mark.parametrize("respond", [with_status_200, at_another_place, with_another_length, compressed])
def test_response_that_is_not_the_missing_part_is_an_error(tmp_path: Path, respond: Respond) -> None:
    parts = parts_of(Response(200, CONTENT[:1500], '"1"'), respond, near())
    assert read(parts, 0, tmp_path) == CONTENT[:PART]
    with pytest.raises(TransferError, match="broke off before its end"):
        read(parts, PART, tmp_path)


@pytest.mark.timeout(10)  # without the error, the second read waits for the first one
def test_nothing_is_read_after_an_error(tmp_path: Path) -> None:
    requested: list[str] = []

    def respond(headers: Mapping[str, str]) -> Response:
        requested.append(headers["Range"])
        return with_new_etag(headers)

    parts = parts_of(Response(200, CONTENT[:1500], '"1"'), respond, near())
    read(parts, 0, tmp_path)
    for start in (PART, 2 * PART):
        with pytest.raises(TransferError, match="broke off before its end"):
            read(parts, start, tmp_path)
    assert requested == ["bytes=1500-3999"]


class SizedResponse(Response):
    """A response with status 200 that names the length of its body."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__(status, body, '"1"')
        self.headers = CaseInsensitiveDict({**self.headers, "Content-Length": str(len(body))})


@pytest.mark.parametrize(
    "stream, text",
    [
        (SizedResponse(CONTENT + b"!"), "model.bin has 4001 bytes, but was listed with 4,000"),
        (SizedResponse(CONTENT[:-1]), "model.bin has 3999 bytes, but was listed with 4,000"),
        (SizedResponse(CONTENT, 206), "answers a request for model.bin with status 206"),
        (SizedResponse(CONTENT, 302), "answers a request for model.bin with status 302"),
    ],
)
def test_head_that_does_not_fit_the_file_is_an_error_before_the_body_is_read(
    tmp_path: Path, stream: Response, text: str
) -> None:
    parts = parts_of(stream, with_new_etag, near())
    with pytest.raises(TransferError, match=text):
        read(parts, 0, tmp_path)
    assert (tmp_path / "0").read_bytes() == b""


@pytest.mark.parametrize(
    "body, text", [(CONTENT + b"!", "has more"), (CONTENT[:-1], "ended after 3,999")], ids=["longer", "shorter"]
)
def test_stream_of_another_size_than_listed_is_an_error(tmp_path: Path, body: bytes, text: str) -> None:
    parts = parts_of(Response(200, body, ""), with_new_etag, near())
    for start in range(0, len(CONTENT) - PART, PART):
        read(parts, start, tmp_path)
    with pytest.raises(TransferError, match=text):
        read(parts, len(CONTENT) - PART, tmp_path)


def test_end_of_a_stream_that_was_not_read_for_long_is_explained(tmp_path: Path) -> None:
    parts = parts_of(Response(200, CONTENT[:1500], ""), with_new_etag, near())
    read(parts, 0, tmp_path)
    time.sleep(5.1)
    with pytest.raises(TransferError, match=r"and \d s, .* Model Gate did not read from it for \d s") as raised:
        read(parts, PART, tmp_path)
    assert "--download-dir" in raised.value.remedy


@contextmanager
def stopping(parts: FileParts) -> Iterator[None]:
    """End the reads of a file after a block, so that no thread waits for ever if the block fails."""
    try:
        yield
    finally:
        parts.stop()


def timeout() -> ReadTimeoutError:
    return ReadTimeoutError(None, "/model.bin", "Read timed out.")  # type: ignore[arg-type]


class SilentBody(Response):
    """A response of which nothing but the head arrives until `may_arrive` is set, or a second has passed."""

    def __init__(self, response: Response, may_arrive: threading.Event) -> None:
        self.status, self.headers, self._body = response.status, response.headers, response._body
        self._may_arrive = may_arrive

    def read1(self, amount: int) -> bytes:
        if not self._may_arrive.wait(1):
            raise timeout()
        return super().read1(amount)


def ranges_with_silent_first_body(requested: list[int], may_arrive: threading.Event) -> Respond:
    def respond(headers: Mapping[str, str]) -> Response:
        start, stop = range_of(headers)
        requested.append(start)
        response = Response(206, CONTENT[start:stop], '"1"', start)
        return response if len(requested) > 1 else SilentBody(response, may_arrive)

    return respond


@pytest.mark.timeout(20)
def test_later_parts_are_requested_before_the_body_of_the_first_range_has_arrived(tmp_path: Path) -> None:
    requested: list[int] = []
    may_arrive = threading.Event()
    respond = ranges_with_silent_first_body(requested, may_arrive)
    parts = parts_of(Response(200, CONTENT, '"1"'), respond, ConcurrencyLimiter())
    read(parts, 0, tmp_path)
    with ThreadPoolExecutor(1) as pool, stopping(parts):
        first = pool.submit(read, parts, 2 * PART, tmp_path)
        while not requested:
            time.sleep(0.01)
        assert read(parts, 3 * PART, tmp_path) == CONTENT[3 * PART : 4 * PART]
        may_arrive.set()
        assert first.result(10) == CONTENT[2 * PART : 3 * PART]
    assert requested == [2 * PART, 3 * PART]


@pytest.mark.timeout(20)
def test_range_whose_body_does_not_arrive_is_an_error(tmp_path: Path) -> None:
    respond = ranges_with_silent_first_body([], threading.Event())
    parts = parts_of(Response(200, CONTENT, '"1"'), respond, ConcurrencyLimiter())
    read(parts, 0, tmp_path)
    for start in (2 * PART, PART):
        with pytest.raises(ReadTimeoutError):
            read(parts, start, tmp_path)


def silent(_: Mapping[str, str]) -> Response:
    raise timeout()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("respond", [silent, with_new_etag, with_status_200, signed_for_one_range])
def test_stream_goes_on_if_the_first_range_is_not_answered_with_a_part(tmp_path: Path, respond: Respond) -> None:
    requested: list[int] = []

    def record(headers: Mapping[str, str]) -> Response:
        requested.append(range_of(headers)[0])
        return respond(headers)

    parts = parts_of(Response(200, CONTENT, '"1"'), record, ConcurrencyLimiter())
    read(parts, 0, tmp_path)
    with ThreadPoolExecutor(1) as pool, stopping(parts):
        third = pool.submit(read, parts, 2 * PART, tmp_path)
        while not requested:
            time.sleep(0.01)
        assert read(parts, PART, tmp_path) == CONTENT[PART : 2 * PART]
        assert third.result(10) == CONTENT[2 * PART : 3 * PART]
    assert requested == [2 * PART]


def test_server_with_new_etags_cannot_send_a_part_again(tmp_path: Path) -> None:
    parts = parts_of(Response(200, CONTENT, '"1"'), with_new_etag, near())
    for start in range(0, len(CONTENT), PART):
        read(parts, start, tmp_path)
    (tmp_path / "again").touch()
    with pytest.raises(TransferError, match=r"cannot send parts of model\.bin again"):
        parts.read_again(ByteRange(5, 10), str(tmp_path / "again"))


class OneSlot(ConcurrencyLimiter):
    """A limiter of a far server that grants slots only while `is_open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = threading.Event()
        self.is_open.set()
        self.is_waiting = threading.Event()

    @contextmanager
    def request(self, size: int) -> Iterator[None]:
        if not self.is_open.is_set():
            self.is_waiting.set()
        self.is_open.wait(10)
        with super().request(size):
            yield


def test_part_that_waits_for_a_slot_is_not_requested_after_the_end_of_the_reads(tmp_path: Path) -> None:
    requested: list[int] = []

    def respond(headers: Mapping[str, str]) -> Response:
        start, stop = range_of(headers)
        requested.append(start)
        return Response(206, CONTENT[start:stop], '"1"', start)

    limiter = OneSlot()
    parts = parts_of(Response(200, CONTENT, '"1"'), respond, limiter)
    read(parts, 0, tmp_path)
    limiter.is_open.clear()
    with ThreadPoolExecutor(1) as pool:
        # The first part was read from the stream, so this one is the first range.
        waiting = pool.submit(read, parts, 2 * PART, tmp_path)
        assert limiter.is_waiting.wait(10)
        parts.stop()
        limiter.is_open.set()
        with pytest.raises(TransferError, match="was ended"):
            waiting.result(10)
    assert requested == []
