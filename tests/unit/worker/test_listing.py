"""A listing is bounded in time, depth, entries and characters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from mlflow.entities import FileInfo

from model_gate.domain.limits import Limits
from model_gate.domain.progress import ProgressCallback
from model_gate.errors import ModelError, TransferError, UnreachableError
from model_gate.worker.failures import place_sentence
from model_gate.worker.listing import ModelListing
from model_gate.worker.stores.bucket import StoredFile

List = Callable[[str | None], list[FileInfo]]


class _Files:
    def __init__(self, list_artifacts: List) -> None:
        self.list_artifacts = list_artifacts

    def fetch(self, path: str, size: int, destination: str, on_progress: ProgressCallback) -> None:
        raise AssertionError


def _read(list_artifacts: List, limits: Limits) -> dict[str, int]:
    return ModelListing(lambda: _Files(list_artifacts), "s3://bucket/model", lambda _: None, limits).read()


def _chain(path: str | None) -> list[FileInfo]:
    return [FileInfo(f"{path}/d" if path else "d", True, None)]


def _files(count: int, name: str = "{}") -> List:
    return lambda _: [FileInfo(name.format(number), False, 1) for number in range(count)]


def test_slow_listing_ends_with_an_error_at_its_deadline() -> None:
    limits = replace(Limits(), listing_seconds=0.5)

    def slow_chain(path: str | None) -> list[FileInfo]:
        time.sleep(0.1)
        return _chain(path)

    start = time.monotonic()
    with pytest.raises(UnreachableError, match="did not end within"):
        _read(slow_chain, limits)
    assert time.monotonic() - start < 1.5


def test_answer_after_the_deadline_is_an_error() -> None:
    times = iter((0.0, 1_000.0))

    def clock() -> float:
        # The answer arrives before the time is read.
        time.sleep(0.1)
        return next(times)

    listing = ModelListing(lambda: _Files(_files(1)), "s3://bucket/model", lambda _: None, Limits(), clock)
    with pytest.raises(UnreachableError, match="did not end within"):
        listing.read()


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_listing_does_not_wait_for_a_silent_server_beyond_its_deadline(released: threading.Event) -> None:
    def never_respond(_: str | None) -> list[FileInfo]:
        released.wait(30)
        return []

    start = time.monotonic()
    with pytest.raises(UnreachableError, match="did not end within"):
        _read(never_respond, replace(Limits(), listing_seconds=0.2))
    assert time.monotonic() - start < 1.5


def test_each_listed_file_extends_the_deadline_of_the_listing() -> None:
    limits = replace(Limits(), listing_seconds=0.2, listing_seconds_per_file=0.01)

    def slow_directories(path: str | None) -> list[FileInfo]:
        if path is None:
            return [*_files(100)(None), FileInfo("d", True, None)]
        time.sleep(0.4)
        return []

    assert len(_read(slow_directories, limits)) == 100


# All limits but the depth are so large that only the depth ends an endless chain of directories in time.
_DEPTH = replace(
    Limits(), listing_depth=5, path_characters=10**9, listing_characters=10**12, listing_files=10**9, listing_seconds=1
)


@pytest.mark.parametrize(
    "list_artifacts, limits, excess",
    [
        (_chain, _DEPTH, "it has more than 5 levels of directories"),
        (_files(11), replace(Limits(), listing_files=10), "it has more than 10 files"),
        (
            _files(10, "x" * 100 + "{}"),
            replace(Limits(), listing_characters=1_000),
            "its paths have more than 1,000 characters together",
        ),
        (
            _files(10, "é" * 20 + "{}"),
            replace(Limits(), listing_characters=1_000),
            "its paths have more than 1,000 characters together",
        ),
        (_files(1, "x" * 100), replace(Limits(), path_characters=99), "a path has more than 99 characters"),
        (
            lambda path: [FileInfo(f"{path}/{n}" if path else str(n), True, None) for n in range(5)],
            replace(Limits(), listing_files=100, listing_seconds=2),
            "it has more than 100 files",
        ),
    ],
    ids=["depth", "files", "characters", "characters in messages", "path", "directories"],
)
def test_error_of_a_listing_beyond_a_limit_names_the_limit(list_artifacts: List, limits: Limits, excess: str) -> None:
    with pytest.raises(ModelError, match=f"^The listing of s3://bucket/model is too large: {excess}\\."):
        _read(list_artifacts, limits)


def test_listing_at_its_limits_is_complete() -> None:
    limits = replace(Limits(), listing_files=10, listing_characters=10)
    assert _read(_files(10), limits) == {str(number): 1 for number in range(10)}


class _PagedFiles(_Files):
    def __init__(self, pages: int, page: Sequence[StoredFile] = ()) -> None:
        super().__init__(_chain)
        self._pages = [list(page)] * pages

    def list_pages(self, start: str = "") -> Iterator[list[StoredFile]]:
        yield from self._pages

    def is_one_file(self) -> bool:
        return False


@pytest.mark.parametrize("is_paged", [True, False])
@pytest.mark.parametrize("size", [-1, -(10**30), 2**63, 10**30])
def test_size_that_no_file_has_is_an_error_in_a_listing(size: int, is_paged: bool) -> None:
    files = _PagedFiles(1, [StoredFile("a", size)]) if is_paged else _Files(lambda _: [FileInfo("a", False, size)])
    with pytest.raises(ModelError, match=r"^The listing has a with -?\d[\d,…]* bytes, which no file has\.") as raised:
        ModelListing(lambda: files, "s3://bucket/m", lambda _: None).read()
    assert len(raised.value.message) < 100


@pytest.mark.parametrize("is_search", [True, False])
def test_error_of_a_listing_has_a_note_of_the_store(is_search: bool) -> None:
    def fail(_: str | None) -> list[FileInfo]:
        raise TransferError("It broke off.")

    listing = ModelListing(lambda: _Files(fail), "s3://bucket/model", lambda _: None)
    with pytest.raises(TransferError) as raised:
        listing.has_entry("MLmodel") if is_search else listing.read()
    assert place_sentence(raised.value, "It broke off.") == "The model is on s3.amazonaws.com (bucket bucket)."


def test_listing_with_too_many_pages_is_an_error() -> None:
    limits = Limits(listing_pages=3)
    assert ModelListing(lambda: _PagedFiles(3), "s3://bucket/m", lambda _: None, limits).read() == {}
    with pytest.raises(ModelError, match="more than 3 pages"):
        ModelListing(lambda: _PagedFiles(4), "s3://bucket/m", lambda _: None, limits).read()


class _RunFiles(_Files):
    """The files of a run in a store, on two pages."""

    def __init__(self) -> None:
        super().__init__(_chain)

    def list_pages(self, start: str = "") -> Iterator[list[StoredFile]]:
        for paths in (("model-2/MLmodel", "data/model"), ("model/MLmodel", "notes.txt")):
            yield [StoredFile(path, 1) for path in paths if path.startswith(start)]

    def is_one_file(self) -> bool:
        return False


@pytest.mark.parametrize(
    "name, expected", [("model", True), ("notes.txt", True), ("mode", False), ("MLmodel", False), ("data/model", False)]
)
def test_entry_of_a_store_is_a_whole_name_on_any_page(name: str, expected: bool) -> None:
    listing = ModelListing(_RunFiles, "s3://bucket/run", lambda _: None, Limits())
    assert listing.has_entry(name) == expected
