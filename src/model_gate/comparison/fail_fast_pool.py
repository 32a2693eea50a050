"""A thread pool that does not wait for its running tasks after an error."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_T = TypeVar("_T")


class FailFastPool(ThreadPoolExecutor):
    """A thread pool whose `with` block ends at once after an error.

    Pending tasks are then cancelled. Running tasks continue in their threads.
    """

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # A running task may wait for a host that does not respond. It ends when its client is closed.
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def results_of(futures: Iterable[Future[_T]]) -> list[_T]:
    """Return the results in the order of the futures.

    If a future fails, its exception is raised at once, without waiting for the other futures.
    """
    futures = list(futures)
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if error := future.exception():
            raise error
    return [future.result() for future in futures]
