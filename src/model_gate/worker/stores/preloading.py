"""Imports the clients of the clouds before a location is known, while the parent process starts."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from importlib import import_module

# The client of each store that is read without MLflow, by the scheme of its locations.
CLIENTS = {"s3": "boto3", "gs": "google.cloud.storage", "wasbs": "azure.storage.blob"}


def are_read_without_mlflow(schemes: Collection[str]) -> bool:
    """Return whether schemes of locations all name stores that are read without MLflow; false if there is none.

    >>> are_read_without_mlflow(["s3", "gs"]), are_read_without_mlflow(["s3", "abfss"]), are_read_without_mlflow([])
    (True, False, False)
    """
    return bool(schemes) and CLIENTS.keys() >= set(schemes)


def import_clients(schemes: Collection[str]) -> None:
    """Import the clients of the stores that some schemes of `CLIENTS` name.

    A client that is not installed is an error later, when a location needs it.
    """
    for scheme in schemes:
        with suppress(ImportError):
            import_module(CLIENTS[scheme])
