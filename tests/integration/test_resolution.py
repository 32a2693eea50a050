"""How a version may be named, and what is said when there is none of that name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.errors import ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.gates import check
from tests.support.servers import Server, Servers


@pytest.fixture(scope="module", params=["staging", "old"])
def server(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrackingServerClient]:
    named: Server = getattr(servers, request.param)
    home = tmp_path_factory.mktemp("home")
    with TrackingServerClient(parse_host(named.host), os.environ, home) as started:
        yield started


@pytest.mark.parametrize(
    "named, number",
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
def test_a_version_is_named_by_number_stage_or_alias(server: TrackingServerClient, named: str, number: str) -> None:
    assert server.resolve("Wine", named).version == number


def test_latest_is_the_highest_number_whatever_its_stage(server: TrackingServerClient, servers: Servers) -> None:
    expected = "4" if server.host.address == servers.staging.url else "2"
    assert server.resolve("Wine", "latest").version == expected
    assert server.resolve("Wine", "LATEST").version == expected


@pytest.mark.parametrize(
    "model, named, message, remedy",
    [
        ("Wein", "1", "no registered model 'Wein'", "'Wine'"),
        ("Wine", "99", "no version 99 of 'Wine'", "There is: versions "),
        ("Wine", "archived", "no version in stage Archived", "stages "),
        ("Wine", "challenger", "no version, stage or alias 'challenger'", "aliases @champion (1)"),
        ("Wine", "@Champion", "no version, stage or alias '@Champion'", "aliases @champion (1)"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(
    server: TrackingServerClient, model: str, named: str, message: str, remedy: str
) -> None:
    with pytest.raises(NotFoundError) as raised:
        server.resolve(model, named)
    assert message in raised.value.message
    assert remedy in raised.value.remedy


def test_a_uri_is_followed_to_the_place_that_it_names(servers: Servers, tmp_path: Path) -> None:
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
            assert server.locate(uri) == location, uri
        for uri in (f"models:/m-{'0' * 32}", f"runs:/{'0' * 32}/wine", "models:/Nothing/1", "models:/Wine"):
            with pytest.raises(ModelGateError):
                server.locate(uri)


@pytest.mark.parametrize(
    "model, named, texts",
    [
        ("wine", "1", ["There is no registered model 'wine'", "'Wine'"]),
        ("Wine", "77", ["There is no version 77 of 'Wine'", "versions 4, 3, 2, 1", "Staging (1)", "@champion (1)"]),
        ("Wine", "Archived", ["no version in stage Archived", "stages Production (2), Staging (1)"]),
        ("Wine", "@gold", ["no version, stage or alias '@gold'", "aliases @champion (1)"]),
        ("Empty", "latest", ["'Empty' has no version at all", "register one first"]),
    ],
)
def test_a_user_is_told_what_exists(tmp_path: Path, servers: Servers, model: str, named: str, texts: list[str]) -> None:
    ran = check(tmp_path, servers.staging, model, named)
    ran.require_error("NotFoundError", *texts)
    assert ran.report["model_version"]["requested"] == {"model": model, "version_or_stage": named}
    assert ran.report["model_version"]["resolved"] is None
