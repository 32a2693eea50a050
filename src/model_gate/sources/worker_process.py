"""The process behind a tracking server, or the two behind a pair: started early, so that MLflow is imported meanwhile.

MLflow takes a second or two to import. A process that has done so can become two in a few milliseconds (`fork`), which
spares the other half of a compare the same second. It knows no credential until then: each of the two is told the
environment that is its own through a pipe that is its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO

# Elsewhere, libraries of the system do not bear it.
_CAN_FORK = sys.platform == "linux"
_DEATH_SECONDS = 5.0


@dataclass(frozen=True)
class Pipes:
    """The parent's ends of one side's standard streams."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def close_input(self) -> None:
        """Let the side see that nothing more is asked: it ends at once."""
        with contextlib.suppress(OSError):
            self.stdin.close()

    def close(self) -> None:
        """Close them all."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


class WorkerProcess:
    """A process that imports MLflow, and is told later for how many tracking servers, and for which.

    `environment` must hold no credential of a tracking server. Use it as a context manager: all ends with it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        twins = [os.pipe() for _ in range(3)] if _CAN_FORK else []
        ours, theirs = _ends(twins)
        self._twin = ours
        try:
            self._process = subprocess.Popen(  # our own interpreter, no user text among the arguments
                [sys.executable, "-I", "-m", "model_gate.worker"],
                env={**environment, "MODEL_GATE_TWIN": " ".join(map(str, theirs))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=theirs,
                # Ctrl-C is the parent's to handle: it ends its sides in order.
                start_new_session=True,
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._is_closed = False

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def can_be_two(self) -> bool:
        """Whether it can serve two tracking servers."""
        return bool(self._twin)

    def open(self, count: int) -> tuple[Pipes, ...]:
        """Make it one side, or two. Each then wants its environment. To be called once."""
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise AssertionError("the process was started without pipes")
        with contextlib.suppress(OSError):
            # One byte, so that nothing that follows can be read by the wrong one of the two.
            os.write(stdin.fileno(), str(count).encode())
        opened = [Pipes(stdin, stdout, stderr)]
        if count > 1:
            opened.append(Pipes(*self._twin))
        return tuple(opened)

    def exit_code(self) -> int | None:
        """How it ended, None if it did not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=_DEATH_SECONDS)
        return None

    def close(self) -> None:
        """End it at once, its twin too: nothing that they still do is wanted."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr, *self._twin):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _ends(pipes: list[tuple[int, int]]) -> tuple[tuple[IO[bytes], ...], tuple[int, ...]]:
    """Our ends and the twin's of three pipes: to its standard input, from its output and from its errors."""
    if not pipes:
        return (), ()
    (its_in, to_it), (from_it, its_out), (errors, its_errors) = pipes
    ours = (os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb"), os.fdopen(errors, "rb"))
    return ours, (its_in, its_out, its_errors)
