"""Accepts connections on port 5000, and forwards each to the address in the variable TARGET."""

from __future__ import annotations

import os
import socket
import threading


def forward(source: socket.socket, sink: socket.socket) -> None:
    """Copy bytes from `source` to `sink` until `source` ends or a connection breaks."""
    try:
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One of the peers has closed its connection, so nothing is left to forward.
        return


def main() -> None:
    """Accept and forward connections until the process is killed."""
    host, _, port = os.environ["TARGET"].rpartition(":")
    with socket.create_server(("0.0.0.0", 5000)) as listener:
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((host, int(port)))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=forward, args=pair, daemon=True).start()


if __name__ == "__main__":
    main()
