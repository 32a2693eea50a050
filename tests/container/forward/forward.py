"""Forwards connections to port 5000 to the address in TARGET."""

from __future__ import annotations

import os
import socket
import threading


def forward(source: socket.socket, sink: socket.socket) -> None:
    """Forward bytes until the source ends."""
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # The peer closed its connection, so this one ends too.
        return


def main() -> None:
    """Forward connections until the process ends."""
    host, _, port = os.environ["TARGET"].rpartition(":")
    with socket.create_server(("0.0.0.0", 5000)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((host, int(port)))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=forward, args=pair, daemon=True).start()


if __name__ == "__main__":
    main()
