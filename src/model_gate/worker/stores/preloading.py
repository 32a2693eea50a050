"""Imports the clients of the clouds before a location is known, while the parent process starts."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from importlib import import_module

# The client of each store that is read without MLflow, by the scheme of its locations.
CLIENTS = {"s3": "boto3", "gs": "google.cloud.storage", "wasbs": "azure.storage.blob"}


def import_clients(schemes: Collection[str]) -> bool:
    """Import the clients of the stores that schemes of locations name.

    A client that is not installed is an error later, when a location needs it.

    Returns:
        Whether all schemes name stores that are read without MLflow. False if there is no scheme.
    """
    if not schemes or not CLIENTS.keys() >= set(schemes):
        return False
    for scheme in schemes:
        with suppress(ImportError):
            import_module(CLIENTS[scheme])
    return True
