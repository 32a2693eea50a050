"""Which of many pairs of small files are equal: found out here or, where that pays, in a process for each processor.

Comparing a small file is work for Python rather than for the disk, and one Python uses one processor.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType

from model_gate.comparison.small_files.equality import SmallPair, digest_if_equal

# Two processes have made up for their start at some 2,500 pairs, and save a fifth of the time at so many.
_PAIRS_WORTH_PROCESSES = 4000
# This process is busy telling and hearing for a tenth of the time that comparing takes.
_MOST_PROCESSES = 8
_BATCH = 200
# Batches that a process has been told beyond the one that is heard: it need not wait, and little is done in vain.
_AHEAD = 3
_PROGRAM = [sys.executable, "-I", "-X", "utf8", "-m", "model_gate.comparison.small_files"]
_DIGEST = re.compile("[0-9a-f]{64}")

_Answer = list[str | None]


def process_count(questions: Sequence[SmallPair]) -> int:
    """How many processes are worth their start; 0 if none is."""
    if sum(question is not None for question in questions) < _PAIRS_WORTH_PROCESSES:
        return 0
    if sys.getfilesystemencoding() != "utf-8":
        # They would call the files by other names.
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, _MOST_PROCESSES) if processors > 1 else 0


class SmallFileComparer:
    """The digests of pairs that are equal. They are asked for in order, and any of them may be left out.

    What a process does not answer as it should is found out here: it can cost time, never the verdict. Use it as a
    context manager: its processes end with it.
    """

    def __init__(self, questions: Sequence[SmallPair], processes: int) -> None:
        self._questions = questions
        self._count = processes
        self._processes: list[_Process] = []
        self._heard = -1
        self._answer: _Answer | None = None

    def __enter__(self) -> SmallFileComparer:
        try:
            # Where the system has none to spare, those that there are will do.
            with contextlib.suppress(OSError):
                for _ in range(self._count):
                    self._processes.append(_Process())
            for batch in range(_AHEAD * len(self._processes)):
                self._tell(batch)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its processes at once."""
        for process in self._processes:
            process.close()

    def digest(self, number: int) -> str | None:
        """SHA-256, in hex, of the files of that question; None if they need a closer look."""
        question = self._questions[number]
        if question is None:
            return None
        if self._processes:
            batch, place = divmod(number, _BATCH)
            while self._heard < batch:
                self._hear_next()
            if self._answer is not None:
                return self._answer[place]
        return digest_if_equal(*question)

    def _tell(self, batch: int) -> None:
        if questions := self._questions_of(batch):
            self._processes[batch % len(self._processes)].tell(batch, questions)

    def _hear_next(self) -> None:
        self._heard += 1
        process = self._processes[self._heard % len(self._processes)]
        self._answer = process.hear(self._heard, len(self._questions_of(self._heard)))
        self._tell(self._heard + _AHEAD * len(self._processes))

    def _questions_of(self, batch: int) -> Sequence[SmallPair]:
        return self._questions[batch * _BATCH : (batch + 1) * _BATCH]


class _Process:
    """One `model_gate.comparison.small_files`, which is believed only as long as it answers what it was asked."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # our own interpreter, no user text among the arguments
            _PROGRAM,
            # No credential, since there is nothing at all.
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is the parent's to handle.
            start_new_session=True,
        )
        self._is_closed = False

    def tell(self, number: int, questions: Sequence[SmallPair]) -> None:
        """Give it a batch; nothing happens if it is gone."""
        stdin = self._process.stdin
        if stdin is None or self._is_closed:
            return
        with contextlib.suppress(OSError):
            stdin.write(json.dumps([number, questions]).encode() + b"\n")
            stdin.flush()

    def hear(self, number: int, count: int) -> _Answer | None:
        """What it says of that batch, of so many questions; None if it does not."""
        stdout = self._process.stdout
        if stdout is None or self._is_closed:
            return None
        answer = _understood(stdout.readline(), number, count)
        if answer is None:
            self.close()
        return answer

    def close(self) -> None:
        """End it at once."""
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _understood(line: bytes, number: int, count: int) -> _Answer | None:
    """The answer in a line, if it is one to that batch."""
    try:
        heard, digests = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if heard != number or not isinstance(digests, list) or len(digests) != count or not line.endswith(b"\n"):
        return None
    if all(each is None or (isinstance(each, str) and _DIGEST.fullmatch(each)) for each in digests):
        return digests
    return None
