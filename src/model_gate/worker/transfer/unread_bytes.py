"""Finds bytes on a connection that belong to no response.

A server or a proxy that sends a response twice would make each later response on the connection the response to an
earlier request. A file would then have the content of another file. HTTP/1.1 has no means to see that when a response
arrives, so the bytes between the responses are checked: before each request, after each response, and after the last.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress

from model_gate.domain.wording import printable
from model_gate.errors import TransferError

_MAX_BYTES = 4096
# Some servers send 408 when a connection is idle for too long. Old servers end a body with a line break.
_HARMLESS = re.compile(rb"\s*(?:HTTP/1\.[01] 408.*)?", re.DOTALL)


def unread_bytes(connection: socket.socket | None) -> bytes | None:
    """Return the first bytes that wait on an idle connection, b"" if there are none; None if the connection is closed.

    The bytes are gone then: close the connection if there are any.
    """
    if connection is None:
        return None
    connection.settimeout(0)
    try:
        return connection.recv(_MAX_BYTES) or None
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return b""
    except OSError:
        return None


def wait_for_bytes(connections: Iterable[socket.socket], seconds: float) -> None:
    """Wait until bytes arrive on one of several connections, or one is closed, but no longer than `seconds`."""
    poll = select.poll()
    for connection in connections:
        # A closed socket has no descriptor.
        with suppress(ValueError):
            poll.register(connection, select.POLLIN)
    poll.poll(seconds * 1000)


def has_response(unread: bytes) -> bool:
    r"""Return whether bytes after a response may be another one. White space, or one 408 response, are harmless.

    >>> has_response(b""), has_response(b"HTTP/1.1 408 Request Timeout\r\n\r\n"), has_response(b"HTTP/1.1 200 OK")
    (False, False, True)
    """
    return not _HARMLESS.fullmatch(unread) or unread.count(b"HTTP/1.") > 1


def mixed_up_error(host: str) -> TransferError:
    """Return the error for a host that has sent a response to no request."""
    return TransferError(
        f"The host {host} sends a response to no request. Other responses may be mixed up too.",
        "Check the server, and the proxies in front of it.",
    )


def wrong_size_error(host: str, path: str) -> TransferError:
    """Return the error for a host whose response did not have the size of the requested file, "" if it is not known."""
    file = printable(path) or "a file"
    return TransferError(
        f"The host {host} once sent a response of another size in place of {file}. If that was the response to another"
        " request, other responses may be mixed up too.",
        "Run the gate again. If the error comes back, check the server, and the proxies in front of it: they may send a"
        " page of their own in place of a file.",
    )
