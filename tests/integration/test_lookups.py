"""A lookup of a model, a version, a run or a logged model is an error if the server answers with another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import TransferError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import Call, Fault, FaultyServer
from tests.support.gates import compare, version

_FILES = {"MLmodel": b"flavors: {}\n", "model.pkl": b"left"}


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as started:
        started.add("Other", _FILES)
        started.add("Wine", {**_FILES, "model.pkl": b"right"})
        started.add("Wine", _FILES, "2")
        yield started


def _look_up_other(old: str, new: str) -> Fault:
    """Return a function that redirects a lookup to another one."""
    return lambda call: call.send(b"", 302, location=call.handler.path.replace(old, new))


@pytest.mark.parametrize(
    "lookup, old, new, message",
    [
        ("name=Wine", "Wine", "Other", "the registered model 'Wine' with 'Other'"),
        ("model-versions/get?name=Wine", "Wine", "Other", "the version 'Wine/1' with 'Other/1'"),
        ("model-versions/get?name=Wine&version=1", "version=1", "version=2", "the version 'Wine/1' with 'Wine/2'"),
    ],
)
def test_answer_with_another_model_or_version_is_an_error(
    server: FaultyServer, tmp_path: Path, lookup: str, old: str, new: str, message: str
) -> None:
    server.faults = {lookup: _look_up_other(old, new)}
    ran = compare(tmp_path, version(server.url, "Other"), version(server.url, "Wine"))
    ran.require_error("TransferError", f"answers the request for {message}")


def test_answer_with_the_name_of_a_model_in_another_case_is_accepted(server: FaultyServer, tmp_path: Path) -> None:
    server.faults = {"name=WINE": _look_up_other("WINE", "Wine")}
    ran = compare(tmp_path, version(server.url, "Other"), version(server.url, "WINE", "2"))
    assert (ran.exit_code, ran.status) == (0, "equal"), ran


@pytest.mark.parametrize(
    "uri, message", [("runs:/1/model", "the run '1' with '2'"), ("models:/m-1", "the logged model 'm-1' with 'm-2'")]
)
def test_answer_with_another_run_or_logged_model_is_an_error(
    server: FaultyServer, tmp_path: Path, uri: str, message: str
) -> None:
    run = {
        "run_id": "2",
        "experiment_id": "1",
        "artifact_uri": "mlflow-artifacts:/Other/1",
        "lifecycle_stage": "active",
    }
    model = {"model_id": "m-2", "experiment_id": "1", "name": "model", "artifact_uri": "mlflow-artifacts:/Other/1"}

    def send_model(call: Call) -> None:
        call.send_json({"model": {"info": model, "data": {}}})

    server.faults = {
        "runs/get": lambda call: call.send_json({"run": {"info": run, "data": {}}}),
        "logged-models/m-1": send_model,
    }
    with TrackingServerClient(parse_host(server.url), os.environ, tmp_path) as client:  # noqa: SIM117
        with pytest.raises(TransferError, match=f"answers the request for {message}"):
            client.locate(uri)
