"""The idle connections of all clients of this process, and the responses on them that belong to no request.

A worker caches the clients of 64 locations. A client can be collected before its gate ends. This module keeps the
client's connections and errors until then.
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
# Held while idle connections are checked.
_CHECKING = threading.Lock()
_ALL: list[IdleConnections] = []
# For each host and kind of error: the time of the last error, and a function that makes it. `_MIXED_UP` is checked
# first, because a response to no request is the more certain cause. Each gate gets a new error, because notes are added
# to errors.
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
        # When the client was collected, by the monotonic clock; None if it is in use.
        self.retired_at: float | None = None
        with _LOCK:
            _ALL.append(self)
        _forget_retired()

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
        """Record that the client was collected. The connections stay open for `require_all_settled`.

        The garbage collector may call this method at any time, so it takes no lock.
        """
        self.retired_at = time.monotonic()

    @property
    def sockets(self) -> list[socket.socket]:
        """The sockets of the connections. Other threads may take or close the connections at any time."""
        return [connection.sock for connection in list(self._connections) if connection.sock is not None]

    @property
    def is_needed(self) -> bool:
        """Whether the client is in use, or has left connections."""
        return self.retired_at is None or bool(self._connections)

    @property
    def count(self) -> int:
        """Number of connections."""
        return len(self._connections)

    def close(self) -> None:
        """Close all connections."""
        while self._connections:
            self._connections.pop().close()


def require_all_settled(since: float, seconds: float = _SETTLE_SECONDS) -> None:
    """Require that no response to a gate may have been the response to another request.

    Args:
        since: When the gate began, by the monotonic clock, which all processes share. Earlier errors cannot concern the
            gate, because a connection with a response to no request, or of another size, is closed.
        seconds: How long to wait for responses to no request.

    Raises:
        TransferError: A server has sent such a response.
    """
    with _LOCK:
        every = list(_ALL)
    end = time.monotonic() + seconds
    try:
        while True:
            # Otherwise, the check of another gate could hold the connections of this gate.
            with _CHECKING:
                for idle in every:
                    idle.require_unread()
                sockets = [sock for idle in every for sock in idle.sockets]
            _require_no_error_since(since)
            remaining = end - time.monotonic()
            if remaining <= 0 or not sockets:
                return
            wait_for_bytes(sockets, remaining)
    finally:
        _forget_retired()


def _require_no_error_since(since: float) -> None:
    for errors in (_MIXED_UP, _WRONG_SIZE):
        for found_at, make_error in list(errors.values()):
            if found_at >= since:
                raise make_error()


def _forget_retired() -> None:
    """Close the oldest connections of collected clients if there are too many, after a last check of each.

    A gate that has just used a connection can still get a response on it, so the connection stays open for some time.
    """
    limit = time.monotonic() - _SETTLE_SECONDS
    with _LOCK:
        retired = [idle for idle in _ALL if idle.retired_at is not None and idle.retired_at <= limit]
    excess = sum(idle.count for idle in retired) - _MAX_RETIRED
    for idle in retired:
        if excess <= 0:
            break
        excess -= idle.count
        # The error is recorded, so each gate that runs now gets an error at its end.
        with _CHECKING, suppress(TransferError):
            idle.require_unread()
        idle.close()
    with _LOCK:
        _ALL[:] = [idle for idle in _ALL if idle.is_needed]
