"""Searches in the registries of the current MLflow and of MLflow 2."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from model_gate.access.hosts import parse_host
from model_gate.domain.limits import Limits
from model_gate.domain.version import SelectedVersion
from model_gate.errors import NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.worker.search import ServerSearch
from tests.support.servers import Server, Servers


@pytest.fixture(scope="module", params=["staging", "old"])
def tracking_server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    server: Server = getattr(servers, request.param)
    return server


@pytest.fixture(scope="module")
def client(tracking_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServerClient]:
    home = tmp_path_factory.mktemp("home")
    with TrackingServerClient(parse_host(tracking_server.host), os.environ, home) as started:
        yield started


@pytest.mark.parametrize(
    "version_or_stage, expected",
    [
        ("@champion", SelectedVersion("Wine", "1", ("champion",), "Staging")),
        ("champion", SelectedVersion("Wine", "1", ("champion",), "Staging")),
        (" STAGING ", SelectedVersion("Wine", "1", ("champion",), "Staging")),
        ("01", SelectedVersion("Wine", "1", ("champion",), "Staging")),
    ],
)
def test_versions_are_selected_by_alias_stage_or_number(
    client: TrackingServerClient, version_or_stage: str, expected: SelectedVersion
) -> None:
    assert expected in client.search("W[hi]*", version_or_stage)


def test_every_version_is_selected_without_a_choice(client: TrackingServerClient, servers: Servers) -> None:
    count = 4 if client.host.address == servers.staging.url else 2
    found = client.search("Wine")
    assert [(version.model, version.version) for version in found] == [("Wine", str(n + 1)) for n in range(count)]
    assert found[0] == SelectedVersion("Wine", "1", ("champion",), "Staging")
    assert [version.version for version in client.search("Wine", "latest")] == [str(count)]


def test_versions_are_selected_by_tag(client: TrackingServerClient) -> None:
    assert [version.version for version in client.search("Wine", "", {"team": "risk"})] == ["2"]
    with pytest.raises(NotFoundError, match="has no version with the alias @champion with team=risk"):
        client.search("Wine", "@champion", {"team": "risk"})


@pytest.mark.parametrize(
    "models, version_or_stage, text",
    [
        ("Wein*", "latest", "Similar names: 'Wine'"),
        ("WINE", "latest", "Similar names: 'Wine'"),
        ("Greeting", "", "No registered model matches 'Greeting'."),
        ("Wine", "@challenger", "These models have @champion,"),
    ],
)
def test_error_for_an_empty_selection_names_what_exists(
    client: TrackingServerClient, models: str, version_or_stage: str, text: str
) -> None:
    with pytest.raises(NotFoundError) as raised:
        client.search(models, version_or_stage)
    assert text in f"{raised.value.message} {raised.value.remedy}"


@pytest.mark.parametrize("models", ["[FOW]*", "W*"])
def test_pages_of_three_entries_have_the_same_result_as_one_page(
    tracking_server: Server, models: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", tracking_server.username or "-")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", tracking_server.password or "-")
    client = MlflowClient(tracking_server.url, tracking_server.url)
    pages: list[dict[str, int]] = []
    # Other tests may register models meanwhile, but no versions of these.
    names = {"Wine", "Wine Copy", "Odd", "Forest"}
    searches = [ServerSearch(client, pages.append, replace(Limits(), search_page=size)) for size in (3, 500)]
    small, large = (
        [version for version in search.search(models, "", {}) if version.model in names] for search in searches
    )
    assert small == large
    assert len(small) >= 2
    if tracking_server.username and models != "W*":
        assert len(pages) > 6


def test_login_without_permission_selects_nothing(servers: Servers, tmp_path: Path) -> None:
    url = servers.staging.url.replace("://", "://guest:guest-pass-word-1@")
    with TrackingServerClient(parse_host(url), os.environ, tmp_path) as client, pytest.raises(NotFoundError) as raised:
        client.search("*", "latest")
    assert "or none that this login may see" in raised.value.remedy
