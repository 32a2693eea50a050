"""Downloads a batch of small files with several threads, each in a slot of the concurrency limiter."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from model_gate.domain.model import FileRequest
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter


class Batch:
    """Files that the calling thread and threads of `pool` download together, each file once.

    A slot is a permission to send requests. A thread downloads all its files in one slot, because passing a slot to
    another thread takes as long as the download of a small file.
    """

    def __init__(self, files: Sequence[FileRequest], limiter: ConcurrencyLimiter, pool: ThreadPoolExecutor) -> None:
        self._pending = deque(files)
        self._limiter = limiter
        self._pool = pool
        self._futures: list[Future[None]] = []

    def fetch(self, fetch: Callable[[FileRequest], None]) -> None:
        """Call `fetch` once for each file, in several threads. After the first failure, start no further file.

        Raises:
            Exception: The exception that a call of `fetch` raised.
        """
        try:
            self._fetch_pending(fetch, blocking=True)
        finally:
            # A thread adds its futures before its own future ends, so the loop waits for all of them.
            while self._futures:
                self._futures.pop().result()

    def _fetch_pending(self, fetch: Callable[[FileRequest], None], *, blocking: bool) -> None:
        with self._limiter.slot(blocking=blocking) as has_slot:
            while has_slot and self._pending:
                try:
                    file = self._pending.popleft()
                except IndexError:
                    return
                if self._pending and self._limiter.has_free_slot:
                    self._futures.append(self._pool.submit(self._fetch_pending, fetch, blocking=False))
                try:
                    fetch(file)
                except BaseException:
                    self._pending.clear()
                    raise
