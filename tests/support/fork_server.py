"""Runs the installed commands in forked processes, which have already imported the libraries.

A command needs most of its processor time to import Typer, Pydantic and other libraries. The fork server imports them
once. It forks a process for each command. This process imports Model Gate, runs the command and ends as every Python
process ends. It has its own arguments, environment, working directory and standard streams.

Run as a program, this module is the fork server: `fork_server.py SOCKET DIRECTORY`. The commands are in DIRECTORY.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

# A new interpreter reads these variables. A command with another value than the server's cannot be forked.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "TZ")
# The modules of a command, and the libraries that a command imports only when it needs them.
_IMPORTED = ("model_gate.cli", "model_gate.gate", "model_gate.runner", "typer._adapters", "jsonschema", "yaml")


class ForkServer:
    """Starts the fork server, which ends with this process."""

    def __init__(self, environment: Mapping[str, str], programs: Path) -> None:
        self._environment = dict(environment)
        self._address = Path(mkdtemp(prefix="fork-server-")) / "socket"
        # The server ends when its standard input is closed.
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address, programs],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """Stop the server."""
        self._process.communicate()

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Return whether a command with this environment runs as it would in a new interpreter."""
        read = {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}
        return read.items() <= self._environment.items()

    def run(
        self, program: str, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[bytes]:
        """Run an installed command, and wait for it. Its standard input is empty."""
        command = [program, *arguments]
        deadline = time.monotonic() + timeout
        request = {"program": program, "arguments": arguments, "cwd": str(cwd.absolute()), "environment": environment}
        (stdout, stdout_end), (stderr, stderr_end) = os.pipe(), os.pipe()
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("r") as responses:
            connection.connect(str(self._address))
            socket.send_fds(connection, [b" "], [stdout_end, stderr_end])
            connection.sendall(json.dumps(request).encode() + b"\n")
            os.close(stdout_end)
            os.close(stderr_end)
            process = int(responses.readline())
            received = _read_all([stdout, stderr], deadline)
            if received is None:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, timeout)
            exit_code = int(responses.readline())
        return subprocess.CompletedProcess(command, exit_code, received[stdout], received[stderr])


def _read_all(pipes: list[int], deadline: float) -> dict[int, bytes] | None:
    """Read and close pipes. Return the bytes of each, or None if a pipe is still open at the deadline."""
    received = {pipe: bytearray() for pipe in pipes}
    still_open = list(pipes)
    while still_open and time.monotonic() < deadline:
        for pipe in select.select(still_open, [], [], deadline - time.monotonic())[0]:
            block = os.read(pipe, 65536)
            received[pipe] += block
            if not block:
                still_open.remove(pipe)
    for pipe in pipes:
        os.close(pipe)
    return None if still_open else {pipe: bytes(content) for pipe, content in received.items()}


@cache
def shared_fork_server(programs: Path) -> ForkServer:
    """Return the fork server of this process for the commands in a directory."""
    from tests.support.commandline import clean_environment

    server = ForkServer(clean_environment(), programs)
    atexit.register(server.close)
    return server


def _main(address: str, programs: str) -> None:
    # As in the script of a command.
    sys.path[0] = programs
    entries = {entry.name: entry for entry in distribution("model-gate").entry_points}
    _import_libraries()
    request = _await_request(address)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [f"{programs}/{request['program']}", *request["arguments"]]
    sys.exit(entries[request["program"]].load()())


def _import_libraries() -> None:
    """Import what the commands import, and forget the modules of Model Gate: each command imports them anew."""
    for name in _IMPORTED:
        import_module(name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "model_gate"]:
        del sys.modules[name]
    # Garbage collections in the forked processes must not copy the memory of the libraries.
    gc.collect()
    gc.freeze()


def _await_request(address: str) -> dict[str, Any]:
    """Serve requests. The function returns only in the processes of commands, with the request of each."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            _remove_ended_processes()
            if sys.stdin in ready:
                # This process removes its files even if pytest was killed.
                os.unlink(address)
                os.rmdir(os.path.dirname(address))
                os._exit(0)
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    return _fork_command(connection)


def _remove_ended_processes() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _fork_command(connection: socket.socket) -> dict[str, Any]:
    """Fork the process of a command, and return its request there. The other process waits, and sends the exit code."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile("rb") as lines:
        request: dict[str, Any] = json.loads(lines.readline())
    process = os.fork()
    if process == 0:
        for descriptor, stream in enumerate((os.open(os.devnull, os.O_RDONLY), *streams)):
            os.dup2(stream, descriptor)
            os.close(stream)
        return request
    for stream in streams:
        os.close(stream)
    connection.sendall(b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
