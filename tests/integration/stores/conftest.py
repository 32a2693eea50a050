"""The store and the worker of each cloud, which start once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.opened_stores import CLOUDS, Opened, open_store


# The worker of each cloud starts once for all modules of this package. Other tests count the workers that run.
@pytest.fixture(
    scope="package", params=[pytest.param(cloud, marks=pytest.mark.xdist_group(f"stores_{cloud}")) for cloud in CLOUDS]
)
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    with open_store(request.param, tmp_path_factory.mktemp("home")) as (store, client):
        yield Opened(store, client)


@pytest.fixture
def opened(started: Opened) -> Opened:
    for part in (started.store.files, started.store.faults, started.store.requests):
        part.clear()
    return started
