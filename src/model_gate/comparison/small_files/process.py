"""The handle of one comparison process in the gate's process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO

from model_gate.comparison.small_files.equality import SmallPair

PROGRAM = (sys.executable, "-I", "-X", "utf8", "-m", "model_gate.comparison.small_files")
# One match of the whole line takes less time than a check of each digest.
_DIGEST = rb'(?:null|"[0-9a-f]{64}")'
_RESPONSE = re.compile(rb"\[[0-9]{1,18}, \[%b(?:, %b)*\]\]\n" % (_DIGEST, _DIGEST))

# Most batches take less than a second. After a timeout, the gate compares the batch itself.
RESPONSE_SECONDS = 60.0
# A killed process ends later if the system waits for its disk.
_KILLED_SECONDS = 5.0
# The gate sends many batches in advance. Neither process then waits until the other process has read its pipe.
_PIPE_BYTES = 1024 * 1024

Digests = list[str | None]


class ComparisonProcess:
    """A comparison process. After its first malformed, late or missing response, it is killed and no longer used.

    Args:
        program: Command line of the process.
        timeout: Seconds until a request or a response is late.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, program: Sequence[str], timeout: float = RESPONSE_SECONDS) -> None:
        self._timeout = timeout
        self._process = subprocess.Popen(  # no user text among the arguments
            program,
            # An empty environment passes no credential to the process.
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pipesize=_PIPE_BYTES,
            # In its own session, the process does not receive Ctrl-C. Only the parent handles it.
            start_new_session=True,
        )
        self._is_closed = False
        # What the process has sent after the last line that was read.
        self._unread = b""

    def send(self, number: int, pairs: Sequence[SmallPair]) -> None:
        """Send the batch `number` of pairs. If the process has ended, nothing is sent and `receive` returns None."""
        stdin = self._process.stdin
        if stdin is None or self._is_closed:
            return
        os.set_blocking(stdin.fileno(), False)
        request = memoryview(json.dumps([number, pairs]).encode() + b"\n")
        is_ready = self._waiter(stdin, select.POLLOUT)
        with contextlib.suppress(OSError):
            while request and is_ready():
                request = request[os.write(stdin.fileno(), request) :]
        if request:
            self.close()

    def receive(self, number: int, count: int) -> Digests | None:
        """Return the digest or None of each of the `count` pairs in the batch `number`.

        Returns None if the response is malformed or missing. The caller must then compare the whole batch itself.
        """
        stdout = self._process.stdout
        if stdout is None or self._is_closed:
            return None
        digests = _parse_response(self._read_line(stdout), number, count)
        if digests is None:
            self.close()
        return digests

    def _read_line(self, stdout: IO[bytes]) -> bytes:
        """Return the next line of the process, without a line break if the process ends or the line is late."""
        is_ready = self._waiter(stdout, select.POLLIN)
        while b"\n" not in self._unread and is_ready() and (received := os.read(stdout.fileno(), _PIPE_BYTES)):
            self._unread += received
        line, line_break, self._unread = self._unread.partition(b"\n")
        return line + line_break

    def _waiter(self, pipe: IO[bytes], event: int) -> Callable[[], bool]:
        """Return a function that waits until the pipe is ready, and returns False if the timeout ends first.

        The timeout begins with the call of this method, so it limits all waits for one request or response together.
        """
        # The start of a thread that kills the process after the timeout would take more processor time.
        deadline = time.monotonic() + self._timeout
        poll = select.poll()
        poll.register(pipe, event)

        def is_ready() -> bool:
            return bool(poll.poll(max(0, deadline - time.monotonic()) * 1000))

        return is_ready

    def close(self) -> None:
        """Kill the process and close its pipes."""
        self._is_closed = True
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_KILLED_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _parse_response(line: bytes, number: int, count: int) -> Digests | None:
    """Return the digests in the response to the batch `number`, None if the response is malformed."""
    if not _RESPONSE.fullmatch(line):
        return None
    received, digests = json.loads(line)
    return digests if received == number and len(digests) == count else None
