"""The client for files reads no more than a response may have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from model_gate.domain.limits import LIMITS
from model_gate.errors import TransferError
from model_gate.worker.transfer.http_client import HttpClient
from tests.support.faulty_server import ARTIFACTS, FaultyServer

# The client leaves its connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(files={"file": bytes(LIMITS.response_bytes)}) as started:
        yield started


def read(url: str) -> bytes:
    client = HttpClient.from_request(requests.Request("GET", url).prepare(), False, None)
    assert client is not None
    with client.get(url, {}) as response:
        return response.read()


def test_body_beyond_the_limit_of_responses_is_an_error(server: FaultyServer) -> None:
    url = f"{server.url}{ARTIFACTS}/file"
    assert len(read(url)) == LIMITS.response_bytes
    server.files["file"] += b"x"
    with pytest.raises(TransferError, match=f"more than {LIMITS.response_bytes:,} bytes"):
        read(url)
