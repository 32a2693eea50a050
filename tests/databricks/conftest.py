"""Verify after each test that the gates and workers contacted only what the test declares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def declared_requests_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Assert that all requests of the test went to declared origins, with credentials that belong there."""
    workspaces = request.getfixturevalue("workspaces") if "workspaces" in request.fixturenames else None
    yield
    if workspaces is not None:
        workspaces.require_declared()
