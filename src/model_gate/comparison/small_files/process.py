"""A handle of one comparison process, which checks every response."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence

from model_gate.comparison.small_files.equality import SmallPair

PROGRAM = (sys.executable, "-I", "-X", "utf8", "-m", "model_gate.comparison.small_files")
_DIGEST = re.compile("[0-9a-f]{64}")

Digests = list[str | None]


class ComparisonProcess:
    """One comparison process. It is ended at its first malformed or missing response.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, program: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # no user text among the arguments
            program,
            # An empty environment holds no credential.
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Only the parent handles Ctrl-C.
            start_new_session=True,
        )
        self._is_closed = False

    def send(self, number: int, pairs: Sequence[SmallPair | None]) -> None:
        """Send a batch of pairs. An ended process is ignored: `receive` then returns None."""
        stdin = self._process.stdin
        if stdin is None or self._is_closed:
            return
        with contextlib.suppress(OSError):
            stdin.write(json.dumps([number, pairs]).encode() + b"\n")
            stdin.flush()

    def receive(self, number: int, count: int) -> Digests | None:
        """Return the digests of a batch of `count` pairs, None if the response is malformed or missing."""
        stdout = self._process.stdout
        if stdout is None or self._is_closed:
            return None
        digests = _parse_response(stdout.readline(), number, count)
        if digests is None:
            self.close()
        return digests

    def close(self) -> None:
        """Kill the process."""
        self._is_closed = True
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _parse_response(line: bytes, number: int, count: int) -> Digests | None:
    """Return the digests in a response, None if it is not a well-formed response to that batch."""
    try:
        received, digests = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    if received != number or not isinstance(digests, list) or len(digests) != count or not line.endswith(b"\n"):
        return None
    if all(digest is None or (isinstance(digest, str) and _DIGEST.fullmatch(digest)) for digest in digests):
        return digests
    return None
