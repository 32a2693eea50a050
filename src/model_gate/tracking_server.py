"""The parent's end of a tracking server's process: starts it, asks it, bounds every wait, ends it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import IO, Any

from model_gate.errors import InternalError, UnreachableError, error_of
from model_gate.host import Host, environment_for
from model_gate.lineage import ModelVersion
from model_gate.model import Listing

# A server that says nothing for this long is dead, whatever its connection looks like.
SILENCE_SECONDS = 45.0
# A file that comes slower than this is not coming.
_SLOWEST_BYTES_PER_SECOND = 100_000
_STDERR_LINES = 200

Note = Callable[[dict[str, Any]], None]


class TrackingServer:
    """One tracking server, in its own process, with its own credentials only.

    Use it as a context manager: the process ends with it.
    """

    def __init__(self, host: Host, environment: Mapping[str, str], home: Path) -> None:
        self.host = host
        own_timeout = "false" if environment.get("MLFLOW_HTTP_REQUEST_TIMEOUT") else "true"
        self._process = subprocess.Popen(  # our own interpreter, no user text among the arguments
            [sys.executable, "-I", "-m", "model_gate.side"],
            env=environment_for(host, environment, home)
            | {"MODEL_GATE_ADDRESS": host.address, "MODEL_GATE_OWN_TIMEOUT": own_timeout},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C is the parent's to handle: it ends its sides in order.
            start_new_session=True,
        )
        self._identifiers = itertools.count()
        self._waiting: dict[int, tuple[Future[Any], Note]] = {}
        self._lock = threading.Lock()
        self._heard = time.monotonic()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._closed = False
        self._stderr_reader = self._start(self._read_stderr)
        self._answers_reader = self._start(self._read_answers)

    def __enter__(self) -> TrackingServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resolve(self, model: str, version_or_stage: str) -> ModelVersion:
        """The version that is meant, with the locations of its models.

        Raises:
            ModelGateError: Whatever the server's process answers with, or no answer in time.
        """
        future = self._ask("resolve", model=model, version_or_stage=version_or_stage)
        return ModelVersion.from_data(self._wait(future))

    def locate(self, uri: str) -> str:
        """The physical URI that `uri` (`models:/…`, `runs:/…` or physical) stands for."""
        return str(self._wait(self._ask("locate", uri=uri)))

    def list(self, uri: str, note: Note) -> Listing:
        """The files at a physical URI; `note` hears how many were found so far."""
        return Listing(dict(self._wait(self._ask("list", note, uri=uri))))

    def fetch(self, uri: str, path: str, size: int, destination: Path) -> None:
        """Write one file of `size` bytes to `destination`."""
        future = self._ask("fetch", uri=uri, path=path, size=size, destination=str(destination))
        limit = SILENCE_SECONDS + size / _SLOWEST_BYTES_PER_SECOND
        try:
            future.result(timeout=limit)
        except FutureTimeoutError as error:
            raise self._silence(f"The file {path} did not arrive within {limit:.0f} s.") from error

    def close(self) -> None:
        """End the process at once: nothing that it still does is wanted."""
        self._closed = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for reader in (self._stderr_reader, self._answers_reader):
            reader.join(timeout=1)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                _pipe(pipe).close()

    def _ask(self, operation: str, note: Note = lambda _: None, **asked: object) -> Future[Any]:
        identifier = next(self._identifiers)
        future: Future[Any] = Future()
        with self._lock:
            self._waiting[identifier] = (future, note)
            line = json.dumps({"id": identifier, "op": operation, **asked})
            try:
                stdin = _pipe(self._process.stdin)
                stdin.write(line.encode() + b"\n")
                stdin.flush()
            except (OSError, ValueError):
                self._fail(self._died())
        return future

    def _wait(self, future: Future[Any]) -> Any:
        started = time.monotonic()
        while True:
            try:
                return future.result(timeout=0.5)
            except FutureTimeoutError:
                silent = time.monotonic() - max(started, self._heard)
                if silent > SILENCE_SECONDS:
                    raise self._silence(f"Nothing was heard of it for {silent:.0f} s.") from None

    def _silence(self, what: str) -> UnreachableError:
        return UnreachableError(
            f"The tracking server {self.host.address} accepts connections but does not answer. {what}",
            "Check whether the server is overloaded or behind a proxy that holds its answers back.",
            detail="\n".join(self._stderr),
        )

    def _read_answers(self) -> None:
        try:
            # A process that is killed while it writes leaves half a line.
            with contextlib.suppress(ValueError):
                for line in _pipe(self._process.stdout):
                    self._take(json.loads(line))
        finally:
            # Whatever ended it: nobody may wait for an answer that cannot come.
            with self._lock:
                self._fail(self._died())

    def _take(self, answer: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        with self._lock:
            identifier = answer["id"]
            future, note = self._waiting[identifier] if "note" in answer else self._waiting.pop(identifier)
        if "note" in answer:
            note(answer["note"])
        elif "error" in answer:
            told = answer["error"]
            future.set_exception(error_of(told["type"], told["message"], told["remedy"], told["detail"]))
        else:
            future.set_result(answer["result"])

    def _read_stderr(self) -> None:
        for line in _pipe(self._process.stderr):
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _died(self) -> InternalError:
        if not self._closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
            self._stderr_reader.join(timeout=1)
        return InternalError(
            f"The process for {self.host.address} ended unexpectedly (exit code {self._process.returncode}).",
            "It may have run out of memory. Run with --verbose for what it said last.",
            detail="\n".join(self._stderr),
        )

    def _fail(self, error: InternalError) -> None:
        """Give up on everything still asked for. The lock is held."""
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            future.set_exception(error)

    def _start(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        return thread


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("the process was started without this pipe")
    return stream
