"""Listings that begin before they are requested."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from model_gate.domain.progress import ProgressCallback
from model_gate.errors import ModelError
from model_gate.worker.early_listings import EarlyListings

URI = "mlflow-artifacts:/1/model"


class Server:
    """Lists a model that gets one more file with each listing. A listing ends when `answer` is set."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.answer = threading.Event()
        self.answer.set()
        self.begun = threading.Semaphore(0)
        self.now = 0.0

    def list(self, uri: str, on_progress: ProgressCallback) -> dict[str, int]:
        self.requests.append(uri)
        number = len(self.requests)
        self.begun.release()
        assert self.answer.wait(10)
        if "missing" in uri:
            raise ModelError("There is no model.", "Look again.")
        on_progress({"files": number})
        return {f"file{index}": 1 for index in range(number)}

    def listings(self) -> EarlyListings:
        return EarlyListings(self.list, lambda: self.now)


def ignore(_: dict[str, Any]) -> None:
    """Take a note, and do nothing."""


def test_listing_that_has_begun_is_not_requested_again() -> None:
    server = Server()
    listings = server.listings()
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    assert listings.read(URI, ignore) == {"file0": 1}
    assert server.requests == [URI]


def test_listing_replaces_one_that_has_begun_earlier() -> None:
    server = Server()
    listings = server.listings()
    for _ in range(2):
        listings.begin(URI)
        assert server.begun.acquire(timeout=10)
    assert len(listings.read(URI, ignore)) == 2


def test_listing_that_waits_for_a_thread_is_read_at_once() -> None:
    server = Server()
    server.answer.clear()
    listings = server.listings()
    for number in range(8):
        listings.begin(f"slow{number}")
        assert server.begun.acquire(timeout=10)
    listings.begin(URI)
    threading.Timer(0.2, server.answer.set).start()
    listings.read(URI, ignore)
    assert server.requests.count(URI) == 1


def test_old_listing_that_nobody_has_read_is_dropped() -> None:
    server = Server()
    listings = server.listings()
    listings.begin("unread")
    server.now = 6
    listings.begin(URI)
    assert list(listings._begun) == [URI]


def test_listing_is_used_once() -> None:
    server = Server()
    listings = server.listings()
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    assert len(listings.read(URI, ignore)) == 1
    assert len(listings.read(URI, ignore)) == 2


@pytest.mark.parametrize("age, files", [(4.9, 1), (5.1, 2)])
def test_listing_that_began_more_than_five_seconds_ago_is_read_again(age: float, files: int) -> None:
    server = Server()
    listings = server.listings()
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    server.now = age
    assert len(listings.read(URI, ignore)) == files


def test_old_listing_does_not_prevent_a_new_one() -> None:
    server = Server()
    listings = server.listings()
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    server.now = 6
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    assert len(listings.read(URI, ignore)) == 2


def test_listing_of_another_location_is_not_used() -> None:
    server = Server()
    listings = server.listings()
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    listings.read(f"{URI}/", ignore)
    assert server.requests == [URI, f"{URI}/"]


def test_error_of_a_listing_that_has_begun_is_raised_when_it_is_read() -> None:
    server = Server()
    listings = server.listings()
    listings.begin("missing")
    assert server.begun.acquire(timeout=10)
    with pytest.raises(ModelError, match="There is no model"):
        listings.read("missing", ignore)


def test_progress_of_a_listing_that_has_begun_is_reported() -> None:
    server = Server()
    server.answer.clear()
    listings = server.listings()
    listings.begin(URI)
    assert server.begun.acquire(timeout=10)
    notes: list[dict[str, Any]] = []
    reader = threading.Thread(target=listings.read, args=(URI, notes.append))
    reader.start()
    # The listing goes on only after the reader has taken it, so its note has a receiver.
    while listings._begun:
        time.sleep(0.001)
    threading.Timer(0.2, server.answer.set).start()
    reader.join(10)
    assert notes == [{"files": 1}]
