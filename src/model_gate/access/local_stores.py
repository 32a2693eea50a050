"""Checks that a database file or a directory is a store of MLflow, without changing it.

MLflow creates its tables in any database that it opens, and its directories in any directory. So only a database with
MLflow's tables and a directory with MLflow's files are handed to MLflow, and a database is opened read-only.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from model_gate.errors import InputError
from model_gate.regular_files import open_regular

# A path such as /proc/self/fd/3 is a different file in each process.
_DEVICE_DIRECTORIES = ("/proc/", "/dev/fd/", "/dev/std")
# Tables that every MLflow since 1.0 makes. `alembic_version` contains the version of the schema.
_TABLES = frozenset({"alembic_version", "experiments", "runs", "registered_models", "model_versions"})
_MAGIC = b"SQLite format 3\x00"
# Byte 18 of a database file is 2 if its transactions are in a write-ahead log, the file with the suffix -wal.
_MODE_OFFSET, _LOG_MODE = 18, 2
_LOCK_SECONDS = 5
# The files of an experiment and of a registered model in a file store.
_STORE_FILES = ("*/meta.yaml", "models/*/meta.yaml")


def read_only_uri(path: Path, label: str) -> str:
    """Return the URI with which SQLAlchemy opens a database of MLflow without changing it or any file beside it.

    Args:
        path: The database file.
        label: The name of the input in error messages.

    Raises:
        InputError: The file cannot be read, or is not a database of MLflow.
    """
    # Without the checks below, MLflow would create a missing database and then find no model in it.
    if os.path.abspath(path).startswith(_DEVICE_DIRECTORIES):
        raise InputError(
            f"{label}: the database {path} may be another file, or none, in the process that reads it.",
            "Name the database by its path in a directory on a disk.",
        )
    try:
        with open(path, "rb", opener=open_regular) as file:
            head = file.read(_MODE_OFFSET + 1)
    except OSError as error:
        raise InputError(
            f"{label}: the database {path} cannot be read: {error.strerror}.",
            "Name the existing database file: sqlite:///relative.db or sqlite:////absolute/path.db.",
        ) from error
    if not head.startswith(_MAGIC):
        raise InputError(f"{label}: {path} is not an SQLite database.", "Name the database file of a tracking server.")
    real_path = path.resolve()
    options = _read_only_options(real_path, label) if head[_MODE_OFFSET:] == bytes([_LOG_MODE]) else "mode=ro"
    location = f"file:{quote(os.fsencode(real_path))}?{options}"
    _require_tables(location, path, label)
    # Without the driver's name in the URI, MLflow would treat the rest as a path and make its directories.
    return f"sqlite+pysqlite:///{location}&uri=true"


def _read_only_options(path: Path, label: str) -> str:
    """Return the SQLite options to read a database with a write-ahead log.

    SQLite's `mode=ro` creates the files -wal and -shm beside such a database if they do not exist, and does not remove
    them. `immutable=1` creates no file, but ignores the log.

    Raises:
        InputError: The log has transactions that cannot be read without a new file.
    """
    log, index = (Path(f"{path}{suffix}") for suffix in ("-wal", "-shm"))
    if not log.exists():
        return "immutable=1&mode=ro"
    if index.exists():
        return "mode=ro"
    if log.stat().st_size == 0:
        return "immutable=1&mode=ro"
    raise InputError(
        f"{label}: the database {path} has transactions in {log.name} that its server has not finished.",
        f"Start its server once, or run: sqlite3 {path} 'pragma wal_checkpoint(truncate)'.",
    )


def _require_tables(location: str, path: Path, label: str) -> None:
    import sqlite3  # slow to import, and few hosts are databases

    try:
        with closing(sqlite3.connect(location, uri=True, timeout=_LOCK_SECONDS)) as connection:
            connection.execute("pragma trusted_schema = off")
            rows = connection.execute("select name from sqlite_master where type = 'table'")
            tables = {str(name) for (name,) in rows}
    except sqlite3.Error as error:
        raise InputError(
            f"{label}: the database {path} cannot be read: {error}.",
            "Check that no other program locks it, and that it is whole: sqlite3 PATH 'pragma integrity_check'.",
        ) from error
    if missing := _TABLES - tables:
        raise InputError(
            f"{label}: {path} is not a database of MLflow: it has no table {min(missing)}.",
            "Name the database file of a tracking server. Model Gate does not change it.",
        )


def require_file_store(path: Path, label: str) -> None:
    """Verify that a directory is a file store of MLflow, such as `mlruns`.

    Raises:
        InputError: The directory has no experiment and no registered model of MLflow, or is a Git repository.
    """
    try:
        is_store = any(file.is_file() for pattern in _STORE_FILES for file in path.glob(pattern))
        is_repository = (path / ".git").exists()
    except OSError as error:
        raise InputError(f"{label}: the directory {path} cannot be read: {error.strerror}.") from error
    if is_repository or not is_store:
        problem = "a Git repository, not" if is_repository else "not"
        raise InputError(
            f"{label}: the directory {path} is {problem} a file store of MLflow.",
            "Name the directory that contains the experiments, such as mlruns.",
        )
