"""A lookup of a model, a version, a run or a logged model is an error if the server answers with another one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import UnreachableError
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


def _look_up_other(**names: str) -> Fault:
    """Return a function that answers a lookup as one of other names."""

    def respond(call: Call) -> None:
        query = {**call.request.query, **{key: [value] for key, value in names.items()}}
        call.server.respond(replace(call, request=replace(call.request, query=query)))

    return respond


@pytest.mark.parametrize(
    "lookup, other, message",
    [
        ("name=Wine", {"name": "Other"}, "the registered model 'Wine' with 'Other'"),
        ("model-versions/get?name=Wine", {"name": "Other"}, "the version 'Wine/1' with 'Other/1'"),
        ("model-versions/get?name=Wine", {"version": "2"}, "the version 'Wine/1' with 'Wine/2'"),
    ],
)
def test_answer_with_another_model_or_version_is_an_error(
    server: FaultyServer, tmp_path: Path, lookup: str, other: dict[str, str], message: str
) -> None:
    server.faults = {lookup: _look_up_other(**other)}
    ran = compare(tmp_path, version(server.url, "Other"), version(server.url, "Wine"))
    ran.require_error("UnreachableError", f"answers the request for {message}")


def test_answer_with_the_name_of_a_model_in_another_case_is_accepted(server: FaultyServer, tmp_path: Path) -> None:
    server.faults = {"name=WINE": _look_up_other(name="Wine")}
    ran = compare(tmp_path, version(server.url, "Other"), version(server.url, "WINE", "2"))
    assert (ran.exit_code, ran.status) == (0, "equal"), ran


@pytest.mark.parametrize("endpoint", ["registered-models/get", "model-versions/get?", "get-download-uri"])
def test_redirect_of_a_lookup_to_another_one_is_an_error(server: FaultyServer, tmp_path: Path, endpoint: str) -> None:
    def redirect(call: Call) -> None:
        path = call.handler.path
        if "name=Wine" in path:
            call.send(b"", 302, location=path.replace("Wine", "Other"))
        else:
            server.respond(call)

    server.faults = {endpoint: redirect}
    ran = compare(tmp_path, version(server.url, "Other"), version(server.url, "Wine"))
    ran.require_error("UnreachableError", f"{endpoint.rstrip('?')} to something else, which is not followed")


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
        with pytest.raises(UnreachableError, match=f"answers the request for {message}"):
            client.locate(uri)
