"""A thread pool that does not wait for its running tasks after an error."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

_T = TypeVar("_T")
# After an error of one server, the gate waits this long for the result of the other server.
GRACE_SECONDS = 2.0


class FailFastPool(ThreadPoolExecutor):
    """A thread pool whose `with` block ends at once after an error.

    Pending tasks are then cancelled. Running tasks continue in their threads.
    """

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # A running task may wait for a host that does not respond. It ends when its client is closed.
        self.shutdown(wait=kind is None, cancel_futures=kind is not None)


def results_of(futures: Iterable[Future[_T]]) -> list[_T]:
    """Return the results in the order of the futures.

    If a future fails, the others get GRACE_SECONDS to finish. If several have failed by then, the exception of the
    first one in the order is raised.
    """
    futures = list(futures)
    _, pending = wait(futures, return_when=FIRST_EXCEPTION)
    if pending:
        wait(pending, GRACE_SECONDS)
    for future in futures:
        if future.done() and (error := future.exception()):
            raise error
    return [future.result() for future in futures]
