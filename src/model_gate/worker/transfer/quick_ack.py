"""Connections that acknowledge at once, so that small files do not wait for a timer.

A server that writes an answer's head and body apart, without TCP_NODELAY, holds the body back until the head is
acknowledged; the client's kernel delays that acknowledgement by 40 ms once a connection is in use. MLflow's server with
more than one worker does so: each small file then takes 43 ms instead of 2.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from urllib3.response import HTTPResponse


_CAN_ACKNOWLEDGE = hasattr(socket, "TCP_QUICKACK")


def enable_quick_ack() -> None:
    """Make all connections of this process that MLflow opens from now on acknowledge at once, where the system can."""
    if _CAN_ACKNOWLEDGE:
        HTTPConnectionPool.ConnectionCls = _PromptConnection
        HTTPSConnectionPool.ConnectionCls = _PromptSecureConnection


def set_quick_ack(connection: HTTPConnection) -> None:
    """Have the kernel acknowledge what comes next on a connection at once."""
    sock: Any = connection.sock
    if sock is not None and _CAN_ACKNOWLEDGE:
        # Not kept by the kernel: it has to be said again for each answer.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _PromptConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 declares its own
        set_quick_ack(self)
        return super().getresponse()


class _PromptSecureConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 declares its own
        set_quick_ack(self)
        return super().getresponse()
