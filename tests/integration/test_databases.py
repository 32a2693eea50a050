"""A worker reads a tracking server's database without changing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.gates import check
from tests.support.servers import Servers


def copy_database(source: Path, target: Path) -> Path:
    """Copy the database of a running server."""
    with closing(sqlite3.connect(source)) as left, closing(sqlite3.connect(target)) as right:
        left.backup(right)
    return target


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "a b#c"
    directory.mkdir()
    return directory


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_database_is_read_and_unchanged(journal: str, servers: Servers, directory: Path, tmp_path: Path) -> None:
    file = copy_database(Path(servers.staging.directory, "mlflow.db"), directory / "mlflow.db")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"pragma journal_mode = {journal}")
    before = content(directory)
    result = check(tmp_path, f"sqlite:///{file}", "Wine")
    result.require_error("ModelError", "which only a running tracking server can read")
    missing = check(tmp_path, f"sqlite:///{file}", "no such model")
    missing.require_error("NotFoundError", "no such model")
    assert content(directory) == before


def test_empty_database_is_read_and_unchanged(servers: Servers, directory: Path, tmp_path: Path) -> None:
    file = copy_database(Path(servers.staging.directory, "mlflow.db"), directory / "mlflow.db")
    with closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
        for (table,) in tables.fetchall():
            if table != "alembic_version":
                connection.execute(f"delete from {table}")  # noqa: S608  # the name of a table
        connection.commit()
    before = content(directory)
    check(tmp_path, f"sqlite:///{file}", "Wine").require_error("NotFoundError", "Wine")
    assert content(directory) == before


@pytest.mark.parametrize("has_all_tables", [False, True])
def test_database_of_another_mlflow_version_is_an_error_and_unchanged(
    has_all_tables: bool, servers: Servers, directory: Path, tmp_path: Path
) -> None:
    server = servers.staging if has_all_tables else servers.old
    file = copy_database(Path(server.directory, "mlflow.db"), directory / "mlflow.db")
    if has_all_tables:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("update alembic_version set version_num = 'cc1f77228345'")
            connection.commit()
    before = content(directory)
    result = check(tmp_path, f"sqlite:///{file}", "Wine")
    result.require_error("InputError", "another version of MLflow", f"mlflow db upgrade sqlite:///{file}")
    assert content(directory) == before


def test_database_of_another_program_is_an_error_and_unchanged(directory: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(directory / "x.db")) as connection:
        connection.execute("create table experiments (x)")
        connection.commit()
    before = content(directory)
    result = check(tmp_path, f"sqlite:///{directory}/x.db", "Wine")
    result.require_error("InputError", "not a database of MLflow", "does not change it")
    assert content(directory) == before
