"""The idle connections of all clients of this process, and the responses on them that belong to no request.

A client can be collected before the gate that has used it ends, because a worker keeps the clients of a limited number
of locations. What is known about the responses must outlive the client, so this module keeps it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from urllib3.connection import HTTPConnection

from model_gate.errors import TransferError
from model_gate.worker.transfer.unread_bytes import (
    has_response,
    mixed_up_error,
    unread_bytes,
    wait_for_bytes,
    wrong_size_error,
)

# A response to the last request on a connection can be still on its way, if the server has sent another one before it.
_SETTLE_SECONDS = 0.02
# More idle connections of collected clients would use up the open files of the process.
_MAX_RETIRED = 64
_LOCK = threading.Lock()
_ALL: list[IdleConnections] = []
# For each host, what makes the last error of each kind, and when the error was found. A response to no request is the
# more certain cause, so it comes first. Each gate needs an error of its own, because notes are added to an error.
_MIXED_UP: dict[str, tuple[float, Callable[[], TransferError]]] = {}
_WRONG_SIZE: dict[str, tuple[float, Callable[[], TransferError]]] = {}


class IdleConnections:
    """The idle connections of one client to one host. Thread-safe.

    Args:
        host: Address of the host for error messages, without a login.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._connections: list[HTTPConnection] = []
        self._is_retired = False
        with _LOCK:
            _ALL.append(self)

    def add(self, connection: HTTPConnection) -> None:
        """Keep a connection for the next request, after a complete response."""
        self._connections.append(connection)

    def take(self) -> HTTPConnection | None:
        """Return an idle connection that is still open, or None if there is none.

        Raises:
            TransferError: The host has sent a response to no request.
        """
        with suppress(IndexError):
            while True:
                connection = self._connections.pop()
                unread = unread_bytes(connection.sock)
                if unread == b"":
                    return connection
                connection.close()
                self.require_no_response(unread or b"")
        return None

    def require_no_response(self, unread: bytes) -> None:
        """Require that bytes after a response are not another response.

        Raises:
            TransferError: They may be one.
        """
        if has_response(unread):
            _MIXED_UP[self._host] = time.monotonic(), partial(mixed_up_error, self._host)
            raise mixed_up_error(self._host)

    def suspect(self, path: str) -> None:
        """Record that a response was not of the requested file, so that `require_all_settled` fails."""
        _WRONG_SIZE[self._host] = time.monotonic(), partial(wrong_size_error, self._host, path)

    def require_unread(self) -> None:
        """Require that no connection has a response to no request, and close those that the host has closed.

        Raises:
            TransferError: A connection has such a response.
        """
        checked: list[HTTPConnection] = []
        try:
            while (connection := self.take()) is not None:
                checked.append(connection)
        finally:
            self._connections.extend(checked)

    def retire(self) -> None:
        """Record that the client is gone. The connections stay open for `require_all_settled`.

        The garbage collector may call this method at any time, so it takes no lock.
        """
        self._is_retired = True

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets of the connections. Other threads may take or close the connections at any time."""
        return [connection.sock for connection in list(self._connections) if connection.sock is not None]

    @property
    def is_needed(self) -> bool:
        """Whether the client is in use, or has left connections."""
        return not self._is_retired or bool(self._connections)

    @property
    def retired_count(self) -> int:
        """Number of connections whose client is gone."""
        return len(self._connections) if self._is_retired else 0

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.pop().close()


def require_all_settled(age: float, seconds: float = _SETTLE_SECONDS) -> None:
    """Require that no response to a gate may have been the response to another request.

    Args:
        age: Seconds since the start of the gate. What happened before cannot concern the gate, because a connection
            with a response to no request is closed.
        seconds: For so long, no idle connection of any client of this process may get a response to no request.

    Raises:
        TransferError: A server has sent such a response.
    """
    end = time.monotonic() + seconds
    start = end - seconds - age
    with _LOCK:
        every = list(_ALL)
    while True:
        _require_no_error_since(start)
        for idle in every:
            idle.require_unread()
        remaining = end - time.monotonic()
        sockets = [sock for idle in every for sock in idle.sockets]
        if remaining <= 0 or not sockets:
            break
        wait_for_bytes(sockets, remaining)
    _forget_retired(every)


def _require_no_error_since(start: float) -> None:
    for errors in (_MIXED_UP, _WRONG_SIZE):
        for found_at, make_error in list(errors.values()):
            if found_at >= start:
                raise make_error()


def _forget_retired(settled: list[IdleConnections]) -> None:
    """Close the oldest connections of collected clients if there are too many. They are settled."""
    excess = sum(idle.retired_count for idle in settled) - _MAX_RETIRED
    for idle in settled:
        if excess <= 0:
            break
        excess -= idle.retired_count
        if idle.retired_count:
            idle.close()
    with _LOCK:
        _ALL[:] = [idle for idle in _ALL if idle.is_needed]
