"""A TCP listener that records connections and the bytes that it receives, and answers nothing."""

from __future__ import annotations

import socket
import threading
from types import TracebackType


class Listener:
    """A listener on this machine. Use it as a context manager.

    Attributes:
        connections: Number of accepted connections.
        received: All bytes that the connections sent.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.connections = 0
        self.received = b""
        self._socket = socket.create_server((address, 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(1)
                try:
                    self.received += connection.recv(65536)
                except OSError:
                    continue
