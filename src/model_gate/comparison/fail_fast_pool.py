"""A thread pool that does not wait for its running tasks after an error."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_T = TypeVar("_T")


class FailFastPool(ThreadPoolExecutor):
    """An executor whose `with` block ends at once after an error: pending tasks are cancelled, running ones left."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # Running tasks end when the clients are closed. Waiting for them here could mean waiting for a dead host.
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def results_of(futures: Iterable[Future[_T]]) -> list[_T]:
    """Return all results in order, or raise the first exception without waiting for the other futures."""
    futures = list(futures)
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        if error := future.exception():
            raise error
    return [future.result() for future in futures]
