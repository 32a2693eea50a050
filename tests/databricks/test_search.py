"""Searches in the two registries of a workspace. Each page of the emulator has three entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from model_gate.access.hosts import find_host
from model_gate.domain.gates import AgainstServer, Entry, Selection
from model_gate.domain.host import Host
from model_gate.domain.request import CompareRequest
from model_gate.domain.version import SelectedVersion
from model_gate.errors import AccessError, InputError, ModelGateError, NotFoundError
from model_gate.selection import expand
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces

_FILES = {"MLmodel": WINE["MLmodel"]}


def _fill(blueprint: Blueprint) -> Blueprint:
    def version(kind: str, name: str, number: str, **more: Any) -> None:
        blueprint.version(kind, name, number, _FILES, source="runs:/1/model", **more)

    for number in range(1, 8):
        version("registry", f"wine_{number}", "1", stage="Production")
        version("registry", f"wine_{number}", "2", tags={"team": "risk"} if number % 2 else {})
        version("catalog", f"ml.prod.wine_{number}", "1", aliases=["champion"])
        version("catalog", f"ml.prod.wine_{number}", "2", tags={"team": "risk"} if number % 2 else {})
    for number in range(3, 9):
        version("registry", "wine_1", str(number))
    version("registry", "churn", "1")
    version("registry", "secret", "1")
    version("catalog", "ml.prod.churn", "1")
    version("catalog", "ml.other.wine", "1", aliases=["champion"])
    version("catalog", "vault.prod.wine", "1")
    version("catalog", "ml.closed.secret", "1")
    version("catalog", "ml.closed.open", "1")
    blueprint.settings(denied=["USE CATALOG:vault", "EXECUTE:ml.closed.secret", "model:secret"], registry_aliases=True)
    blueprint.data["registry"]["wine_3"]["aliases"] = {"champion": "2"}
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("search")
    with (
        EmulatedWorkspace(_fill(Blueprint(directory / "search", "dapi-search-0123456789"))) as workspace,
        EmulatedWorkspace(Blueprint(directory / "trap", "dapi-trap-0123456789")) as trap,
    ):
        yield Workspaces(directory, {"search": workspace}, trap)


@pytest.fixture(scope="module")
def registry(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://search", "wine") as client:
        yield client


@pytest.fixture(scope="module")
def catalog(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks-uc://search", "ml.prod.wine") as client:
        yield client


def _names(found: tuple[SelectedVersion, ...]) -> list[str]:
    return [f"{version.model}/{version.version}" for version in found]


def test_workspace_versions_are_selected_by_stage(registry: TrackingServerClient) -> None:
    found = registry.search("wine_*", "production")
    assert found == tuple(SelectedVersion(f"wine_{number}", "1", (), "Production") for number in range(1, 8))


def test_workspace_versions_are_selected_by_alias_latest_and_tag(registry: TrackingServerClient) -> None:
    assert _names(registry.search("wine_*", "@champion")) == ["wine_3/2"]
    assert _names(registry.search("wine_[12]", "latest")) == ["wine_1/8", "wine_2/2"]
    assert _names(registry.search("wine_*", "", {"team": "risk"})) == [f"wine_{number}/2" for number in (1, 3, 5, 7)]


def test_every_version_of_a_workspace_model_is_found_on_all_pages(registry: TrackingServerClient) -> None:
    assert _names(registry.search("wine_1")) == [f"wine_1/{number}" for number in range(1, 9)]


def test_catalog_versions_are_selected_by_alias_and_latest(catalog: TrackingServerClient) -> None:
    assert _names(catalog.search("ml.prod.*", "@champion")) == [f"ml.prod.wine_{number}/1" for number in range(1, 8)]
    assert _names(catalog.search("ml.prod.wine_[12]", "latest")) == ["ml.prod.wine_1/2", "ml.prod.wine_2/2"]


def test_catalog_versions_are_selected_by_tag(catalog: TrackingServerClient) -> None:
    found = catalog.search("ml.prod.wine_*", "latest", {"team": "risk"})
    assert _names(found) == [f"ml.prod.wine_{number}/2" for number in (1, 3, 5, 7)]


def test_listing_of_a_schema_requests_only_that_schema(workspaces: Workspaces, catalog: TrackingServerClient) -> None:
    before = len(workspaces["search"].requests)
    catalog.search("ml.prod.churn", "latest")
    listings = [each for each in workspaces["search"].requests[before:] if each["path"].endswith("/models")]
    assert {(each["query"]["catalog_name"], each["query"]["schema_name"]) for each in listings} == {("ml", "prod")}


def test_glob_without_a_schema_searches_all_schemas(catalog: TrackingServerClient) -> None:
    assert "ml.other.wine/1" in _names(catalog.search("ml.*", "@champion"))
    assert "ml.other.wine/1" in _names(catalog.search("*.wine", "latest"))


def test_model_that_the_login_may_only_browse_is_not_left_out(catalog: TrackingServerClient) -> None:
    secret, wine = catalog.search("*.[sw]*", "latest")[0], catalog.search("vault.*", "latest")[0]
    found = {version.model: version for version in catalog.search("ml.closed.*", "latest")}
    assert found["ml.closed.open"].version == "1"
    for version in (found["ml.closed.secret"], secret, wine):
        assert not version.version
        assert "may browse" in version.problem


def test_workspace_model_that_the_login_may_not_read_hides_no_other(registry: TrackingServerClient) -> None:
    found = {version.model: version for version in registry.search("[cs]*", "")}
    assert found["churn"].version == "1"
    assert "permission to 'View' registered model" in found["secret"].problem


@pytest.mark.parametrize(
    "models, version_or_stage, kind, text",
    [
        ("ml.prod.wime_*", "latest", NotFoundError, "Similar names: 'ml.prod.wine_"),
        ("ml.nowhere.*", "latest", NotFoundError, "Schema 'ml.nowhere' does not exist"),
        ("ml.prod.*", "@missing", NotFoundError, "8 registered models match 'ml.prod.*', but none has"),
        ("ml.prod.*", "Production", InputError, "Unity Catalog has no stages"),
        ("vault.prod.*", "latest", AccessError, "USE SCHEMA on its schema and USE CATALOG on its catalog"),
    ],
)
def test_error_of_a_catalog_search_names_the_remedy(
    catalog: TrackingServerClient, models: str, version_or_stage: str, kind: type[ModelGateError], text: str
) -> None:
    with pytest.raises(kind) as raised:
        catalog.search(models, version_or_stage)
    assert text in f"{raised.value.message} {raised.value.remedy}"


def test_error_of_a_workspace_search_lists_similar_names(registry: TrackingServerClient) -> None:
    with pytest.raises(NotFoundError) as raised:
        registry.search("wime_*", "latest")
    assert "'wine_1'" in raised.value.remedy


def test_migration_from_workspace_registry_to_catalog_names_missing_and_extra_models(
    workspaces: Workspaces, registry: TrackingServerClient, catalog: TrackingServerClient
) -> None:
    def search(host: Host, models: str, version_or_stage: str, tags: Any) -> tuple[SelectedVersion, ...]:
        assert host.workspace is not None
        client = registry if host.workspace.registry == "workspace" else catalog
        return client.search(models, version_or_stage, tags)

    host = find_host("databricks://search", workspaces.environment)
    target = AgainstServer(host, (("*", "ml.prod.*"),), "@champion")
    selection = Selection(Entry("all", "gates.yaml", 1, "0"), host, "[cw]*", "latest", target)
    gates = {gate.name: gate for gate in expand(selection, search)}
    assert list(gates) == ["all/churn", *(f"all/wine_{number}" for number in range(1, 8))]
    error = gates["all/churn"].error
    assert error is not None
    assert "'ml.prod.churn' with @champion is missing there" in error.message
    request = gates["all/wine_1"].request
    assert isinstance(request, CompareRequest)
    left, right = request.versions.values()
    assert (left.model, left.version_or_stage) == ("wine_1", "8")
    assert (right.model, right.version_or_stage) == ("ml.prod.wine_1", "1")
    assert [each.host.workspace.registry for each in (left, right) if each.host.workspace] == [
        "workspace",
        "unity-catalog",
    ]
