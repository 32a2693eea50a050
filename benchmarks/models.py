"""Functions that create models of given sizes from random bytes. The models can be compared but not loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.environment import KIB, MIB

_NOISE = os.urandom(MIB)
_MLMODEL = "artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.pyfunc.model\n"
SMALL_FILE = 4 * KIB
FILES_PER_DIRECTORY = 100

Make = Callable[[Path], None]


def one_file(size: int) -> Make:
    """Return a function that creates a model with one file of `size` bytes."""

    def make(directory: Path) -> None:
        _write_mlmodel(directory)
        _fill(directory / "model.bin", size)

    return make


def small_files(number: int, *, longer: int = 0) -> Make:
    """Return a function that creates a model with `number` files of 4 KiB, a hundred in each directory.

    The last file is `longer` bytes longer than the others.
    """

    def make(directory: Path) -> None:
        _write_mlmodel(directory)
        for index in range(number):
            file = directory / "data" / f"{index // FILES_PER_DIRECTORY:03}" / f"{index:06}.bin"
            if index % FILES_PER_DIRECTORY == 0:
                file.parent.mkdir(parents=True)
            content = _small_content(index)
            file.write_bytes(content + b"\0" * longer if index == number - 1 else content)

    return make


def equal_files(number: int, size: int, *, beside: int = 0) -> Make:
    """Return a function that creates a model with `number` files of `size` bytes.

    If `beside` is not 0, the model has one more file, of `beside` bytes.
    """

    def make(directory: Path) -> None:
        _write_mlmodel(directory)
        for index in range(number):
            _fill(directory / f"part-{index:03}.bin", size)
        if beside:
            _fill(directory / "model.bin", beside)

    return make


def sparse_file(size: int) -> Make:
    """Return a function that creates a model with one sparse file, which occupies no disk space on the server."""

    def make(directory: Path) -> None:
        _write_mlmodel(directory)
        with (directory / "model.bin").open("wb") as stream:
            stream.truncate(size)

    return make


def mixed(size: int, number: int, *, large: int = 1) -> Make:
    """Return a function that creates a model with `large` files of `size` bytes and `number` small files."""

    def make(directory: Path) -> None:
        small_files(number)(directory)
        for index in range(large):
            _fill(directory / f"part-{index:03}.bin", size)

    return make


def small_tree(directory: Path, number: int) -> None:
    """Create a directory tree with `number` files of 1 KiB, a hundred in each directory."""
    for index in range(number):
        parent = f"{directory}/{index // FILES_PER_DIRECTORY:04}"
        if index % FILES_PER_DIRECTORY == 0:
            os.makedirs(parent)
        with open(f"{parent}/{index:06}.bin", "wb", buffering=0) as stream:
            stream.write(_small_content(index)[:KIB])


def _write_mlmodel(directory: Path) -> None:
    (directory / "MLmodel").write_text(_MLMODEL, "utf-8")


def _small_content(index: int) -> bytes:
    # Each file has another content, so that a comparison with the wrong file finds a difference.
    return b"%012d" % index + _NOISE[: SMALL_FILE - 12]


def _fill(file: Path, size: int) -> None:
    with file.open("wb") as stream:
        left = size
        while left > 0:
            left -= stream.write((b"%012d" % left + _NOISE[12:])[:left])
