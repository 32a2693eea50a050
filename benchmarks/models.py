"""Models of given shapes: noise that is quickly made, below an `MLmodel`. They are compared, never loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.surroundings import KIB, MIB

_NOISE = os.urandom(MIB)
_MLMODEL = "artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n"
SMALL_FILE = 4 * KIB
FILES_PER_DIRECTORY = 100

Make = Callable[[Path], None]


def one_file(size: int) -> Make:
    """A model that is one file of so many bytes."""

    def make(directory: Path) -> None:
        _describe(directory)
        _fill(directory / "model.bin", size)

    return make


def small_files(number: int, *, longer: int = 0) -> Make:
    """A model of 4 KiB files, a hundred in a directory; the last one is `longer` by so many bytes."""

    def make(directory: Path) -> None:
        _describe(directory)
        for index in range(number):
            file = directory / "data" / f"{index // FILES_PER_DIRECTORY:03}" / f"{index:06}.bin"
            if index % FILES_PER_DIRECTORY == 0:
                file.parent.mkdir(parents=True)
            content = _small(index)
            file.write_bytes(content + b"\0" * longer if index == number - 1 else content)

    return make


def equal_files(number: int, size: int, *, beside: int = 0) -> Make:
    """A model of files of one size, and one of `beside` bytes if that is not 0."""

    def make(directory: Path) -> None:
        _describe(directory)
        for index in range(number):
            _fill(directory / f"part-{index:03}.bin", size)
        if beside:
            _fill(directory / "model.bin", beside)

    return make


def sparse_file(size: int) -> Make:
    """A model of one file that takes no disk where it is served from."""

    def make(directory: Path) -> None:
        _describe(directory)
        with (directory / "model.bin").open("wb") as stream:
            stream.truncate(size)

    return make


def mixed(size: int, number: int) -> Make:
    """A large file and small ones."""

    def make(directory: Path) -> None:
        small_files(number)(directory)
        _fill(directory / "model.bin", size)

    return make


def small_tree(directory: Path, number: int) -> None:
    """A plain directory of small files of 1 KiB, a hundred in each of its directories."""
    for index in range(number):
        parent = f"{directory}/{index // FILES_PER_DIRECTORY:04}"
        if index % FILES_PER_DIRECTORY == 0:
            os.makedirs(parent)
        with open(f"{parent}/{index:06}.bin", "wb", buffering=0) as stream:
            stream.write(_small(index)[:KIB])


def _describe(directory: Path) -> None:
    (directory / "MLmodel").write_text(_MLMODEL, "utf-8")


def _small(index: int) -> bytes:
    # No two alike, or one could be had in place of another.
    return b"%012d" % index + _NOISE[: SMALL_FILE - 12]


def _fill(file: Path, size: int) -> None:
    with file.open("wb") as stream:
        left = size
        while left > 0:
            left -= stream.write((b"%012d" % left + _NOISE[12:])[:left])
