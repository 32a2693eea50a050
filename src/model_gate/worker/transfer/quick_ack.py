"""TCP quick ACK: makes the kernel acknowledge received packets at once, so that small files arrive without a delay.

Some servers send the head and the body of a response separately, without TCP_NODELAY. Such a server holds the body
until the receiver acknowledges the head. The receiver's kernel delays that acknowledgement by 40 ms on a reused
connection.

An MLflow server with more than one worker process is such a server. Without quick ACK, each small file takes 43 ms
instead of 2 ms.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from urllib3.response import HTTPResponse


_HAS_QUICK_ACK = hasattr(socket, "TCP_QUICKACK")


def enable_quick_ack() -> None:
    """Make all later urllib3 connections of this process use quick ACK. Do nothing on a system without quick ACK."""
    if _HAS_QUICK_ACK:
        HTTPConnectionPool.ConnectionCls = _QuickAckConnection
        HTTPSConnectionPool.ConnectionCls = _QuickAckSecureConnection


def set_quick_ack(connection: HTTPConnection) -> None:
    """Make the kernel acknowledge the next packets of a connection at once."""
    sock: Any = connection.sock
    if sock is not None and _HAS_QUICK_ACK:
        # The kernel resets this option, so each response needs it again.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class _QuickAckConnection(HTTPConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3 overrides the type too
        set_quick_ack(self)
        return super().getresponse()


class _QuickAckSecureConnection(HTTPSConnection):
    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # urllib3 overrides the type too
        set_quick_ack(self)
        return super().getresponse()
