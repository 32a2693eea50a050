"""Resolution of versions by number, stage, alias or `latest`, and errors for missing versions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import MODEL, Call, FaultyServer
from tests.support.gates import check, run
from tests.support.servers import Server, Servers


# The worker of each server starts once.
@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"resolution_{name}")) for name in ("staging", "old")],
)
def server(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServerClient]:
    tracking_server: Server = getattr(servers, request.param)
    home = tmp_path_factory.mktemp("home")
    with TrackingServerClient(parse_host(tracking_server.host), os.environ, home) as started:
        yield started


@pytest.mark.parametrize(
    "version_or_stage, number",
    [
        ("1", "1"),
        ("02", "2"),
        ("Staging", "1"),
        ("sTAGING", "1"),
        ("champion", "1"),
        ("@champion", "1"),
        (" @champion ", "1"),
    ],
)
def test_version_is_resolved_by_number_stage_or_alias(
    server: TrackingServerClient, version_or_stage: str, number: str
) -> None:
    assert server.resolve("Wine", version_or_stage).version == number


def test_version_latest_resolves_to_the_highest_version_number(server: TrackingServerClient, servers: Servers) -> None:
    expected = "4" if server.host.address == servers.staging.url else "2"
    assert server.resolve("Wine", "latest").version == expected
    assert server.resolve("Wine", "LATEST").version == expected


@pytest.mark.parametrize(
    "model, version_or_stage, message, remedy",
    [
        ("Wein", "1", "no registered model 'Wein'", "Did you mean 'Wine'?"),
        ("WINE", "1", "no registered model 'WINE'", "Did you mean 'Wine'?"),
        ("qqqqqq", "1", "no registered model 'qqqqqq'", "No name is similar. This server has "),
        ("Greeting", "1", "'Greeting' is a prompt, not a registered model", "Name a registered model."),
        ("Wine", "champoin", "no version, stage or alias 'champoin'", "Did you mean @champion?"),
        ("Wine", "Stagin", "no version, stage or alias 'Stagin'", "Did you mean Staging?"),
        ("Wine", "99", "no version 99 of 'Wine'", "Available: versions "),
        ("Wine", "archived", "no version in stage Archived", "; stage"),
        ("Wine", "challenger", "no version, stage or alias 'challenger'", "alias @champion (1)"),
        ("Wine", "@Champion", "'Wine' has no alias '@Champion'.", "alias @champion (1)"),
    ],
)
def test_error_for_a_missing_version_lists_existing_versions(
    server: TrackingServerClient, model: str, version_or_stage: str, message: str, remedy: str
) -> None:
    with pytest.raises(NotFoundError) as raised:
        server.resolve(model, version_or_stage)
    assert message in raised.value.message
    assert remedy in raised.value.remedy


def test_different_uris_of_the_same_model_resolve_to_the_same_location(servers: Servers, tmp_path: Path) -> None:
    location, seeds = servers.seeds["location"], servers.seeds
    with TrackingServerClient(parse_host(servers.staging.host), os.environ, tmp_path) as server:
        for uri in (
            location,
            f"models:/{seeds['model_id']}",
            "models:/Wine/1",
            "models:/Wine/Staging",
            "models:/Wine@champion",
            "models:/Wine Copy/1",
            "models:/Wine Copy Of Copy/latest",
            f"runs:/{seeds['run_id']}/wine",
        ):
            assert server.locate(uri).uri == location, uri
        for uri in (f"models:/m-{'0' * 32}", f"runs:/{'0' * 32}/wine", "models:/Nothing/1", "models:/Wine"):
            with pytest.raises(ModelGateError) as raised:
                server.locate(uri)
            is_about_an_id = "000" in uri
            assert raised.value.remedy.startswith("Check the ID in the URI.") == is_about_an_id


@pytest.mark.parametrize(
    "model, version_or_stage, texts",
    [
        ("wine", "1", ["There is no registered model 'wine'", "Did you mean 'Wine'?"]),
        ("Copy", "1", ["There is no registered model 'Copy'", "'Wine Copy Of Copy'"]),
        ("Wine", "77", ["There is no version 77 of 'Wine'", "versions 4, 3, 2, 1", "Staging (1)", "@champion (1)"]),
        ("Wine", "Archived", ["no version in stage Archived", "stages Production (2), Staging (1)"]),
        ("Wine", "@gold", ["'Wine' has no alias '@gold'", "alias @champion (1)"]),
        ("Empty", "latest", ["'Empty' has no version at all", "register one first"]),
    ],
)
def test_check_of_a_missing_version_prints_existing_versions(
    tmp_path: Path, servers: Servers, model: str, version_or_stage: str, texts: list[str]
) -> None:
    result = check(tmp_path, servers.staging, model, version_or_stage)
    result.require_error("NotFoundError", f" (on {servers.staging.url}).", *texts)
    assert result.report["model_version"]["requested"] == {"model": model, "version_or_stage": version_or_stage}
    assert result.report["model_version"]["resolved"] is None


class MovingLatest:
    """A fault that responds to each request for a registered model with a later version as its latest one.

    Attributes:
        count: Number of requests.
    """

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, call: Call) -> None:
        self.count += 1
        name = call.request.query["name"][0]
        latest = {"name": name, "version": str(self.count), "current_stage": "None", "status": "READY"}
        call.send_json({"registered_model": {"name": name, "latest_versions": [latest]}})


@pytest.fixture
def moving() -> Iterator[FaultyServer]:
    """A server whose latest version of `Wine` is version 1 in its first response, and version 2 in its second one."""
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("Wine", MODEL | {"model.pkl": b"version 2"}, "2")
        server.sources["Copy", "1"] = "models:/Wine/latest"
        yield server


def test_latest_version_in_the_report_is_the_version_that_is_compared(tmp_path: Path, moving: FaultyServer) -> None:
    moving.add("copies", MODEL)
    moving.downloads["Wine", "1"] = moving.sources["copies", "1"]
    moving.faults["registered-models/get"] = MovingLatest()
    result = check(tmp_path, moving.url, "Wine", "latest")
    assert (result.status, result.report["model_version"]["resolved"]["version"]) == ("equal", "1"), result
    assert set(moving.fetched) == {f"{model}/1/{path}" for model in ("Wine", "copies") for path in MODEL}


def test_source_that_names_latest_is_resolved_once(tmp_path: Path, moving: FaultyServer) -> None:
    moving.faults["registered-models/get?name=Wine"] = latest = MovingLatest()
    result = check(tmp_path, moving.url, "Copy", "1")
    assert (result.status, result.report["comparison"]["same_location"]) == ("equal", True), result
    assert result.report["comparison"]["run_model"]["uri"] == "mlflow-artifacts:/Wine/1"
    assert latest.count == 1


def test_registered_model_of_a_check_is_looked_up_once(tmp_path: Path, moving: FaultyServer) -> None:
    result = check(tmp_path, moving.url, "Wine", "1")
    assert result.status == "equal", result
    lookups = [request.path.rpartition("/mlflow/")[2] for request in moving.requests]
    assert lookups.count("registered-models/get") == 1
    assert lookups.count("model-versions/get-download-uri") == 1


def test_latest_version_of_a_diff_is_resolved_once(tmp_path: Path, moving: FaultyServer) -> None:
    moving.faults["registered-models/get?name=Wine"] = latest = MovingLatest()
    environment = {"MLFLOW_TRACKING_URI": moving.url}
    (tmp_path / "model").mkdir()
    for path, content in MODEL.items():
        (tmp_path / "model" / path).parent.mkdir(exist_ok=True)
        (tmp_path / "model" / path).write_bytes(content)
    result = run(tmp_path, "diff", tmp_path / "model", "models:/Copy/1", environment=environment)
    assert result.status == "equal", result
    assert latest.count == 1
