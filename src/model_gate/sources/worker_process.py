"""Starts the worker process of each tracking server.

Importing MLflow takes one or two seconds, so the first process starts before the gate knows the tracking servers. It
does not import MLflow if the command line names only stores that are read without MLflow. For a second server, the
first process forks, which takes a few milliseconds: two workers need only one import. The first process holds no
credential before the fork. After the fork, each worker receives its own environment through its own pipe.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import IO

# On other platforms, a process cannot safely fork after it has used the system libraries.
_CAN_FORK = sys.platform == "linux"
_EXIT_SECONDS = 5.0


@dataclass(frozen=True)
class Pipes:
    """The parent's ends of the pipes to the standard streams of a worker."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]

    def close_input(self) -> None:
        """Close the standard input of the worker, which then ends."""
        with contextlib.suppress(OSError):
            self.stdin.close()

    def close(self) -> None:
        """Close all pipes."""
        for pipe in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


class WorkerProcess:
    """A process that imports what a worker needs, and later becomes one worker or forks into two.

    Use it as a context manager: its exit kills all workers.

    Args:
        environment: The environment of the process until each worker receives its own environment. It must hold no
            credential.
        schemes: The schemes of the URIs on the command line, `other` for a URI outside of object stores. If all of
            them name stores that are read without MLflow, the process does not import MLflow. Otherwise, or if there
            is none, it imports MLflow.
        can_fork: Whether the process may fork.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(
        self, environment: Mapping[str, str], schemes: Collection[str] = (), can_fork: bool = _CAN_FORK
    ) -> None:
        self._fork_pipes: Pipes | None = None
        fork_descriptors: tuple[int, ...] = ()
        if can_fork:
            self._fork_pipes, fork_descriptors = _open_fork_pipes()
        try:
            self._process = subprocess.Popen(  # no user text among the arguments
                [sys.executable, "-I", "-m", "model_gate.worker"],
                env={
                    **environment,
                    "MODEL_GATE_FORK_PIPES": " ".join(map(str, fork_descriptors)),
                    "MODEL_GATE_SCHEMES": " ".join(schemes),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=fork_descriptors,
                # In its own session, the process does not receive Ctrl-C. The parent handles it and ends its workers.
                start_new_session=True,
            )
        finally:
            for descriptor in fork_descriptors:
                os.close(descriptor)
        self._is_closed = False

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def can_fork(self) -> bool:
        """Whether the process can become the workers of two tracking servers."""
        return self._fork_pipes is not None

    def open(self, count: int) -> list[Pipes]:
        """Turn the process into `count` workers, one or two, and return the pipes of each worker.

        Call this method only once. The first message to each worker must be its environment. If `can_fork` is false,
        there is only one worker.
        """
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        if stdin is None or stdout is None or stderr is None:
            raise AssertionError("the process was started without pipes")
        with contextlib.suppress(OSError):
            # The process reads this one byte before it forks. A longer message could reach the wrong worker.
            os.write(stdin.fileno(), str(count).encode())
        pipes = [Pipes(stdin, stdout, stderr)]
        if count > 1 and self._fork_pipes is not None:
            pipes.append(self._fork_pipes)
        return pipes

    def exit_code(self) -> int | None:
        """Wait for the end of the process and return its exit code, None if it is still running after 5 seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=_EXIT_SECONDS)
        return None

    def close(self) -> None:
        """Kill all workers and close their pipes."""
        if self._is_closed:
            return
        self._is_closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_EXIT_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        if self._fork_pipes is not None:
            self._fork_pipes.close()


def _open_fork_pipes() -> tuple[Pipes, tuple[int, int, int]]:
    """Open the pipes between the parent and the second worker.

    Returns:
        The parent's ends, and the descriptors of the worker's standard input, output and error output.
    """
    (worker_stdin, stdin), (stdout, worker_stdout), (stderr, worker_stderr) = os.pipe(), os.pipe(), os.pipe()
    pipes = Pipes(os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb"), os.fdopen(stderr, "rb"))
    return pipes, (worker_stdin, worker_stdout, worker_stderr)
