"""Keeps MLflow from changing a database that it reads.

MLflow creates missing tables in each database that it opens, and a missing default experiment.
"""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import parse_qsl

from mlflow.store.db import utils
from mlflow.store.model_registry import sqlalchemy_store as registry_store
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.engine import URL

from model_gate.worker.failures import outdated_schema


def open_unchanged(uri: str, address: str) -> str:
    """Keep MLflow from changing a database, and return the URI to open it with.

    Args:
        uri: URI of the database. If it contains a `file:` URI of SQLite, that URI is percent-encoded once.
        address: Address of the database, for error messages.
    """
    _forbid_changes(address)
    driver, separator, rest = uri.partition(":///file:")
    if not separator:
        return uri
    path, _, query = rest.partition("?")
    # SQLAlchemy 2.1 percent-decodes the path, 2.0 does not. SQLite decodes it once in any case. If a path were
    # decoded twice, a `#` in it could cut off the URI's options, and SQLite would create a file.
    url = URL.create(driver, database=f"file:{path}", query=dict(parse_qsl(query)))
    return url.render_as_string(hide_password=False)


def _forbid_changes(address: str) -> None:
    """Replace the functions of MLflow that change a database when it is opened. Error messages contain `address`."""

    def refuse(*_: Any) -> NoReturn:
        raise outdated_schema(address)

    def do_nothing(*_: Any) -> None:
        """Do not create the default experiment, because a gate does not need it."""

    # `registry_store` has imported `_initialize_tables` by name, so it is replaced in both modules.
    registry_store._initialize_tables = refuse  # type: ignore[attr-defined]  # noqa: SLF001
    utils._initialize_tables = refuse  # noqa: SLF001
    utils._upgrade_db = refuse  # noqa: SLF001
    SqlAlchemyStore._create_default_experiment = do_nothing  # type: ignore[method-assign]  # noqa: SLF001
