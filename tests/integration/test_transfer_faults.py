"""Faults of a transfer are errors or do not change the verdict: on every server and store, whole and in windows.

The right file differs from the left one in its last byte. A response with a fault has bytes of the left file, where the
fault permits it: a gate that accepts the response calls the files equal.
"""

from __future__ import annotations

import itertools
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.location import Location
from model_gate.domain.windows import Windows
from model_gate.errors import ModelGateError
from model_gate.sources.model_source import AccessContext, DirectorySource, ServerSource
from model_gate.sources.storage import Storage
from tests.support.faulty_server import Call, Fault
from tests.support.faulty_store import SECRET
from tests.support.faulty_workspace import FaultyWorkspace
from tests.support.gate_in_windows import (
    MLMODEL,
    SERVERS,
    STORES,
    WINDOW,
    WINDOWS,
    WORKSPACES,
    Gate,
    open_gate,
    range_of,
    serve,
)

MIB = 1024 * 1024
_BYTES = random.Random(1).randbytes(17 * MIB + 1)


@dataclass(frozen=True)
class Way:
    """A way to read a file.

    Attributes:
        size: Size of the file.
        windows: What the gate reads in windows.
        first: Bytes of the first response before it breaks, in faults of later responses.
    """

    size: int
    windows: Windows
    first: int


# Files of less than 16 MiB are requested in one piece, larger ones in ranges.
WAYS = {
    "small": Way(70_000, Windows(), 20_000),
    "ranges": Way(len(_BYTES), Windows(), 3 * MIB + 5),
    "windows": Way(20 * WINDOW + 123, WINDOWS, 3 * WINDOW + 5),
}


def left_of(way: Way) -> bytes:
    return _BYTES[: way.size]


def right_of(way: Way) -> bytes:
    left = left_of(way)
    return left[:-1] + bytes([left[-1] ^ 1])


def left_part(call: Call) -> tuple[bytes, int, int]:
    """Return the requested bytes of the left file, with their start and stop."""
    size = len(call.file)
    start, stop = range_of(call, size)
    return _BYTES[start:stop], start, stop


def short(call: Call) -> None:
    part, start, stop = left_part(call)
    is_part = "Range" in call.request.headers
    content_range = f"bytes {start}-{stop - 1}/{len(call.file)}" if is_part else ""
    call.send(part[:-1], 206 if is_part else 200, etag='"1"', content_range=content_range)


def cut(call: Call) -> None:
    size = range_of(call, len(call.file))
    serve(call, until=(size[1] - size[0]) // 2)


def reset(call: Call) -> None:
    cut(call)
    call.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    call.handler.connection.close()


def hang_up(call: Call) -> None:
    call.close()


def stall(call: Call) -> None:
    part, _, __ = left_part(call)
    call.send(part[: len(part) // 2], content_length=str(len(part)), etag='"1"')
    call.server.is_closing.wait(20)


def status(code: int) -> Fault:
    body = b"<Error><Code>SlowDown</Code></Error>"
    return lambda call: call.send(b"" if code == 204 else body, code, retry_after="0")


def redirect(call: Call) -> None:
    """Redirect to the left file at another origin."""
    url = call.server.url
    other = url.replace("127.0.0.1", "localhost") if "127.0.0.1" in url else url.replace("localhost", "127.0.0.1")
    call.send(b"", 301, location=f"{other}{call.handler.path.replace('Right', 'Left')}")


def other_etag(call: Call) -> None:
    send_left_part(call, etag='"2"')


def no_etag(call: Call) -> None:
    send_left_part(call, etag="")


def other_length(call: Call) -> None:
    send_left_part(call, total=1)


def other_place(call: Call) -> None:
    send_left_part(call, shift=1)


def encoded(call: Call) -> None:
    send_left_part(call, content_encoding="x-unknown")


def whole_for_part(call: Call) -> None:
    part, _, __ = left_part(call)
    call.send(part, 200, etag='"1"') if "Range" in call.request.headers else serve(call)


def send_left_part(
    call: Call, *, total: int = 0, shift: int = 0, encode: Callable[[bytes], bytes] = bytes, **headers: str
) -> None:
    """Send the requested part of the left file. The whole right file is sent as it is."""
    if "Range" not in call.request.headers:
        serve(call)
        return
    part, start, stop = left_part(call)
    content_range = f"bytes {start + shift}-{stop - 1 + shift}/{len(call.file) + total}"
    call.send(encode(part), 206, **({"etag": '"1"', "content_range": content_range} | headers))


def instead_of_whole(code: int) -> Fault:
    """Return a fault that answers a request for the whole file with this status, and with the left file."""

    def respond(call: Call) -> None:
        if "Range" in call.request.headers:
            serve(call)
            return
        left, _, stop = left_part(call)
        # The size of the right file does not fit.
        content_range = f"bytes 0-{stop - 1}/{stop + 1}" if code == 206 else ""
        call.send(left, code, etag='"1"', content_range=content_range)

    return respond


def longer_part(call: Call) -> None:
    send_left_part(call, encode=lambda part: part + b"x")


def chunks_beyond_the_part(call: Call) -> None:
    def chunks(part: bytes) -> bytes:
        return b"%x\r\n%s\r\n1\r\nx\r\n0\r\n\r\n" % (len(part), part)

    send_left_part(call, encode=chunks, content_length="", transfer_encoding="chunked")


def several_parts(call: Call) -> None:
    send_left_part(call, content_type="multipart/byteranges; boundary=x")


# Faults of every response.
LASTING: dict[str, Fault] = {
    "a short body": short,
    "a body that is cut": cut,
    "a reset connection": reset,
    "a closed connection": hang_up,
    "status 503": status(503),
    "status 429": status(429),
    "status 403": status(403),
    "status 404": status(404),
    "status 204": status(204),
    "a redirect": redirect,
}
# Faults of every response, whose head does not fit the request or the body.
MISLEADING: dict[str, Fault] = {
    "status 206 for the whole file": instead_of_whole(206),
    "status 226 for the whole file": instead_of_whole(226),
    "a redirect to nowhere": instead_of_whole(302),
    "a longer part": longer_part,
    "chunks beyond the part": chunks_beyond_the_part,
    "several parts": several_parts,
}
# Faults of every later response, which has a part of another file.
MIXING: dict[str, Fault] = {
    "another ETag": other_etag,
    "no ETag": no_etag,
    "another length": other_length,
    "another place": other_place,
    "another encoding": encoded,
    "status 200 for a part": whole_for_part,
    "a short part": short,
}
# Faults of one later response.
PASSING: dict[str, Fault] = {
    "a cut": cut,
    "a reset": reset,
    "a closed connection": hang_up,
    "status 503": status(503),
    "status 429": status(429),
    "status 403": status(403),
}


def without_ranges(call: Call) -> None:
    call.send(call.file)


def with_new_etags(call: Call) -> None:
    serve(call, f'"{time.monotonic_ns()}"')


def without_service_of_ranges(call: Call) -> None:
    status(403)(call) if "Range" in call.request.headers else serve(call)


# What a server may do. Files can be compared in spite of it.
HARMLESS: dict[str, Fault] = {
    "no ranges": without_ranges,
    "a new ETag in each response": with_new_etags,
    "ranges are refused": without_service_of_ranges,
}


def later(fault: Fault, first: int, *, times: int | None) -> Fault:
    """Return a fault of later responses: of all, or of `times`. The first response breaks after `first` bytes."""
    count = itertools.count()
    lock = threading.Lock()

    def respond(call: Call) -> None:
        with lock:
            number = next(count)
        if number == 0:
            serve(call, until=first)
        elif times is None or number <= times:
            fault(call)
        else:
            serve(call)

    return respond


KINDS = [
    pytest.param(kind, marks=pytest.mark.xdist_group(f"faults_{kind}")) for kind in (*SERVERS, *STORES, *WORKSPACES)
]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def gate(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with open_gate(kind, tmp_path_factory.mktemp("home")) as opened:
        yield opened


@dataclass(frozen=True)
class Case:
    """A comparison with a fault in the responses for the right file.

    Attributes:
        name: Name of the way and of the fault.
        way: The way to read the files.
        fault: Responds to the requests for the content of the right file.
        right: Content of the right file.
        outcomes: The permitted verdicts: `equal`, `different` or `error`.
    """

    name: str
    way: Way
    fault: Fault
    right: bytes
    outcomes: tuple[str, ...]


# DBFS has no ranges. The Databricks SDK resumes a response only if the store sends the time of the last change.
NOT_RESUMED = {"dbfs", "files-api", "files-plain"}


def cases(kind: str, name: str, way: Way) -> list[Case]:
    """Return the comparisons of a way that do not wait for a response that stalls."""
    left, right = left_of(way), right_of(way)
    result = [Case(f"{name}: {fault}", way, LASTING[fault], right, ("error",)) for fault in LASTING]
    for fault, respond in MISLEADING.items():
        result.append(Case(f"{name}: {fault}", way, respond, right, ("different", "error")))
    for fault, respond in MIXING.items():
        mixing = later(respond, way.first, times=None)
        result.append(Case(f"{name}, later: {fault}", way, mixing, right, ("different", "error")))
    for fault, respond in PASSING.items():
        # A store rejects a login with 403, and the login of a test is not renewed. A tracking server gets the second
        # request for a small file from MLflow, which does not repeat a request whose response breaks.
        is_last = name == "small" and kind in SERVERS and fault in {"a cut", "a reset"}
        more = ("error",) if fault == "status 403" or kind in NOT_RESUMED or is_last else ()
        for content, verdict in ((left, "equal"), (right, "different")):
            passing = later(respond, way.first, times=1)
            result.append(Case(f"{name}, once, {verdict}: {fault}", way, passing, content, (verdict, *more)))
    for fault, respond in HARMLESS.items():
        # A store that answers 403 rejects the login, and no other request for the file is sent.
        more = ("error",) if name == "ranges" and kind in STORES and fault == "ranges are refused" else ()
        for content, verdict in ((left, "equal"), (right, "different")):
            result.append(Case(f"{name}, {verdict}: {fault}", way, respond, content, (verdict, *more)))
    return result


def problems(gate: Gate, tried: list[Case], directory: Path) -> dict[str, str]:
    """Compare a local left file with the right file of each case. Return what is wrong with each outcome."""
    for size in {case.way.size for case in tried}:
        model = directory / str(size)
        model.mkdir(parents=True)
        (model / "MLmodel").write_bytes(MLMODEL)
        (model / "model.bin").write_bytes(_BYTES[:size])
    gate.server.files.clear()
    gate.server.faults = dict(gate.server_faults)
    for number, case in enumerate(tried):
        # Redirects lead to the left file.
        gate.add(f"Left{number}", {"model.bin": left_of(case.way)}, serve)
        gate.add(f"Right{number}", {"MLmodel": MLMODEL, "model.bin": case.right}, case.fault)
    # Most of the time, the comparisons wait before another attempt.
    with ThreadPoolExecutor(len(tried)) as pool:
        outcomes = pool.map(
            lambda number: outcome(gate, tried[number].way, f"Right{number}", directory), range(len(tried))
        )
    found = {case.name: problem(case, result) for case, result in zip(tried, outcomes, strict=True)}
    return {name: text for name, text in found.items() if text}


def outcome(gate: Gate, way: Way, name: str, models: Path) -> str | ModelGateError:
    """Return the verdict, or the error in its place."""
    directory = models / str(way.size)
    try:
        with Storage(None) as storage:
            local = DirectorySource(directory, Location(str(directory), local_path=directory), "local", storage)
            source = ServerSource(gate.client, Location(gate.location(name)), name, storage, AccessContext())
            pair = SelectedPair(SelectedModel(local), SelectedModel(source))
            (comparison,) = compare_models([pair], NoProgress(), windows=way.windows)
    except ModelGateError as error:
        return error
    if comparison.equals:
        return "equal"
    (difference,) = comparison.differences
    return "different" if difference.offset == way.size - 1 else f"different at {difference.offset}"


def problem(case: Case, result: str | ModelGateError) -> str:
    """Return what is wrong with an outcome, "" if it is right."""
    if isinstance(result, str):
        return "" if result in case.outcomes else result
    text = f"{result.message} {result.remedy} {result.detail}"
    is_named = "model.bin" in result.message
    if "error" not in case.outcomes or not is_named or not result.remedy or SECRET in text:
        return f"{type(result).__name__}: {result.message} {result.remedy}"
    return ""


@pytest.mark.parametrize("way", WAYS)
def test_fault_of_a_transfer_never_makes_files_equal(gate: Gate, kind: str, tmp_path: Path, way: str) -> None:
    tried = cases(kind, way, WAYS[way])
    # A server that throttles gets one request at a time, from the other comparisons too.
    throttled = [case for case in tried if "429" in case.name or "503" in case.name]
    others = [case for case in tried if case not in throttled]
    found = problems(gate, others, tmp_path / "others") | problems(gate, throttled, tmp_path / "throttled")
    assert not found, "\n".join(f"{name}: {text}" for name, text in found.items())


def test_response_that_stalls_is_an_error(gate: Gate, tmp_path: Path) -> None:
    # The worker of a workspace waits 20 s. `unit/worker/transfer/test_presigned_url.py` has a shorter limit.
    if isinstance(gate.server, FaultyWorkspace):
        return
    stalled = [Case(name, way, stall, right_of(way), ("error",)) for name, way in WAYS.items()]
    assert not problems(gate, stalled, tmp_path)
