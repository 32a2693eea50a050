"""A TCP forwarder to a server, which acts once before it forwards the first request that matches a pattern."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_BLOCK = 64 * 1024


@dataclass
class Trigger:
    """Something to do before the first request that matches the pattern `request`."""

    request: bytes
    act: Callable[[], object]
    has_acted: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def see(self, data: bytes) -> None:
        with self._lock:
            if not self.has_acted and re.search(self.request, data):
                self.has_acted = True
                self.act()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    # socketserver would wait for connections that a client keeps open.
    block_on_close = False
    request_queue_size = 128


@contextmanager
def forward(url: str, trigger: Trigger) -> Iterator[str]:
    """Run a forwarder to the server at `url`, and return the address of the forwarder."""
    port = int(url.rpartition(":")[2])

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as server:
                answers = threading.Thread(target=_copy, args=(server, self.request, None), daemon=True)
                answers.start()
                _copy(self.request, server, trigger)
                answers.join()

    with _Server(("127.0.0.1", 0), Handler) as forwarder:
        threading.Thread(target=forwarder.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{forwarder.server_address[1]}"
        finally:
            forwarder.shutdown()


def _copy(source: socket.socket, target: socket.socket, trigger: Trigger | None) -> None:
    with suppress(OSError):
        while data := source.recv(_BLOCK):
            if trigger:
                trigger.see(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
