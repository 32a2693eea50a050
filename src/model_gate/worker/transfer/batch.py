"""Several files that are fetched together: as many side by side as there is room for, the others one after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from model_gate.domain.model import FileRequest
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter


class Batch:
    """Files that are fetched together, by threads of `pool`, in as few turns as the flow lets through at once.

    A turn is kept from file to file: handing it to another thread takes as long as a small file does.
    """

    def __init__(self, files: Sequence[FileRequest], flow: ConcurrencyLimiter, pool: ThreadPoolExecutor) -> None:
        self._pending = deque(files)
        self._flow = flow
        self._pool = pool
        self._helpers: list[Future[None]] = []

    def fetch(self, fetch: Callable[[FileRequest], None]) -> None:
        """Fetch all files; after the first that fails, no other is begun.

        Raises:
            Exception: What `fetch` raised.
        """
        try:
            self._work(fetch, waits=True)
        finally:
            # A helper calls for the next one before it ends, so none is missed.
            while self._helpers:
                self._helpers.pop().result()

    def _work(self, fetch: Callable[[FileRequest], None], *, waits: bool) -> None:
        with self._flow.turn(waits=waits) as is_mine:
            while is_mine and self._pending:
                try:
                    file = self._pending.popleft()
                except IndexError:
                    return
                if self._pending and self._flow.has_room:
                    self._helpers.append(self._pool.submit(self._work, fetch, waits=False))
                try:
                    fetch(file)
                except BaseException:
                    self._pending.clear()
                    raise
