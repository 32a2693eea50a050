"""The handle of one comparison process in the gate's process."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from model_gate.comparison.small_files.equality import SmallPair

PROGRAM = (sys.executable, "-I", "-X", "utf8", "-m", "model_gate.comparison.small_files")
_DIGEST = re.compile("[0-9a-f]{64}")

# Most batches take less than a second. After a timeout, the gate compares the batch itself.
RESPONSE_SECONDS = 60.0
# A killed process ends later if the system waits for its disk.
_KILLED_SECONDS = 5.0

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
            # In its own session, the process does not receive Ctrl-C. Only the parent handles it.
            start_new_session=True,
        )
        self._is_closed = False

    def send(self, number: int, pairs: Sequence[SmallPair | None]) -> None:
        """Send the batch `number` of pairs. If the process has ended, nothing is sent and `receive` returns None."""
        stdin = self._process.stdin
        if stdin is None or self._is_closed:
            return
        with contextlib.suppress(OSError), self._killed_after_timeout():
            stdin.write(json.dumps([number, pairs]).encode() + b"\n")
            stdin.flush()

    def receive(self, number: int, count: int) -> Digests | None:
        """Return the digest or None of each of the `count` pairs in the batch `number`.

        Returns None if the response is malformed or missing. The caller must then compare the whole batch itself.
        """
        stdout = self._process.stdout
        if stdout is None or self._is_closed:
            return None
        with self._killed_after_timeout():
            line = stdout.readline()
        digests = _parse_response(line, number, count)
        if digests is None:
            self.close()
        return digests

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

    @contextlib.contextmanager
    def _killed_after_timeout(self) -> Iterator[None]:
        """Kill the process if the block does not end in time. The end of the process ends a read or a write."""
        timer = threading.Timer(self._timeout, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _parse_response(line: bytes, number: int, count: int) -> Digests | None:
    """Return the digests in the response to the batch `number`, None if the response is malformed."""
    try:
        received, digests = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if received != number or not isinstance(digests, list) or len(digests) != count or not line.endswith(b"\n"):
        return None
    if all(digest is None or (isinstance(digest, str) and _DIGEST.fullmatch(digest)) for digest in digests):
        return digests
    return None
