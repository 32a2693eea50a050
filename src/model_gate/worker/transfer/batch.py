"""A batch of small files, downloaded by as many threads as the concurrency limiter has free slots."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from model_gate.domain.model import FileRequest
from model_gate.worker.transfer.concurrency import ConcurrencyLimiter


class Batch:
    """Files that are downloaded together, by the calling thread and by threads of `pool`.

    A thread keeps its slot from file to file, because handing a slot to another thread takes as long as a small file.
    """

    def __init__(self, files: Sequence[FileRequest], limiter: ConcurrencyLimiter, pool: ThreadPoolExecutor) -> None:
        self._pending = deque(files)
        self._limiter = limiter
        self._pool = pool
        self._futures: list[Future[None]] = []

    def fetch(self, fetch: Callable[[FileRequest], None]) -> None:
        """Call `fetch` for each file. After the first failure, no further file is started.

        Raises:
            Exception: What `fetch` raised.
        """
        try:
            self._fetch_pending(fetch, blocking=True)
        finally:
            # A thread adds the next future before its own future ends, so the list misses none.
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
