"""The time limit of a download depends on the listed sizes, within bounds."""

from __future__ import annotations

import os

import pytest

from model_gate.domain.limits import LIMITS
from model_gate.worker.artifacts import ArtifactReader
from tests.support.faulty_server import FaultyServer, listing

# MLflow leaves some connections to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.parametrize(
    "size, seconds",
    [
        (0, LIMITS.first_byte_seconds),
        (LIMITS.store_bytes_per_second * 100, LIMITS.first_byte_seconds + 100),
        (10**15, LIMITS.first_byte_max_seconds),
    ],
)
def test_time_until_the_first_byte_is_limited_whatever_the_listed_size(
    size: int, seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_GATE_OWN_TIMEOUT", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    entry = {"path": "MLmodel", "is_dir": False, "file_size": size}
    with FaultyServer(faults={"artifacts?": listing(entry)}) as server:
        assert ArtifactReader(server.url).list("mlflow-artifacts:/Wine/1", lambda _: None) == {"MLmodel": size}
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == str(seconds)
