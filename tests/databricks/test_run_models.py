"""In a workspace too, a `runs:/` or `models:/` URI leads to the model that MLflow loads, or to an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from model_gate.errors import AccessError, InputError, ModelError, ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces

pytestmark = pytest.mark.xdist_group("databricks_run_models")  # the workspaces start once

ONE, TWO, BOTH, PLAIN, EMPTY, PENDING = (digit * 32 for digit in "123456")
LOGGED = "dbfs:/databricks/mlflow-tracking/77/logged_models/{}/artifacts"
RUN = "dbfs:/databricks/mlflow-tracking/77/{}/artifacts"


def model_id(digit: str) -> str:
    return "m-" + digit * 32


def fill(blueprint: Blueprint) -> Blueprint:
    # The emulator's pages have three entries: the models of interest are on several pages.
    for number in range(4):
        blueprint.logged_model(model_id(f"{number}")[:-1] + "f", {"MLmodel": b"other run"}, "f" * 32)
    for run in (ONE, TWO, EMPTY, PENDING):
        blueprint.run(run, {})
    blueprint.run(BOTH, WINE)
    plain = blueprint.run(PLAIN, WINE)
    first = blueprint.logged_model(model_id("a"), WINE, ONE)
    blueprint.logged_model(model_id("b"), {"MLmodel": b"first"}, TWO)
    for number in range(4):
        blueprint.logged_model(model_id(f"{number}")[:-1] + "e", {"MLmodel": b"other name"}, TWO, name="other")
    blueprint.logged_model(model_id("c"), {"MLmodel": b"second"}, TWO)
    blueprint.logged_model(model_id("d"), {"MLmodel": b"logged"}, BOTH)
    blueprint.logged_model(model_id("e"), WINE, PENDING, status="LOGGED_MODEL_PENDING")
    for kind, prefix in (("registry", ""), ("catalog", "ml.prod.")):
        blueprint.version(kind, f"{prefix}wine", "1", WINE, source=plain)
        blueprint.version(kind, f"{prefix}wine", "2", WINE, source=plain, status="FAILED_REGISTRATION")
        blueprint.version(kind, f"{prefix}wine", "3", WINE, source=first)
        blueprint.version(kind, f"{prefix}two", "1", WINE, source=f"runs:/{TWO}/model")
        blueprint.version(kind, f"{prefix}one", "1", WINE, source=f"runs:/{ONE}/model")
        blueprint.version(kind, f"{prefix}failed", "1", WINE, source=f"models:/{prefix}wine/2")
        blueprint.version(kind, f"{prefix}latest", "1", WINE, source=f"models:/{prefix}wine/latest")
    blueprint.version("catalog", "ml.prod.foreign", "1", WINE, source="models:/wine/2")
    blueprint.version("registry", "m-wine", "1", WINE, source=plain)
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("runs")
    denied = fill(Blueprint(directory / "denied", "dapi-denied-0123456789"))
    denied.settings(denied=["logged-models"])
    listing_denied = fill(Blueprint(directory / "listing", "dapi-listing-0123456789"))
    body = '{"error_code": "PERMISSION_DENIED", "message": "User does not have permission."}'
    for listing in (f"/fs/directories/.*{BOTH}", "/mlflow/artifacts/list"):
        listing_denied.fault(listing, status=403, times=0, body=body)
    endless = fill(Blueprint(directory / "endless", "dapi-endless-0123456789"))
    endless.fault("/logged-models/search", times=0, body='{"models": [], "next_page_token": "9"}')
    old = fill(Blueprint(directory / "old", "dapi-old-0123456789"))
    body = '{"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found."}'
    old.fault("/logged-models/search", status=404, times=0, body=body)
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "test", "dapi-test-0123456789"))) as test,
        EmulatedWorkspace(denied) as denied_workspace,
        EmulatedWorkspace(listing_denied) as listing_workspace,
        EmulatedWorkspace(endless) as endless_workspace,
        EmulatedWorkspace(old) as old_workspace,
        EmulatedWorkspace(Blueprint(directory / "trap", "dapi-trap-0123456789")) as trap,
    ):
        running = {
            "test": test,
            "denied": denied_workspace,
            "listing": listing_workspace,
            "endless": endless_workspace,
            "old": old_workspace,
        }
        yield Workspaces(directory, running, trap)


@pytest.fixture(scope="module")
def registry(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://test", "wine") as client:
        yield client


@pytest.fixture(scope="module")
def catalog(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks-uc://test", "ml.prod.wine") as client:
        yield client


def failure(kind: type[ModelGateError], client: TrackingServerClient, uri: str) -> str:
    with pytest.raises(kind) as caught:
        client.locate(uri)
    return f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.parametrize(
    "uri, location",
    [
        (f"runs:/{ONE}/model", LOGGED.format(model_id("a"))),
        (f"runs:/{ONE}/model/data/deep", LOGGED.format(model_id("a")) + "/data/deep"),
        (f"runs://test@databricks/{ONE}/model", LOGGED.format(model_id("a"))),
        (f"runs:/{PLAIN}/model", RUN.format(PLAIN) + "/model"),
        (f"runs:/{TWO}/notes", RUN.format(TWO) + "/notes"),
        (f"runs:/{TWO}/it's", RUN.format(TWO) + "/it's"),
        (f"models:/{model_id('b')}", LOGGED.format(model_id("b"))),
        ("models:/m-wine/1", "models:/m-wine/1"),
    ],
)
def test_uri_resolves_to_the_logged_model_or_the_run_artifacts(
    registry: TrackingServerClient, uri: str, location: str
) -> None:
    assert registry.locate(uri).uri == location


def test_name_shared_by_two_logged_models_is_ambiguous(registry: TrackingServerClient) -> None:
    message = failure(ModelError, registry, f"runs:/{TWO}/model")
    assert f"models:/{model_id('b')}" in message
    assert f"models:/{model_id('c')}" in message
    assert "2 logged models named 'model'" in message


def test_diff_of_an_ambiguous_name_is_an_error(workspaces: Workspaces) -> None:
    uris = (f"runs://test@databricks/{TWO}/model", f"models://test@databricks/{model_id('b')}")
    result = workspaces.run("diff", *uris)
    assert result.code == 2
    assert result.report["error"]["type"] == "ModelError"
    assert f"models:/{model_id('c')}" in result.error


def test_name_shared_by_a_logged_model_and_run_artifacts_is_ambiguous(registry: TrackingServerClient) -> None:
    message = failure(ModelError, registry, f"runs:/{BOTH}/model/data")
    assert f"both a logged model 'model', models:/{model_id('d')}, and artifacts" in message


def test_logged_model_that_is_not_ready_is_an_error(registry: TrackingServerClient) -> None:
    assert "its status is PENDING" in failure(ModelError, registry, f"runs:/{PENDING}/model")
    assert "its status is PENDING" in failure(ModelError, registry, f"models:/{model_id('e')}")


@pytest.mark.parametrize("name", ["model", "notes", "it's"])
def test_forbidden_search_for_logged_models_is_an_error(workspaces: Workspaces, name: str) -> None:
    with workspaces.client("databricks://denied", "wine") as client:
        assert "'View' experiment" in failure(AccessError, client, f"runs:/{PLAIN}/{name}")


def test_forbidden_listing_of_run_artifacts_is_an_error(workspaces: Workspaces) -> None:
    with workspaces.client("databricks://listing", "wine") as client:
        assert "does not have permission" in failure(AccessError, client, f"runs:/{BOTH}/model")


def test_endless_search_for_logged_models_is_an_error(workspaces: Workspaces) -> None:
    with workspaces.client("databricks://endless", "wine") as client:
        assert "does not end" in failure(ModelError, client, f"runs:/{ONE}/model")


def test_missing_search_api_is_an_error_only_for_a_run_with_logged_models(workspaces: Workspaces) -> None:
    with workspaces.client("databricks://old", "wine") as client:
        assert client.locate(f"runs:/{PLAIN}/model").uri == RUN.format(PLAIN) + "/model"
        assert "No API found" in failure(ModelGateError, client, f"runs:/{ONE}/model")


@pytest.mark.parametrize("host, prefix", [("databricks://test", ""), ("databricks-uc://test", "ml.prod.")])
def test_source_that_is_a_run_uri_is_resolved_unless_it_is_ambiguous(
    workspaces: Workspaces, host: str, prefix: str
) -> None:
    result = workspaces.check(host, f"{prefix}one", "1")
    assert result.report["status"] == "equal", result.output
    (hop,) = result.report["model_version"]["resolved"]["run_model_hops"]
    uri = f"runs:/{ONE}/model"
    expected = {"uri": uri, "status": "READY", "model_id": model_id("a"), "run_id": ONE, "lifecycle_stage": "active"}
    assert hop == expected
    result = workspaces.check(host, f"{prefix}two", "1")
    assert result.code == 2
    assert "2 logged models named 'model'" in result.error
    assert f"Name one of them by its ID, as in models:/{model_id('b')}" in result.error


@pytest.mark.parametrize(
    "host, name, hop",
    [
        ("databricks://test", "failed", "models:/wine/2"),
        ("databricks-uc://test", "ml.prod.failed", "models:/ml.prod.wine/2"),
        ("databricks-uc://test", "ml.prod.foreign", "models:/wine/2"),
    ],
)
def test_version_whose_source_is_a_failed_version_is_an_error(
    workspaces: Workspaces, host: str, name: str, hop: str
) -> None:
    result = workspaces.check(host, name, "1")
    assert result.code == 2
    assert f"which {hop} names, is not ready: its status is FAILED_REGISTRATION" in result.error


def test_source_that_names_latest_is_reported_with_the_resolved_version_number(registry: TrackingServerClient) -> None:
    version = registry.resolve("latest", "1")
    named, logged = version.run_model_hops
    assert (named.uri, named.version, named.status) == ("models:/wine/latest", "3", "READY")
    assert (logged.model_id, version.run_model_uri) == (model_id("a"), LOGGED.format(model_id("a")))


def test_version_that_is_not_ready_cannot_be_named_in_a_diff(
    registry: TrackingServerClient, catalog: TrackingServerClient
) -> None:
    assert "FAILED_REGISTRATION" in failure(ModelError, registry, "models:/wine/2")
    assert "FAILED_REGISTRATION" in failure(ModelError, catalog, "models:/ml.prod.wine/2")


@pytest.mark.parametrize("number", ["2147483648", "9" * 20, "7" * 5_000])
def test_error_for_a_huge_version_number_lists_the_existing_versions(
    registry: TrackingServerClient, catalog: TrackingServerClient, number: str
) -> None:
    assert "Available: versions 3, 2, 1" in failure(NotFoundError, registry, f"models:/wine/{number}")
    assert "Available: versions 3, 2, 1" in failure(NotFoundError, catalog, f"models:/ml.prod.wine/{number}")


def test_stage_none_selects_no_version(registry: TrackingServerClient, catalog: TrackingServerClient) -> None:
    assert "'None' names no version of 'wine'" in failure(InputError, registry, "models:/wine/None")
    assert "'none' names no version of 'ml.prod.wine'" in failure(InputError, catalog, "models:/ml.prod.wine/none")
