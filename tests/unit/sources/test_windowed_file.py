"""A read of a window always ends, with a file or with an error."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from model_gate.domain.location import Location
from model_gate.domain.model import PartRequest
from model_gate.domain.windows import Window
from model_gate.errors import TransferError
from model_gate.sources.storage import Storage
from model_gate.sources.windowed_file import ServerFile


class FailingClient:
    """A client whose reads end with an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def new_handle(self) -> int:
        return 1

    def begin_read(self, _part: PartRequest, _on_progress: Callable[[object], None]) -> Future[None]:
        read: Future[None] = Future()
        read.set_exception(self._error)
        return read


@pytest.mark.parametrize("error", [TransferError("It broke off.", "Try again."), KeyError("bytes"), CancelledError()])
def test_every_error_of_a_read_ends_the_window_and_removes_its_file(error: Exception) -> None:
    with Storage(None) as storage:
        client = FailingClient(error)
        file = ServerFile(client, Location("s3://wine"), "model.bin", 9, storage, lambda _: None)  # type: ignore[arg-type]
        read = file.begin_read(Window(0, 0, 9))
        assert read.exception(timeout=5) is error
        assert not list((Path(storage.home).parent / "windows").iterdir())
