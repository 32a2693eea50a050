"""Hands connections to port 5000 on to the address in TARGET."""

from __future__ import annotations

import os
import socket
import threading


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Hand bytes on until there are no more."""
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # The other side is gone: so is this connection.
        return


def main() -> None:
    """Serve for ever."""
    host, _, port = os.environ["TARGET"].rpartition(":")
    with socket.create_server(("0.0.0.0", 5000)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((host, int(port)))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()


if __name__ == "__main__":
    main()
