"""Lists a directory in a process of its own, so that two large directories are listed on two processors.

The process reads one line of JSON from standard input, `{"root": …, "max_files": …}`. It writes one line of JSON with
the paths of the files and directories, then the sizes and states as 64-bit numbers. After a line `check`, it writes
one line, `unchanged` or `changed`. The process ends when its standard input ends, or if the directory cannot be listed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from model_gate.domain.limits import LIMITS
from model_gate.errors import ModelGateError
from model_gate.sources.directory import DirectoryListing, States, list_directory

PROGRAM = (sys.executable, "-I", "-X", "utf8", "-m", "model_gate.sources.directory_process")
_UNCHANGED = b"unchanged\n"
# A killed process ends later if the system waits for its disk.
_KILLED_SECONDS = 5.0


class DirectoryProcess:
    """A process that lists one directory, and later checks that the directory is unchanged.

    A process that fails costs time but does not change the result: its caller must then do the work itself.

    Args:
        root: Path of the directory.
        program: Command line of the process.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, root: str, program: Sequence[str] = PROGRAM) -> None:
        self._root = root
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
        self._send(json.dumps({"root": root, "max_files": LIMITS.directory_files}))

    def listing(self) -> DirectoryListing | None:
        """Wait for the listing and return it, None if the process failed."""
        stdout = self._process.stdout
        if stdout is None:
            return None
        try:
            names = json.loads(stdout.readline())
            paths, directories = names["files"], names["directories"]
            sizes = _read_numbers(stdout, len(paths))
            file_states, directory_states = (
                States(_read_numbers(stdout, count * States.NUMBERS)) for count in (len(paths), len(directories))
            )
        except (OSError, ValueError):
            return None
        return DirectoryListing(
            dict(zip(paths, sizes, strict=True)),
            root=self._root,
            directories=directories,
            file_states=file_states,
            directory_states=directory_states,
        )

    def begin_check(self) -> None:
        """Begin to check whether the directory has changed since its listing."""
        self._send("check")

    def is_unchanged(self) -> bool:
        """Wait for the result of the check. False if the directory has changed, and if the process failed."""
        stdout = self._process.stdout
        return stdout is not None and stdout.readline() == _UNCHANGED

    def close(self) -> None:
        """Kill the process and close its pipes."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_KILLED_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _send(self, line: str) -> None:
        # If the process has ended, its output ends too, and the caller does the work itself.
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.write(line.encode() + b"\n")
                self._process.stdin.flush()


def _read_numbers(stream: IO[bytes], count: int) -> array[int]:
    """Return the next `count` 64-bit numbers.

    Raises:
        ValueError: The stream ends earlier.
    """
    numbers = array("Q")
    numbers.frombytes(stream.read(count * numbers.itemsize))
    if len(numbers) != count:
        raise ValueError("The process ended before it had sent all numbers.")
    return numbers


def main() -> None:
    """List the directory that standard input names, then check it on request until standard input ends."""
    requests, responses = sys.stdin.buffer, sys.stdout.buffer
    request = json.loads(requests.readline())
    try:
        listing = list_directory(Path(request["root"]), request["max_files"])
    except ModelGateError:
        # The parent lists the directory itself, and gets the same error.
        return
    responses.writelines(_encoded(listing))
    responses.flush()
    for _ in requests:
        responses.write(_check(listing))
        responses.flush()


def _encoded(listing: DirectoryListing) -> Iterable[bytes]:
    yield json.dumps({"files": list(listing.files), "directories": list(listing.directories)}).encode() + b"\n"
    yield array("Q", listing.files.values()).tobytes()
    yield listing.file_states.numbers.tobytes()
    yield listing.directory_states.numbers.tobytes()


def _check(listing: DirectoryListing) -> bytes:
    try:
        listing.require_unchanged()
    except ModelGateError:
        return b"changed\n"
    return _UNCHANGED


if __name__ == "__main__":
    main()
