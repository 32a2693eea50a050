"""An object store whose responses have no end ends a gate in an error, in bounded memory and time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.faulty_server import Call, Fault
from tests.support.faulty_store import FaultyStore
from tests.support.gates import GateResult, run
from tests.support.hostile import (
    bomb,
    compressed_endlessly,
    monitored,
    stream_endlessly,
    stream_without_length,
)

CLOUDS = ["s3", "azure", "lake", "google"]


@dataclass
class FailedCall(Call):
    """A call that gets an error status, whatever status is sent."""

    error_status: int = 500

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        super().send(body, self.error_status, **headers)


def failed(send: Fault, status: int) -> Fault:
    """Return a fault that responds like `send`, but with an error status."""
    return lambda call: send(FailedCall(call.server, call.handler, call.request, status))


def ten_gibibytes(call: Call) -> None:
    """Send bytes of a body of 10 GiB, until the client closes the connection."""
    call.send(b"", content_length=str(10 * 1024**3))
    with suppress(OSError):
        while not call.server.is_closing.is_set():
            call.handler.wfile.write(b"x" * 65_536)


def diff(directory: Path, cloud: str, fault: Callable[[Call], None], part: str) -> GateResult:
    """Compare two models in a store that responds with a fault to requests whose path or query has this part."""
    store = FaultyStore(cloud=cloud)
    trust = store.use_tls(directory)
    with store, monitored(directory) as usage:
        store.files = {"a/MLmodel": b"one", "b/MLmodel": b"two"}
        store.faults[part] = fault
        result = run(
            directory, "diff", store.location("a"), store.location("b"), environment={**store.variables, **trust}
        )
    usage.require_bounded()
    assert usage.seconds < 40
    return result


ENDLESS = {
    "403-length": failed(ten_gibibytes, 403),
    "500-chunks": failed(stream_endlessly, 500),
    "404-close": failed(stream_without_length, 404),
    "200-chunks": stream_endlessly,
}
# The client of S3 does not decompress.
COMPRESSED = {"403-gzip": failed(compressed_endlessly, 403), "403-bomb": failed(bomb(), 403)}


@pytest.mark.parametrize(
    "cloud, fault",
    [
        pytest.param(cloud, fault, id=f"{cloud}-{name}")
        for cloud in CLOUDS
        for name, fault in (ENDLESS if cloud == "s3" else ENDLESS | COMPRESSED).items()
    ],
)
def test_endless_response_to_a_listing_is_an_error_that_names_the_store(
    tmp_path: Path, cloud: str, fault: Callable[[Call], None]
) -> None:
    result = diff(tmp_path, cloud, fault, "/")
    word = "container" if cloud in {"azure", "lake"} else "bucket"
    result.require_error("TransferError", f"({word} bucket) sends a response of more than", "Check the address")


@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize(
    "fault",
    [failed(ten_gibibytes, 403), failed(stream_endlessly, 404)],
    ids=["403-length", "404-chunks"],
)
def test_endless_response_to_the_request_of_a_file_is_the_error_of_its_status(
    tmp_path: Path, cloud: str, fault: Callable[[Call], None]
) -> None:
    result = diff(tmp_path, cloud, fault, "/MLmodel")
    assert (result.exit_code, result.status) == (2, "error"), result
    assert "bucket)" in result.stderr
    assert "refuses to be read" in result.stderr or "has no such" in result.stderr
