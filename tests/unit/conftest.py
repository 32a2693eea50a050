"""Fixtures for unit tests that read models logged by MLflow."""

from __future__ import annotations

import pytest

from tests.support import logged_models
from tests.support.logged_models import LoggedModels


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> LoggedModels:
    """Models that MLflow logged, which all tests of a run share. Tests must not change them."""
    return logged_models.shared(tmp_path_factory.getbasetemp())
