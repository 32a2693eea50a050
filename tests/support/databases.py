"""SQLite databases with the names of MLflow's tables, or of another program's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

TABLES = ("alembic_version", "experiments", "runs", "registered_models", "model_versions")


def make_database(file: Path, tables: tuple[str, ...] = TABLES, journal: str = "delete") -> Path:
    """Make a database with empty tables, and return its path."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"pragma journal_mode = {journal}")
        for table in tables:
            connection.execute(f"create table {table} (x)")
        connection.commit()
    return file
