"""Endless or huge responses of a hostile server, and a measurement of the resources that a gate uses meanwhile."""

from __future__ import annotations

import gzip
import os
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from tests.support.faulty_server import Call, Fault

MIB = 1024 * 1024


def stream_endlessly(call: Call) -> None:
    """Send chunks without an end."""
    call.send(b"", content_length="", transfer_encoding="chunked", content_type="application/octet-stream")
    _repeat(call, b"%x\r\n%s\r\n" % (65_536, b"x" * 65_536))


def continue_endlessly(call: Call) -> None:
    """Send `100 Continue` responses without an end, and never the final response."""
    _repeat(call, b"HTTP/1.1 100 Continue\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")


def stream_without_length(call: Call) -> None:
    """Send bytes without an end, neither in chunks nor with a length."""
    call.send(b"", content_length="", connection="close", content_type="application/octet-stream")
    _repeat(call, b"x" * 65_536)
    call.close()


def compressed_endlessly(call: Call) -> None:
    """Send a gzip stream of zeros without an end."""
    call.send(b"", content_length="", transfer_encoding="chunked", content_encoding="gzip")
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    zeros = bytes(16 * MIB)
    with suppress(OSError):
        while not call.server.is_closing.is_set():
            piece = compressor.compress(zeros)
            if piece:
                call.handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                call.handler.wfile.flush()


def _repeat(call: Call, piece: bytes) -> None:
    with suppress(OSError):
        while not call.server.is_closing.is_set():
            call.handler.wfile.write(piece)


def bomb() -> Fault:
    """Return a fault that sends 1 MiB of gzip, which decompresses to 1 GiB of JSON."""
    body = _bomb()
    return lambda call: call.send(body, content_encoding="gzip")


@cache
def _bomb() -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    blanks = b" " * (16 * MIB)
    return b"".join(compressor.compress(blanks) for _ in range(64)) + compressor.compress(b"{}") + compressor.flush()


def compressed_values(call: Call) -> None:
    """Send a short response of 10 million JSON values, each of which takes 64 bytes of memory."""
    call.send(gzip.compress(b'{"files": [' + b"{}," * 10_000_000 + b"{}]}"), content_encoding="gzip")


def drip(seconds: float) -> Fault:
    """Return a fault that sends the file byte by byte, with this pause between two bytes."""

    def send_slowly(call: Call) -> None:
        call.send(b"", content_length=str(len(call.file)))
        with suppress(OSError):
            for number in range(len(call.file)):
                call.handler.wfile.write(call.file[number : number + 1])
                call.handler.wfile.flush()
                if call.server.is_closing.wait(seconds):
                    return

    return send_slowly


def many_files(count: int) -> Fault:
    """Return a fault that lists this many files in every directory."""
    entries = b",".join(b'{"path": "%06d", "is_dir": false, "file_size": 1}' % number for number in range(count))
    body = b'{"files": [' + entries + b"]}"
    return lambda call: call.send(body)


@dataclass
class Usage:
    """The resources that a gate and its workers used.

    Attributes:
        memory: Peak memory of all processes together, in bytes.
        scratch: Peak size of all files below the monitored directories, in bytes on the disk.
        seconds: Duration.
    """

    memory: int = 0
    scratch: int = 0
    seconds: float = 0.0

    def require_bounded(self) -> None:
        assert 0 < self.memory < 600 * MIB, self
        assert self.scratch < 300 * MIB, self
        assert self.seconds < 120, self


@contextmanager
def monitored(*directories: Path) -> Iterator[Usage]:
    """Measure, in a `with` block, the gates and workers that this process starts and the files in `directories`."""
    usage = Usage()
    start = time.monotonic()
    stopped = threading.Event()
    thread = threading.Thread(target=_measure, args=(usage, directories, stopped))
    thread.start()
    try:
        yield usage
    finally:
        stopped.set()
        thread.join()
        usage.seconds = time.monotonic() - start


def _measure(usage: Usage, directories: tuple[Path, ...], stopped: threading.Event) -> None:
    while not stopped.wait(0.05):
        usage.memory = max(usage.memory, sum(map(_memory, psutil.Process().children(recursive=True))))
        usage.scratch = max(usage.scratch, sum(map(_size, directories)))


def _memory(process: psutil.Process) -> int:
    """Return the resident memory of a gate or a worker in bytes, or 0 for any other process.

    The test process can have other children: servers of other tests, and for a moment the copy of itself that becomes
    the gate.
    """
    with suppress(psutil.Error):
        if any("model_gate" in argument or "model-gate" in Path(argument).name for argument in process.cmdline()):
            return int(process.memory_info().rss)
    return 0


def _size(directory: Path) -> int:
    size = 0
    for root, _, files in os.walk(directory):
        for file in files:
            with suppress(OSError):
                size += os.lstat(os.path.join(root, file)).st_blocks * 512
    return size
