"""A real server of MLflow 2, which gunicorn runs: it ends responses after a time limit, and cannot resume them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_gate.access.declared import Declarations
from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.location import Location
from model_gate.errors import TransferError
from model_gate.sources.model_source import AccessContext, ServerSource
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.gate_in_windows import WINDOWS
from tests.support.paths import ROOT
from tests.support.servers import await_health, environment, free_port

# gunicorn's own limit is 30 s.
_LIMIT_SECONDS = 8
# The server sends a file line by line, so that it needs longer than the limit for this one.
_CONTENT = (b"." * 63 + b"\n") * 2**21
_ENDED = rf"^model\.bin ended after [\d,]+ bytes and \d+ s, but was listed with {len(_CONTENT):,}\. "


@contextmanager
def mlflow_2(home: Path, workers: int) -> Iterator[str]:
    """Run a server with two equal models at `mlflow-artifacts:/left` and `/right`, and yield its address."""
    for name in ("left", "right"):
        (home / "artifacts" / name).mkdir(parents=True)
        (home / "artifacts" / name / "MLmodel").write_text("flavors: {}\n")
        (home / "artifacts" / name / "model.bin").write_bytes(_CONTENT)
    port = free_port()
    command = [str(ROOT / ".venv-mlflow2/bin/mlflow"), "server", "--port", str(port), "--workers", str(workers)]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    # The limit holds for the start of a worker too, which is short if the server has imported MLflow before.
    command += ["--gunicorn-opts", f"--timeout {_LIMIT_SECONDS} --preload"]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment(), cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        await_health(process, url)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def compare(url: str, home: Path) -> None:
    variables = environment(MLFLOW_TRACKING_URI=url)
    host = Declarations(variables).default()
    with TrackingServerClient(host, variables, home) as client, Storage(None) as storage:
        left, right = (
            ServerSource(client, Location(f"mlflow-artifacts:/{name}"), name, storage, AccessContext())
            for name in ("left", "right")
        )
        compare_models([SelectedPair(SelectedModel(left), SelectedModel(right))], NoProgress(), windows=WINDOWS)


def test_error_of_a_response_that_the_server_ends_names_the_time_and_the_option(tmp_path: Path) -> None:
    with mlflow_2(tmp_path, workers=2) as url, pytest.raises(TransferError, match=_ENDED) as raised:
        compare(url, tmp_path)
    assert raised.value.message.endswith(f"The file is on {url}.")
    assert "--timeout 300" in raised.value.remedy


def test_error_of_a_server_that_sends_one_file_at_a_time_names_the_pause_and_the_options(tmp_path: Path) -> None:
    with mlflow_2(tmp_path, workers=1) as url, pytest.raises(TransferError, match=_ENDED) as raised:
        compare(url, tmp_path)
    assert "Model Gate did not read from it for" in raised.value.message
    assert "--workers 4" in raised.value.remedy
    assert "--download-dir" in raised.value.remedy
