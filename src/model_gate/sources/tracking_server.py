"""The parent's client of a worker: sends requests, receives responses and limits every wait."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

from model_gate.access.base_environment import base_environment
from model_gate.access.endpoints import store_addresses
from model_gate.access.environments import environment_for, make_home
from model_gate.domain.host import Host
from model_gate.domain.limits import LIMITS, Limits
from model_gate.domain.location import store_of_uri
from model_gate.domain.model import FileRequest, Listing, PartRequest
from model_gate.domain.progress import ProgressCallback
from model_gate.domain.roles import ModelRole
from model_gate.domain.version import ModelVersion, ResolvedUri, SelectedVersion
from model_gate.domain.wording import printable
from model_gate.errors import InternalError, ModelGateError, UnreachableError
from model_gate.formats.glob import Glob
from model_gate.sources.worker_message import (
    MalformedMessageError,
    WorkerMessage,
    read_listing,
    read_messages,
    read_resolved_uri,
    read_secrets,
    read_selected,
    read_version,
)
from model_gate.sources.worker_process import Pipes, WorkerProcess

_WATCH_SECONDS = 0.5
_T = TypeVar("_T")
_STDERR_LINES = 200
# After so many requests without any answer, a server counts as dead.
_UNANSWERED_REQUESTS = 3


def _ignore_progress(_: dict[str, Any]) -> None:
    """Do nothing."""


# The variables with the login to a store, by the scheme of its locations. All other stores are Azure's.
_LOGIN_VARIABLES = {"s3": "AWS_…", "r2": "AWS_…", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}


@dataclass
class _PendingRequest:
    """A request without a response yet.

    Attributes:
        timeout: Seconds until the request fails. For a request of files, the time starts when the request is sent. For
            other requests, the time also starts again with every message of the worker.
        on_progress: Receives the progress notes of the worker.
        subject: What is requested, for error messages.
        store: The object store that the request is about, as the scheme and bucket of its location; "" if it is about
            none.
        size: Total bytes of the requested files.
        is_transfer: Whether files are requested.
        sent_at: When the request was sent, by the monotonic clock.
        response: The result, or the error.
    """

    timeout: float
    on_progress: ProgressCallback = _ignore_progress
    subject: str = ""
    store: str = ""
    size: int = 0
    is_transfer: bool = False
    sent_at: float = field(default_factory=time.monotonic)
    response: Future[Any] = field(default_factory=Future)


def start_clients(
    hosts: list[Host],
    environment: Mapping[str, str],
    home: Path,
    process: WorkerProcess,
    *,
    allow_local_artifacts: bool = False,
) -> list[TrackingServerClient]:
    """Return one client for each of one or two tracking servers. The first client uses `process`.

    The second client uses a fork of `process`, or a new process if `process` cannot fork. The caller closes `process`.
    """
    first, *others = process.open(len(hosts) if process.can_fork else 1)
    channels = [WorkerChannel(first, process), *(WorkerChannel(pipes, None) for pipes in others)]
    return [
        TrackingServerClient(host, environment, home, channel, allow_local_artifacts=allow_local_artifacts)
        for host, channel in zip_longest(hosts, channels)
    ]


@dataclass(frozen=True)
class WorkerChannel:
    """The connection to a worker.

    Attributes:
        pipes: The worker's standard streams.
        process: The worker's process, None for a fork, whose exit code is not available.
    """

    pipes: Pipes
    process: WorkerProcess | None


class TrackingServerClient:
    """The client of one tracking server. Its worker has the credentials of this server only.

    Use it as a context manager, which ends the worker. Without a `channel`, the client starts a process of its own.
    `allow_local_artifacts` is the gate's option. `limits` bound every wait for the worker.
    """

    def __init__(
        self,
        host: Host,
        environment: Mapping[str, str],
        home: Path,
        channel: WorkerChannel | None = None,
        *,
        allow_local_artifacts: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        self.host = host
        self._limits = limits
        worker_environment = environment_for(host, environment, make_home(home, host, environment))
        self._store_addresses = store_addresses(worker_environment)
        self._allow_local_artifacts = allow_local_artifacts
        self._stack = ExitStack()
        if channel is None:
            process = self._stack.enter_context(WorkerProcess(base_environment(environment)))
            (pipes,) = process.open(1)
            channel = WorkerChannel(pipes, process)
        self._pipes = channel.pipes
        self._process = channel.process
        self._identifiers = itertools.count()
        self._pending: dict[int, _PendingRequest] = {}
        self._lock = threading.Lock()
        self._received_at = time.monotonic()
        # Requests that failed since the server did not answer, until the first that it answers; then None.
        self._unanswered: int | None = 0
        # The secrets of the logins to object stores that the worker has found, by the location of a model.
        self._secrets: dict[str, frozenset[str]] = {}
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._closed = threading.Event()
        self._send_environment(worker_environment, environment)
        self._stderr_reader = _start_thread(self._read_stderr)
        self._response_reader = _start_thread(self._read_responses)
        self._watcher = _start_thread(self._watch)

    def __enter__(self) -> TrackingServerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resolve(self, model: str, version_or_stage: str, models: Collection[ModelRole] = ()) -> ModelVersion:
        """Return the version with the locations of its models.

        Args:
            model: Name of the registered model.
            version_or_stage: A number, a stage, an alias or `latest`.
            models: The models of the version that will be listed next, so that the worker can begin to list them.

        Raises:
            ModelGateError: The worker cannot resolve the version, or does not respond in time.
        """
        subject = f"the version {version_or_stage} of {model!r}"
        arguments = {"model": model, "version_or_stage": version_or_stage, "models": sorted(models)}
        return self._read(read_version, self._send("resolve", self._request(subject), **arguments).result())

    def search(
        self, models: str, version_or_stage: str = "", tags: Mapping[str, str] | None = None
    ) -> tuple[SelectedVersion, ...]:
        """Return the selected versions of the registered models whose names a glob matches, sorted; at least one.

        A model whose versions the login may not read is an entry with a problem.

        Args:
            models: Glob of the names of registered models.
            version_or_stage: An alias, a stage, a number or `latest`; "" for every version.
            tags: Tags that a selected version has.

        Raises:
            NotFoundError: Nothing is selected.
            ModelGateError: The worker cannot search, or does not respond in time.
        """
        request = self._request(f"the registered models that match {models!r}")
        arguments = {"models": models, "version_or_stage": version_or_stage, "tags": dict(tags or {})}
        found = self._read(read_selected, self._send("search", request, **arguments).result())
        glob = Glob(models)
        if not found or not all(glob.matches(version.model) for version in found):
            raise self._malformed_error(MalformedMessageError("it selects other models"))
        return found

    def locate(self, uri: str) -> ResolvedUri:
        """Return the physical URI of `uri` (`models:/…`, `runs:/…` or physical), with the names that lead to it."""
        return self._read(
            read_resolved_uri, self._send("locate", self._request(f"the location of {uri}"), uri=uri).result()
        )

    def list(self, uri: str, on_progress: ProgressCallback) -> Listing:
        """Return the files at a physical URI; `on_progress` receives the number of `files` found so far.

        Raises:
            ModelGateError: The worker cannot list the files, or lists a path that is not inside a model.
        """
        request = self._request(f"the list of files at {uri}", on_progress, self._store(uri))
        result = self._send("list", request, uri=uri).result()
        found = self._read(read_secrets, result)
        with self._lock:
            self._secrets[uri] = frozenset(found)
        return self._read(read_listing, result)

    def fetch(self, uri: str, path: str, size: int, destination: Path) -> None:
        """Download one file of `size` bytes to `destination`."""
        self.begin_fetch(uri, [FileRequest(path, size, str(destination))]).result()

    def begin_fetch(
        self, uri: str, files: Sequence[FileRequest], on_progress: ProgressCallback = _ignore_progress
    ) -> Future[None]:
        """Begin to download files.

        `on_progress` is called with `bytes`: how many have arrived since its last call.
        """
        size = sum(file.size for file in files)
        request = self._transfer(size, _describe_files(files), self._store(uri), on_progress)
        return self._send("fetch", request, uri=uri, files=[[file.path, file.size, file.destination] for file in files])

    def begin_read(self, part: PartRequest, on_progress: ProgressCallback = _ignore_progress) -> Future[None]:
        """Begin to read a part of a file.

        `on_progress` is called with `bytes`: how many have arrived since its last call.
        """
        subject = f"a part of {printable(part.path)}"
        request = self._transfer(part.stop - part.start, subject, self._store(part.uri), on_progress)
        return self._send("read", request, **asdict(part))

    def stop_reading(self, handle: int) -> None:
        """End the reads of the file with this number, without waiting for them. Its parts can still be read again."""
        self._send("stop", self._request("the end of a download"), handle=handle)

    def close_file(self, handle: int) -> None:
        """End the reads of the file with this number for good, without waiting for them."""
        self._send("close", self._request("the end of a download"), handle=handle)

    def begin_settle(self, since: float) -> Future[Any]:
        """Begin to check that the server has sent no response to no request. The result is None, or a TransferError.

        `since` is when the gate began, by the monotonic clock, which all processes share.
        """
        return self._send("settle", self._request("the end of the transfers"), since=since)

    def new_handle(self) -> int:
        """Return a number for a file that is read part by part."""
        return next(self._identifiers)

    def _store(self, uri: str) -> str:
        """Return the scheme and bucket of a location in an object store, with the store's address if a variable has it.

        Return "" for another location.
        """
        store = store_of_uri(uri)
        address = self._store_addresses.get(store.partition(":")[0], "")
        return f"{store} at {address}" if address else store

    def _transfer(self, size: int, files: str, store: str, on_progress: ProgressCallback) -> _PendingRequest:
        """Return a request that transfers `size` bytes. Its time limit allows for the other transfers in progress."""
        with self._lock:
            pending_size = sum(request.size for request in self._pending.values())
        timeout = self._limits.silence_seconds + (pending_size + size) / self._limits.transfer_bytes_per_second
        return _PendingRequest(timeout, on_progress, files, printable(store), size, is_transfer=True)

    def _request(
        self, subject: str, on_progress: ProgressCallback = _ignore_progress, store: str = ""
    ) -> _PendingRequest:
        # A server that sends nothing for this long is unreachable, even if its connection is open.
        return _PendingRequest(self._limits.silence_seconds, on_progress, printable(subject), printable(store))

    @property
    def awaited(self) -> str:
        """What the client waits for, such as `the list of files at … from …`; "" if it waits for nothing.

        A server is named by its address, and an object store by its scheme, its bucket and its address.
        """
        with self._lock:
            request = next((request for request in self._pending.values() if request.subject), None)
        return f"{request.subject} from {request.store or self.host.address}" if request else ""

    @property
    def is_running(self) -> bool:
        """Whether the worker still accepts requests."""
        return not self._closed.is_set() and not self._pipes.stdin.closed

    @property
    def never_answered(self) -> bool:
        """Whether the server has not answered a single one of several requests."""
        with self._lock:
            return self._unanswered is not None and self._unanswered >= _UNANSWERED_REQUESTS

    def secrets_at(self, uri: str) -> frozenset[str]:
        """Return the secrets that the worker has found for the location of a model, besides those in variables."""
        with self._lock:
            return self._secrets.get(uri, frozenset())

    def _count_answer(self, error: ModelGateError | None) -> None:
        with self._lock:
            if self._unanswered is not None:
                self._unanswered = self._unanswered + 1 if isinstance(error, UnreachableError) else None

    def _read(self, read: Callable[[Any], _T], data: Any) -> _T:
        """Return the worker's result in `data`. The function `read` of `worker_message` validates it.

        Raises:
            InternalError: The result is malformed.
            TransferError: The result exceeds a limit.
        """
        try:
            return read(data)
        except MalformedMessageError as error:
            raise self._malformed_error(error) from error

    def _malformed_error(self, error: MalformedMessageError) -> InternalError:
        return InternalError(
            f"The process for {self.host.address} sent a malformed message: {error}.",
            "Run with --verbose to see its last messages.",
            detail="\n".join(self._stderr),
        )

    def close(self) -> None:
        """End the worker without waiting for its requests."""
        self._closed.set()
        self._stack.close()
        self._pipes.close_input()
        for thread in (self._stderr_reader, self._response_reader, self._watcher):
            thread.join(timeout=1)
        self._pipes.close()

    def _send_environment(self, worker_environment: Mapping[str, str], environment: Mapping[str, str]) -> None:
        """Send the worker's environment. No lock is needed before the first request."""
        variables = {**environment, **dict(self.host.variables)}
        own_timeout = "false" if variables.get("MLFLOW_HTTP_REQUEST_TIMEOUT") else "true"
        message = {
            **worker_environment,
            "MODEL_GATE_ADDRESS": self.host.address,
            "MODEL_GATE_OWN_TIMEOUT": own_timeout,
            "MODEL_GATE_SERVER_DIRECTORY": str(self.host.directory or ""),
            "MODEL_GATE_LOCAL_ARTIFACTS": str(self._allow_local_artifacts).lower(),
        }
        # If the worker has died, the first request reports it.
        with contextlib.suppress(OSError):
            self._pipes.stdin.write(json.dumps(message).encode() + b"\n")
            self._pipes.stdin.flush()

    def _send(self, operation: str, request: _PendingRequest, **arguments: object) -> Future[Any]:
        identifier = next(self._identifiers)
        line = json.dumps({"id": identifier, "op": operation, **arguments}).encode() + b"\n"
        with self._lock:
            self._pending[identifier] = request
            try:
                self._pipes.stdin.write(line)
                self._pipes.stdin.flush()
            except (OSError, ValueError):
                self._fail_pending(self._worker_error())
        return request.response

    def _watch(self) -> None:
        """Fail requests whose timeout has passed."""
        while not self._closed.wait(_WATCH_SECONDS):
            with self._lock:
                late = [identifier for identifier, request in self._pending.items() if self._is_late(request)]
                late_requests = [self._pending.pop(identifier) for identifier in late]
            for request in late_requests:
                subject = request.subject[:1].upper() + request.subject[1:]
                event = f"{subject} did not arrive within {request.timeout:.0f} s."
                error = self._silence_error(event, request.store)
                self._count_answer(error)
                request.response.set_exception(error)

    def _is_late(self, request: _PendingRequest) -> bool:
        since = request.sent_at if request.is_transfer else max(request.sent_at, self._received_at)
        return time.monotonic() - since > request.timeout

    def _silence_error(self, event: str, store: str) -> UnreachableError:
        if store:
            message = f"The store {store}, or the service that issues its login, does not answer. {event}"
            variables = _LOGIN_VARIABLES.get(store.partition(":")[0], "AZURE_…")
            remedy = (
                "Check the address of the store, and whether it can be reached from here. Check also that the variables"
                f" with its login are set ({variables}). Without them, the client of the cloud searches the network for"
                " a login."
            )
        else:
            message = f"The tracking server {self.host.address} accepts connections but does not answer. {event}"
            remedy = "Check whether the server is overloaded or behind a proxy that delays its responses."
        return UnreachableError(message, remedy, detail="\n".join(self._stderr))

    def _read_responses(self) -> None:
        malformed: InternalError | None = None
        try:
            # The stream may be closed in the meantime.
            with contextlib.suppress(ValueError):
                for message in read_messages(self._pipes.stdout):
                    self._handle(message)
        except MalformedMessageError as error:
            malformed = self._malformed_error(error)
        finally:
            # No further response can arrive, so nothing may wait for one.
            with self._lock:
                self._fail_pending(malformed or self._worker_error())
                # Later requests fail at once.
                self._pipes.close_input()

    def _handle(self, message: WorkerMessage) -> None:
        self._received_at = time.monotonic()
        if message.identifier is None:
            return
        with self._lock:
            is_note = message.note is not None
            request = (self._pending.get if is_note else self._pending.pop)(message.identifier, None)
        if request is None:
            # The request has failed already, because its response is late.
            return
        if message.note is not None:
            request.on_progress(message.note)
            return
        self._count_answer(message.error)
        if message.error is not None:
            request.response.set_exception(message.error)
        else:
            request.response.set_result(message.result)

    def _read_stderr(self) -> None:
        for line in self._pipes.stderr:
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _worker_error(self) -> InternalError:
        exit_code = ""
        if not self._closed.is_set():
            if self._process is not None and (code := self._process.exit_code()) is not None:
                exit_code = f" (exit code {code})"
            self._stderr_reader.join(timeout=1)
        return InternalError(
            f"The process for {self.host.address} ended unexpectedly{exit_code}.",
            "It may have run out of memory. Run with --verbose to see its last messages.",
            detail="\n".join(self._stderr),
        )

    def _fail_pending(self, error: InternalError) -> None:
        """Fail all pending requests. The caller holds the lock."""
        requests, self._pending = self._pending, {}
        for request in requests.values():
            request.response.set_exception(error)


def _start_thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def _describe_files(files: Sequence[FileRequest]) -> str:
    first = printable(files[0].path)
    return f"the file {first}" if len(files) == 1 else f"at least one of {first} and {len(files) - 1} other files"
