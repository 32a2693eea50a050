"""The clients of all tracking servers that gates use: one for each server, however many gates use it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from model_gate.access.base_environment import base_environment
from model_gate.domain.host import Host, RegistryKind
from model_gate.errors import StoppedError, UnreachableError
from model_gate.sources.tracking_server import TrackingServerClient, start_clients
from model_gate.sources.worker_process import WorkerProcess

# A process can become the workers of two servers.
_HOSTS_PER_PROCESS = 2


class ServerPool:
    """Starts a client for each server that is used, and ends all clients at its exit. Thread-safe.

    If a worker has ended, the next gate gets a new one. A server that has answered
    no request at all is not tried again and again: each request would take half a minute.

    Args:
        environment: The user's environment variables, from which each worker gets only those that it may see.
        home: Directory for the workers' home directories.
        process: A worker process that was started in advance, which the pool uses and closes; None to start one when it
            is needed.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        home: Path,
        process: WorkerProcess | None = None,
        *,
        allow_local_artifacts: bool = False,
    ) -> None:
        self.allow_local_artifacts = allow_local_artifacts
        self._environment = environment
        self._home = home
        self._unused = process
        self._stack = ExitStack()
        self._clients: dict[_Key, TrackingServerClient] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def __enter__(self) -> ServerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def clients(self, hosts: Sequence[Host]) -> list[TrackingServerClient]:
        """Return the clients of these hosts, in the same order. Those that do not run are started.

        Raises:
            StoppedError: The pool is closed.
            UnreachableError: A server has not answered any of several requests.
            OSError: A worker cannot be started.
        """
        with self._lock:
            if self._is_closed:
                raise StoppedError("The run was stopped before this gate.", "Run it again.")
            missing = {_key(host): host for host in hosts if not self._is_running(host)}
            starting = list(missing.values())
            for start in range(0, len(starting), _HOSTS_PER_PROCESS):
                self._start(starting[start : start + _HOSTS_PER_PROCESS])
            found = [self._clients[_key(host)] for host in hosts]
        for client in found:
            if client.never_answered:
                raise UnreachableError(
                    f"The tracking server {client.host.address} has not answered any request of the gates before this"
                    " one, so it is not tried again.",
                    "See the first gates that failed, and run again when the server answers.",
                )
        return found

    def has_ended(self, hosts: Sequence[Host]) -> bool:
        """Return whether the worker of one of these hosts was started and has ended."""
        with self._lock:
            return any(_key(host) in self._clients and not self._is_running(host) for host in hosts)

    def _is_running(self, host: Host) -> bool:
        client = self._clients.get(_key(host))
        return client is not None and client.is_running

    def _start(self, hosts: list[Host]) -> None:
        process, self._unused = self._unused or WorkerProcess(base_environment(self._environment)), None
        self._stack.callback(process.close)
        clients = start_clients(
            hosts, self._environment, self._home, process, allow_local_artifacts=self.allow_local_artifacts
        )
        for client in clients:
            self._stack.enter_context(client)
            self._clients[_key(client.host)] = client

    def close(self) -> None:
        """End all workers without waiting for their requests. No client is started after that."""
        with self._lock:
            self._is_closed = True
            if self._unused is not None:
                self._unused.close()
            self._stack.close()


_Key = tuple[Host, RegistryKind | None]


def _key(host: Host) -> _Key:
    """Return what identifies the worker of a host: the server, the login and the registry, however they are named."""
    return host.reader, None if host.workspace is None else host.workspace.registry
