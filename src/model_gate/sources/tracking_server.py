"""The parent's end of a tracking server's process: starts it, asks it, bounds every wait, ends it."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from model_gate.access.environments import base_environment, environment_for
from model_gate.domain.host import Host
from model_gate.domain.model import FileRequest, Listing
from model_gate.domain.version import ModelVersion
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, UnreachableError, error_from_name
from model_gate.sources.worker_process import Pipes, WorkerProcess

# A server that says nothing for this long is dead, whatever its connection looks like.
SILENCE_SECONDS = 45.0
# Files that come slower than this are not coming.
_SLOWEST_BYTES_PER_SECOND = 100_000
_WATCH_SECONDS = 0.5
_STDERR_LINES = 200

ProgressCallback = Callable[[dict[str, Any]], None]


def _no_note(_: dict[str, Any]) -> None:
    """Nobody listens."""


@dataclass
class _Asked:
    """A request without an answer yet.

    Attributes:
        future: Will have the answer.
        note: Hears of progress.
        files: What is fetched, "" for anything but files.
        size: Their bytes.
        seconds: How long it may take, from when it was asked; for anything but files, from when the side was last
            heard.
        asked: When, by the monotonic clock.
    """

    future: Future[Any]
    note: ProgressCallback
    files: str = ""
    size: int = 0
    seconds: float = SILENCE_SECONDS
    asked: float = field(default_factory=time.monotonic)


def start_clients(
    hosts: list[Host], environment: Mapping[str, str], home: Path, process: WorkerProcess
) -> list[TrackingServerClient]:
    """The tracking servers of these hosts, at most two, on a process that was started before its host was known.

    `process` is not theirs to close.
    """
    first, *others = process.open(len(hosts) if process.can_be_two else 1)
    channels = [WorkerChannel(first, process), *(WorkerChannel(pipes, None) for pipes in others)]
    # Where a process cannot become two, the second host gets one of its own.
    return [TrackingServerClient(host, environment, home, channel) for host, channel in zip_longest(hosts, channels)]


@dataclass(frozen=True)
class WorkerChannel:
    """The way to one side.

    Attributes:
        pipes: Its standard streams.
        process: The process that it is, None if it is another one's twin, whose end cannot be asked for.
    """

    pipes: Pipes
    process: WorkerProcess | None


class TrackingServerClient:
    """One tracking server, in its own process, with its own credentials only.

    Use it as a context manager: the process ends with it. Without a `channel` it has a process of its own.
    """

    def __init__(
        self, host: Host, environment: Mapping[str, str], home: Path, channel: WorkerChannel | None = None
    ) -> None:
        self.host = host
        self._stack = ExitStack()
        if channel is None:
            process = self._stack.enter_context(WorkerProcess(base_environment(environment)))
            (pipes,) = process.open(1)
            channel = WorkerChannel(pipes, process)
        self._pipes = channel.pipes
        self._process = channel.process
        self._identifiers = itertools.count()
        self._waiting: dict[int, _Asked] = {}
        self._lock = threading.Lock()
        self._heard = time.monotonic()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._closed = threading.Event()
        self._enter(environment_for(host, environment, home), environment)
        self._stderr_reader = self._start(self._read_stderr)
        self._answers_reader = self._start(self._read_answers)
        self._watcher = self._start(self._watch)

    def __enter__(self) -> TrackingServerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resolve(self, model: str, version_or_stage: str) -> ModelVersion:
        """The version that is meant, with the locations of its models.

        Raises:
            ModelGateError: Whatever the server's process answers with, or no answer in time.
        """
        asked = self._ask("resolve", _Asked(Future(), _no_note), model=model, version_or_stage=version_or_stage)
        return ModelVersion.from_data(asked.result())

    def locate(self, uri: str) -> str:
        """The physical URI that `uri` (`models:/…`, `runs:/…` or physical) stands for."""
        return str(self._ask("locate", _Asked(Future(), _no_note), uri=uri).result())

    def list(self, uri: str, note: ProgressCallback) -> Listing:
        """The files at a physical URI; `note` hears how many were found so far."""
        found = self._ask("list", _Asked(Future(), note), uri=uri).result()
        return Listing(dict(found["files"]), is_near=bool(found["is_near"]))

    def fetch(self, uri: str, path: str, size: int, destination: Path) -> None:
        """Write one file of `size` bytes to `destination`."""
        self.begin_fetch(uri, [FileRequest(path, size, str(destination))]).result()

    def begin_fetch(self, uri: str, files: Sequence[FileRequest], note: ProgressCallback = _no_note) -> Future[None]:
        """Begin to write files to their destinations; `note` hears how many `bytes` more have come."""
        size = sum(file.size for file in files)
        with self._lock:
            under_way = sum(each.size for each in self._waiting.values())
        seconds = SILENCE_SECONDS + (under_way + size) / _SLOWEST_BYTES_PER_SECOND
        asked = _Asked(Future(), note, _named(files), size, seconds)
        return self._ask("fetch", asked, uri=uri, files=[[file.path, file.size, file.destination] for file in files])

    def close(self) -> None:
        """End the process at once: nothing that it still does is wanted."""
        self._closed.set()
        self._stack.close()
        self._pipes.close_input()
        for reader in (self._stderr_reader, self._answers_reader, self._watcher):
            reader.join(timeout=1)
        self._pipes.close()

    def _enter(self, own: Mapping[str, str], environment: Mapping[str, str]) -> None:
        """Tell the process its environment; the lock is not needed, since nothing else is asked yet."""
        own_timeout = "false" if environment.get("MLFLOW_HTTP_REQUEST_TIMEOUT") else "true"
        told = {**own, "MODEL_GATE_ADDRESS": self.host.address, "MODEL_GATE_OWN_TIMEOUT": own_timeout}
        # If it has died, the first request finds that out.
        with contextlib.suppress(OSError):
            self._pipes.stdin.write(json.dumps(told).encode() + b"\n")
            self._pipes.stdin.flush()

    def _ask(self, operation: str, asked: _Asked, **arguments: object) -> Future[Any]:
        identifier = next(self._identifiers)
        line = json.dumps({"id": identifier, "op": operation, **arguments}).encode() + b"\n"
        with self._lock:
            self._waiting[identifier] = asked
            try:
                self._pipes.stdin.write(line)
                self._pipes.stdin.flush()
            except (OSError, ValueError):
                self._fail(self._died())
        return asked.future

    def _watch(self) -> None:
        """Give up on what was asked too long ago."""
        while not self._closed.wait(_WATCH_SECONDS):
            now = time.monotonic()
            with self._lock:
                late = [
                    identifier
                    for identifier, asked in self._waiting.items()
                    if now - (asked.asked if asked.files else max(asked.asked, self._heard)) > asked.seconds
                ]
                given_up = [self._waiting.pop(identifier) for identifier in late]
            for asked in given_up:
                what = f"{asked.files} did not arrive" if asked.files else "Nothing was heard of it"
                asked.future.set_exception(self._silence(f"{what} within {asked.seconds:.0f} s."))

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
                for line in self._pipes.stdout:
                    self._take(json.loads(line))
        finally:
            # Whatever ended it: nobody may wait for an answer that cannot come.
            with self._lock:
                self._fail(self._died())

    def _take(self, answer: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        if "ready" in answer:
            return
        identifier = answer["id"]
        with self._lock:
            asked = self._waiting.get(identifier) if "note" in answer else self._waiting.pop(identifier, None)
        if asked is None:
            # It was given up, and has come after all.
            return
        if "note" in answer:
            asked.note(answer["note"])
        elif "error" in answer:
            told = answer["error"]
            asked.future.set_exception(error_from_name(told["type"], told["message"], told["remedy"], told["detail"]))
        else:
            asked.future.set_result(answer["result"])

    def _read_stderr(self) -> None:
        for line in self._pipes.stderr:
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _died(self) -> InternalError:
        ended = ""
        if not self._closed.is_set():
            if self._process is not None and (code := self._process.exit_code()) is not None:
                ended = f" (exit code {code})"
            self._stderr_reader.join(timeout=1)
        return InternalError(
            f"The process for {self.host.address} ended unexpectedly{ended}.",
            "It may have run out of memory. Run with --verbose for what it said last.",
            detail="\n".join(self._stderr),
        )

    def _fail(self, error: InternalError) -> None:
        """Give up on everything still asked for. The lock is held."""
        waiting, self._waiting = self._waiting, {}
        for asked in waiting.values():
            asked.future.set_exception(error)

    def _start(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        return thread


def _named(files: Sequence[FileRequest]) -> str:
    first = printable(files[0].path)
    return f"The file {first}" if len(files) == 1 else f"Of {first} and {len(files) - 1} other files, at least one"
