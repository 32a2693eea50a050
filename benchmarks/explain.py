"""Benchmark of explanations of large files: time, compared with reading both files twice, and peak memory.

    .venv/bin/python benchmarks/explain.py [--gib 2]

Each pair of files is created in a temporary directory, explained in a separate process and removed.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_gate.explanation import Explainer

CHUNK = 1024 * 1024
# The files consist of copies of this chunk. Random bytes cannot be compressed, and copies are fast to write.
_NOISE = os.urandom(CHUNK)


@dataclass(frozen=True)
class Cost:
    """The measurements for one pair of files.

    Attributes:
        summary: Summary of the explanation.
        explain_seconds: Duration of the explanation.
        read_twice_seconds: Duration of reading both files twice.
        peak_bytes: Peak memory of the process.
    """

    summary: str
    explain_seconds: float
    read_twice_seconds: float
    peak_bytes: int


def _fill(file: Path, size: int, head: bytes = b"", *, change_at: int | None = None) -> None:
    with file.open("wb") as stream:
        stream.write(head)
        for _ in range(size // CHUNK):
            stream.write(_NOISE)
        if change_at is not None:
            stream.seek(len(head) + change_at)
            stream.write(struct.pack("<f", 1.0))


def sparse(left: Path, right: Path, size: int) -> None:
    """Create two sparse files. One of them has a single byte of data."""
    for file in (left, right):
        with file.open("wb") as stream:
            stream.truncate(size)
    with right.open("r+b") as stream:
        stream.seek(size - 1)
        stream.write(b"\1")


def noise(left: Path, right: Path, size: int) -> None:
    """Create two files that differ in nearly every byte."""
    _fill(left, size)
    with right.open("wb") as stream:
        shifted = _NOISE[1:] + _NOISE[:1]
        for _ in range(size // CHUNK):
            stream.write(shifted)


def _header(size: int) -> bytes:
    header = json.dumps({"weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header


def one_weight(left: Path, right: Path, size: int) -> None:
    """Create two safetensors files that differ in one weight."""
    size = size // CHUNK * CHUNK
    _fill(left, size, _header(size))
    _fill(right, size, _header(size), change_at=size // 2)


def all_weights(left: Path, right: Path, size: int) -> None:
    """Create two safetensors files that differ in every weight, as after retraining."""
    size = size // CHUNK * CHUNK
    _fill(left, size, _header(size))
    with right.open("wb") as stream:
        stream.write(_header(size))
        shifted = _NOISE[4:] + _NOISE[:4]
        for _ in range(size // CHUNK):
            stream.write(shifted)


def archive(left: Path, right: Path, size: int) -> None:
    """Create two archives with the member names of PyTorch that differ only in the times of the members."""
    for file, year in ((left, 2025), (right, 2026)):
        with zipfile.ZipFile(file, "w") as target:
            for index in range(8):
                with target.open(zipfile.ZipInfo(f"model/data/{index}", (year, 1, 1, 0, 0, 0)), "w") as member:
                    for _ in range(size // 8 // CHUNK):
                        member.write(_NOISE)


PAIRS: dict[str, tuple[str, Callable[[Path, Path, int], None]]] = {
    "sparse": ("model.bin", sparse),
    "noise": ("model.bin", noise),
    "one weight": ("model.safetensors", one_weight),
    "all weights": ("model.safetensors", all_weights),
    "archive": ("model.pt", archive),
    "pickle": ("model.pkl", noise),
}


def measure(kind: str, size: int, directory: Path) -> Cost:
    """Create a pair of files, explain it in a separate process, and remove it."""
    name, make = PAIRS[kind]
    left, right = directory / f"left-{name}", directory / f"right-{name}"
    try:
        make(left, right, size)
        process = subprocess.run(
            [sys.executable, __file__, "--child", name, str(left), str(right)],
            check=True,
            capture_output=True,
            text=True,
        )
        return Cost(**json.loads(process.stdout))
    finally:
        left.unlink(missing_ok=True)
        right.unlink(missing_ok=True)


def _child(name: str, left: str, right: str) -> None:
    # The first read fills the page cache, so both measurements read from memory.
    _read(left, right)
    started = time.perf_counter()
    for _ in range(2):
        _read(left, right)
    read_twice_seconds = time.perf_counter() - started
    started = time.perf_counter()
    explanation = Explainer().explain(name, left, right)
    explain_seconds = time.perf_counter() - started
    peak = _peak_bytes()
    summary = explanation.summary + (f" [{explanation.note}]" if explanation.note else "")
    sys.stdout.write(json.dumps(Cost(summary, explain_seconds, read_twice_seconds, peak).__dict__))


def _peak_bytes() -> int:
    # VmHWM is used because ru_maxrss includes the memory of the parent before exec.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def _read(*files: str) -> None:
    for file in files:
        with open(file, "rb", buffering=0) as stream:
            buffer = bytearray(CHUNK)
            while stream.readinto(buffer):
                pass


def main() -> None:
    """Measure each kind of pair and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=2.0, help="size of each file (default: 2)")
    parser.add_argument("--only", choices=PAIRS, action="append", help="only this kind of pair")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
        return
    size = int(arguments.gib * 1024**3)
    write = sys.stdout.write
    write(f"Two files of {arguments.gib:g} GiB each\n\n")
    write(f"{'pair':12}{'explained in':>14}{'read twice in':>15}{'peak memory':>13}  explanation\n")
    with tempfile.TemporaryDirectory() as directory:
        for kind in arguments.only or PAIRS:
            cost = measure(kind, size, Path(directory))
            times = f"{cost.explain_seconds:>12.1f} s{cost.read_twice_seconds:>13.1f} s"
            peak = f"{cost.peak_bytes / 1024**2:.0f} MB"
            write(f"{kind:12}{times}{peak:>13}  {cost.summary}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
