"""A TCP forwarder in a separate process that counts bytes and can simulate a slow network link.

    python -m benchmarks.link PORT [--latency MILLISECONDS] [--rate BYTES_PER_SECOND]

The program prints the port that it listens on. For each line on standard input it prints the number of bytes that the
server sent since the previous line. It exits when standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.environment import KIB, MIB, ROOT

_CHUNK = 32 * KIB
_FAST_CHUNK = MIB


@dataclass(frozen=True)
class Shape:
    """The latency and the rate limit of each connection.

    Attributes:
        latency: Round-trip time in seconds.
        rate: Bytes per second in each direction; 0 for no limit.
    """

    latency: float = 0.0
    rate: float = 0.0


class Link:
    """A running forwarder."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}"

    def received(self) -> int:
        """Return the bytes that the server sent on all connections since the previous call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def link_to(url: str, shape: Shape = Shape()) -> Iterator[Link]:
    """Run a forwarder to the server at `url`."""
    command = [sys.executable, "-m", "benchmarks.link", url.rpartition(":")[2]]
    command += ["--latency", str(shape.latency * 1000), "--rate", str(shape.rate)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Link(process, int(process.stdout.readline()))
        assert process.stdin is not None
        process.stdin.close()


class _Forwarder:
    def __init__(self, target: int, shape: Shape) -> None:
        self._target = target
        self._shape = shape
        self.received = 0

    async def accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", self._target, limit=2 * _FAST_CHUNK)
        # On a real link, the TCP handshake takes one round trip.
        request_stream = self._forward(client, to_server, self._shape.latency)
        try:
            await asyncio.gather(request_stream, self._forward(server, to_client, 0, counted=True))
        finally:
            for writer in (to_server, to_client):
                writer.close()

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, start_delay: float, *, counted: bool = False
    ) -> None:
        chunks = self._delayed(source, start_delay) if self._shape != Shape() else _plain(source)
        # A closed connection is a ConnectionError, or ENOTCONN when the end is sent.
        with contextlib.suppress(OSError):
            async for chunk in chunks:
                if counted:
                    self.received += len(chunk)
                target.write(chunk)
                await target.drain()
            target.write_eof()

    async def _delayed(self, source: asyncio.StreamReader, start_delay: float) -> AsyncIterator[bytes]:
        """Yield the data of `source`, delayed by half the round-trip time and limited to the rate."""
        loop = asyncio.get_running_loop()
        one_way, rate = self._shape.latency / 2, self._shape.rate
        # The queue holds the data that is on its way, and a little more so that the queue is never empty.
        in_flight: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=4 + int(one_way * rate / _CHUNK))

        async def read() -> None:
            link_free = loop.time() + start_delay
            while True:
                chunk = b""
                with contextlib.suppress(ConnectionError):
                    chunk = await source.read(_CHUNK)
                # A chunk is sent after the previous one, and takes its size divided by the rate.
                link_free = max(link_free, loop.time()) + (len(chunk) / rate if rate else 0.0)
                await in_flight.put((link_free + one_way, chunk))
                if not chunk:
                    return

        reading = asyncio.create_task(read())
        try:
            while True:
                due, chunk = await in_flight.get()
                if (wait := due - loop.time()) > 0:
                    await asyncio.sleep(wait)
                if not chunk:
                    return
                yield chunk
        finally:
            reading.cancel()


async def _plain(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await source.read(_FAST_CHUNK):
        yield chunk


async def _serve(target: int, shape: Shape) -> None:
    forwarder = _Forwarder(target, shape)
    server = await asyncio.start_server(forwarder.accept, "127.0.0.1", 0, limit=2 * _FAST_CHUNK, backlog=512)
    _print(server.sockets[0].getsockname()[1])
    control = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), sys.stdin)
    while await control.readline():
        _print(forwarder.received)
        forwarder.received = 0
    # A normal exit would wait for open connections.
    os._exit(0)


def _print(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def main() -> None:
    """Forward connections until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, Shape(arguments.latency / 1000, arguments.rate)))


if __name__ == "__main__":
    main()
