"""Finds the equal pairs among many pairs of small files, in several comparison processes if that saves time.

Comparing small files takes more interpreter time than disk time, and one interpreter uses only one processor.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from types import TracebackType

from model_gate.comparison.small_files.equality import SmallPair, digest_if_equal
from model_gate.comparison.small_files.process import PROGRAM, ComparisonProcess, Digests

# Measured with two processes: at 2,500 pairs, they save as much time as their start takes. At 4,000 pairs, they save a
# fifth of the total time.
_MIN_PAIRS = 4000
# The gate's process needs a tenth of the comparison time for sending and receiving, so it keeps only a few processes
# busy.
_MAX_PROCESSES = 8
BATCH_PAIRS = 200
# Batches sent to each process in advance. The processes have work while the gate pairs the files and plans the jobs.
_BATCHES_AHEAD = 150


def process_count(pairs: Sequence[SmallPair], min_pairs: int = _MIN_PAIRS) -> int:
    """Return the number of comparison processes to start, 0 if this process compares all pairs itself.

    Processes save time only for at least `min_pairs` pairs and on more than one processor.
    """
    if len(pairs) < min_pairs:
        return 0
    if sys.getfilesystemencoding() != "utf-8":
        # The processes decode file names as UTF-8.
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, _MAX_PROCESSES) if processors > 1 else 0


class SmallFileComparer:
    """Compares pairs of small files, in comparison processes or in this process.

    The form of every response of a comparison process is checked. A pair without a well-formed response is compared in
    this process, so a process that fails costs time but does not change the verdict. Use the comparer as a context
    manager: its exit kills the comparison processes.

    Args:
        pairs: The pairs to compare.
        processes: Number of comparison processes to start.
        program: Command line of a comparison process.
        compare: Compares a pair in this process, as `digest_if_equal` does.
    """

    def __init__(
        self,
        pairs: Sequence[SmallPair],
        processes: int,
        program: Sequence[str] = PROGRAM,
        compare: Callable[[str, str, int], str | None] = digest_if_equal,
    ) -> None:
        self._pairs = pairs
        self._count = processes
        self._program = program
        self._compare = compare
        self._processes: list[ComparisonProcess] = []
        self._received = -1
        self._digests: Digests | None = None

    def __enter__(self) -> SmallFileComparer:
        try:
            # If the system refuses to start a process, the processes started so far are used, even if there are none.
            with contextlib.suppress(OSError):
                for _ in range(self._count):
                    self._processes.append(ComparisonProcess(self._program))
            for batch in range(_BATCHES_AHEAD * len(self._processes)):
                self._send(batch)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill the comparison processes."""
        for process in self._processes:
            process.close()

    def digest(self, number: int) -> str | None:
        """Return the SHA-256 of both files in hex if they are equal, None if the caller must compare the pair itself.

        Args:
            number: Index of the pair. Indexes may be skipped. A pair whose index is smaller than the index of the call
                before may be compared in this process.
        """
        if self._processes:
            batch, index = divmod(number, BATCH_PAIRS)
            while self._received < batch:
                self._receive_next()
            if self._received == batch and self._digests is not None:
                return self._digests[index]
        return self._compare(*self._pairs[number])

    def _send(self, batch: int) -> None:
        if pairs := self._pairs_of(batch):
            self._processes[batch % len(self._processes)].send(batch, pairs)

    def _receive_next(self) -> None:
        self._received += 1
        process = self._processes[self._received % len(self._processes)]
        self._digests = process.receive(self._received, len(self._pairs_of(self._received)))
        self._send(self._received + _BATCHES_AHEAD * len(self._processes))

    def _pairs_of(self, batch: int) -> Sequence[SmallPair]:
        return self._pairs[batch * BATCH_PAIRS : (batch + 1) * BATCH_PAIRS]


def start_comparer(pairs: Sequence[SmallPair]) -> SmallFileComparer:
    """Return a comparer with the number of comparison processes that `process_count` returns."""
    return SmallFileComparer(pairs, process_count(pairs))
