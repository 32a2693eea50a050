"""Prepares and writes the report file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from model_gate.errors import StorageError, storage_error
from model_gate.reporting.report import Json


def prepare_report(path: Path, inputs: Sequence[Path] = ()) -> None:
    """Verify before any work that a report can be written, and remove the report of an earlier command.

    Args:
        path: The report file. Missing directories are created, and symbolic links are followed.
        inputs: Files that the report must not overwrite, and directories that must not contain it.

    Raises:
        StorageError: The report cannot be written there.
    """
    try:
        if path.exists() and not path.is_file():
            # Writing replaces the path, and root can replace even /dev/null.
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise StorageError(f"The report file {path} is {kind}.", "Name a file.")
        path = _real_path(path)
        if any(path.is_relative_to(_real_path(input_path)) for input_path in inputs):
            raise StorageError(f"The report file {path} would change an input.", "Name another --report-file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        os.unlink(probe)
        # An old report could be mistaken for the report of this command.
        path.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, f"write the report {path}") from error


def write_report(report: Json, path: Path) -> None:
    """Write a report atomically: the file is complete or does not exist.

    Raises:
        StorageError: The report cannot be written.
    """
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    path = _real_path(path)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise storage_error(error, f"write the report {path}") from error


def _real_path(path: Path) -> Path:
    # Before Python 3.13, Path.resolve raises an error for a loop of links.
    return Path(os.path.realpath(path))


def _umask() -> int:
    # The umask can be read only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
