"""A database or directory of another program is an error, and no database is changed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from model_gate.access.hosts import find_host
from model_gate.errors import InputError
from tests.support.databases import TABLES, make_database

# File names that SQLite, SQLAlchemy or MLflow would misread in a URI if they were not escaped.
NAMES = ["a b.db", "a#b.db", "%41.db", "é.db", "a&mode=rwc.db", "file:x.db", "a@b:c.db", "a'b.db"]


def content(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir() if not file.name.endswith("-shm")}


@pytest.mark.parametrize("missing", TABLES)
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_database_of_another_program_is_an_error_and_unchanged(missing: str, journal: str, tmp_path: Path) -> None:
    file = make_database(tmp_path / "x.db", tuple(name for name in TABLES if name != missing), journal)
    before = content(tmp_path)
    with pytest.raises(InputError, match=f"not a database of MLflow: it has no table {missing}") as caught:
        find_host(f"sqlite:///{file}", {}, "--host")
    assert caught.value.message.startswith("--host: ")
    assert caught.value.remedy
    assert content(tmp_path) == before
    assert list(tmp_path.iterdir()) == [file]


def test_database_with_a_view_in_place_of_an_mlflow_table_is_rejected(tmp_path: Path) -> None:
    file = make_database(tmp_path / "x.db", TABLES[1:])
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"create view {TABLES[0]} as select 1")
    with pytest.raises(InputError, match="not a database of MLflow"):
        find_host(f"sqlite:///{file}", {})


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_damaged_database_is_an_error(journal: str, tmp_path: Path) -> None:
    file = make_database(tmp_path / "x.db", journal=journal)
    file.write_bytes(file.read_bytes()[:4096] + bytes(20_000))
    with file.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff" * 200)
    with pytest.raises(InputError, match="cannot be read"):
        find_host(f"sqlite:///{file}", {})


@pytest.mark.parametrize("name", NAMES)
def test_database_of_any_name_can_be_read_but_not_written(name: str, tmp_path: Path) -> None:
    file = make_database(tmp_path / name)
    host = find_host(f"sqlite:///{file}", {})
    assert host.local_path == file.resolve()
    location = host.uri.removeprefix("sqlite+pysqlite:///").removesuffix("&uri=true")
    with closing(sqlite3.connect(location, uri=True)) as connection:
        assert connection.execute("select count(*) from runs").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("create table t (x)")
    assert list(tmp_path.iterdir()) == [file]


@pytest.fixture
def log_database(tmp_path: Path) -> Path:
    return make_database(tmp_path / "x.db", journal="wal")


def rows(host_uri: str) -> int:
    location = host_uri.removeprefix("sqlite+pysqlite:///").removesuffix("&uri=true")
    with closing(sqlite3.connect(location, uri=True)) as connection:
        return int(connection.execute("select count(*) from runs").fetchone()[0])


def test_reading_a_closed_write_ahead_log_database_creates_no_file(log_database: Path) -> None:
    assert rows(find_host(f"sqlite:///{log_database}", {}).uri) == 0
    assert list(log_database.parent.iterdir()) == [log_database]


def test_write_ahead_log_of_a_running_server_is_read(log_database: Path) -> None:
    with closing(sqlite3.connect(log_database)) as server:
        server.execute("insert into runs values (1)")
        server.commit()
        before = content(log_database.parent)
        assert rows(find_host(f"sqlite:///{log_database}", {}).uri) == 1
        assert content(log_database.parent) == before


def test_database_that_sqlite_cannot_read_without_creating_a_file_is_an_error(
    log_database: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with closing(sqlite3.connect(log_database)) as server:
        server.execute("insert into runs values (1)")
        server.commit()
        for suffix in ("", "-wal"):
            shutil.copy(f"{log_database}{suffix}", copy)
    before = content(copy)
    with pytest.raises(InputError, match=r"x\.db-wal") as caught:
        find_host(f"sqlite:///{copy}/x.db", {})
    assert "wal_checkpoint" in caught.value.remedy
    assert content(copy) == before


def test_directory_that_is_no_file_store_is_an_error_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "model-gate.yaml").write_text("x")
    with pytest.raises(InputError, match="not a file store of MLflow") as caught:
        find_host(tmp_path.as_uri(), {})
    assert "mlruns" in caught.value.remedy
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model-gate.yaml", "src"]


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_git_repository_is_no_file_store(kind: str, tmp_path: Path) -> None:
    (tmp_path / "models" / "Wine").mkdir(parents=True)
    (tmp_path / "models" / "Wine" / "meta.yaml").write_text("name: Wine")
    assert find_host(str(tmp_path), {}).local_path == tmp_path.resolve()
    # In a worktree of Git, .git is a file.
    if kind == "directory":
        (tmp_path / ".git").mkdir()
    else:
        (tmp_path / ".git").write_text("gitdir: ../x")
    with pytest.raises(InputError, match="a Git repository"):
        find_host(str(tmp_path), {})
