"""Versions by number, stage, alias and `latest` in both registries, and versions with an inaccessible model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from model_gate.errors import AccessError, InputError, ModelError, ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, Workspaces

pytestmark = pytest.mark.xdist_group("databricks_versions")  # the workspaces start once

RUN, GONE, CLOSED = "0a" * 16, "0b" * 16, "0c" * 16
STAGES = {"5": "Staging", "7": "Production", "9": "Archived"}
ELSEWHERE = "https://elsewhere.example.com/?o=42#mlflow/experiments/1/runs/" + GONE


def fill(blueprint: Blueprint) -> Blueprint:
    source = blueprint.run(RUN, WINE)
    closed = blueprint.run(CLOSED, WINE)
    external = "dbfs:/databricks/mlflow/tmp-external-source/1/model"
    for number in map(str, range(1, 13)):
        blueprint.version("registry", "wine", number, WINE, source=source, stage=STAGES.get(number, "None"))
        blueprint.version("catalog", "ml.prod.wine", number, WINE, source=source, run_id=RUN)
    blueprint.version("catalog", "ml.prod.wine", "4", WINE, ["champion"], source=source, run_id=RUN)
    blueprint.version("registry", "aliased", "2", WINE, ["champion"], source=source)
    for kind, prefix in (("registry", ""), ("catalog", "ml.prod.")):
        blueprint.version(kind, f"{prefix}gone", "1", WINE, source=source.replace(RUN, GONE), run_id=GONE)
        blueprint.version(kind, f"{prefix}closed", "1", WINE, source=closed, run_id=CLOSED)
        blueprint.version(kind, f"{prefix}dangling", "1", WINE, source="models:/m-" + "2c" * 16)
        blueprint.version(kind, f"{prefix}secret", "1", WINE, source=source)
    blueprint.version("registry", "elsewhere", "1", WINE, source=external, run_id=GONE, run_link=ELSEWHERE)
    blueprint.version("registry", "pending", "1", WINE, source=source, status="PENDING_REGISTRATION")
    blueprint.version("registry", "unloadable", "1", WINE, source=source)
    blueprint.version("catalog", "ml.prod.copied", "1", WINE, source="models:/wine/7")
    blueprint.version("catalog", "ml.prod.copied_again", "1", WINE, source="models:/ml.prod.copied/1")
    blueprint.version("catalog", "ml.hidden.wine", "1", WINE, source=source)
    blueprint.version("catalog", "vault.prod.wine", "1", WINE, source=source)
    blueprint.settings(
        denied=[
            f"run:{CLOSED}",
            "model:secret",
            "download:unloadable",
            "EXECUTE:ml.prod.secret",
            "USE SCHEMA:ml.hidden",
            "USE CATALOG:vault",
        ]
    )
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("odd")
    trap = fill(Blueprint(directory / "trap", "dapi-trap-0123456789"))
    with_aliases = fill(Blueprint(directory / "aliases", "dapi-aliases-0123456789"))
    with_aliases.settings(registry_aliases=True)
    with (
        EmulatedWorkspace(fill(Blueprint(directory / "odd", "dapi-odd-0123456789"))) as odd,
        EmulatedWorkspace(with_aliases) as aliases,
        EmulatedWorkspace(trap) as trap_workspace,
    ):
        yield Workspaces(directory, {"odd": odd, "aliases": aliases}, trap_workspace)
        assert not trap_workspace.requests


@pytest.fixture(scope="module")
def registry(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks://odd", "wine") as client:
        yield client


@pytest.fixture(scope="module")
def catalog(workspaces: Workspaces) -> Iterator[TrackingServerClient]:
    with workspaces.client("databricks-uc://odd", "ml.prod.wine") as client:
        yield client


def failure(kind: type[ModelGateError], client: TrackingServerClient, model: str, version_or_stage: str) -> str:
    with pytest.raises(kind) as caught:
        client.resolve(model, version_or_stage)
    return f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.parametrize(
    "version_or_stage, number",
    [("7", "7"), ("007", "7"), ("staging", "5"), ("Production", "7"), ("ARCHIVED", "9"), ("latest", "12")],
)
def test_workspace_version_is_resolved_by_number_stage_or_latest(
    registry: TrackingServerClient, version_or_stage: str, number: str
) -> None:
    version = registry.resolve("wine", version_or_stage)
    assert (version.version, version.stage) == (number, STAGES.get(number, ""))
    assert version.download_uri == f"dbfs:/databricks/mlflow-registry/wine-{number}/models/model"
    assert version.reg_model_uri == f"models:/wine/{number}"


@pytest.mark.parametrize(
    "version_or_stage, number", [("7", "7"), ("@champion", "4"), ("champion", "4"), ("latest", "12")]
)
def test_catalog_version_is_resolved_by_number_alias_or_latest(
    catalog: TrackingServerClient, version_or_stage: str, number: str
) -> None:
    version = catalog.resolve("ml.prod.wine", version_or_stage)
    assert (version.version, version.stage) == (number, "")
    assert version.aliases == (("champion",) if number == "4" else ())
    assert version.lineage.git_commit == "c0ffee" * 6


def test_error_for_a_stage_in_unity_catalog_lists_the_aliases(catalog: TrackingServerClient) -> None:
    message = failure(InputError, catalog, "ml.prod.wine", "Production")
    assert "has no stages" in message
    assert "alias" in message
    assert "@champion (4)" in message


def test_error_for_an_unsupported_alias_lists_stages_and_versions(registry: TrackingServerClient) -> None:
    message = failure(InputError, registry, "wine", "@champion")
    assert "has no aliases" in message
    assert "Production (7)" in message
    assert "versions 12, 11" in message


def test_alias_is_resolved_in_workspace_with_alias_support(workspaces: Workspaces) -> None:
    with workspaces.client("databricks://aliases", "aliased") as client:
        assert client.resolve("aliased", "@champion").version == "2"
        assert "'aliased' has no alias '@other'." in failure(NotFoundError, client, "aliased", "@other")


def test_error_for_a_missing_model_or_version_lists_existing_names(
    registry: TrackingServerClient, catalog: TrackingServerClient
) -> None:
    assert "'wine'" in failure(NotFoundError, registry, "win", "1")
    assert "versions 12, 11" in failure(NotFoundError, registry, "wine", "99")
    assert "'ml.prod.wine'" in failure(NotFoundError, catalog, "ml.prod.win", "1")
    assert "@champion (4)" in failure(NotFoundError, catalog, "ml.prod.wine", "@other")
    assert "PENDING_REGISTRATION" in failure(ModelError, registry, "pending", "1")


@pytest.mark.parametrize(
    "model, permission",
    [
        ("ml.prod.secret", "EXECUTE on Routine or Model"),
        ("ml.hidden.wine", "USE SCHEMA on Schema"),
        ("vault.prod.wine", "USE CATALOG on Catalog"),
    ],
)
def test_error_for_a_missing_grant_lists_all_required_grants(
    catalog: TrackingServerClient, model: str, permission: str
) -> None:
    message = failure(AccessError, catalog, model, "1")
    assert permission in message
    assert "Grant the login EXECUTE on the model, USE SCHEMA on its schema and USE CATALOG on its catalog" in message


def test_error_names_the_missing_permission_on_the_model(registry: TrackingServerClient) -> None:
    assert "Can Read on the registered model" in failure(AccessError, registry, "secret", "1")


def test_version_copied_between_registries_resolves_to_the_original_run(catalog: TrackingServerClient) -> None:
    run_model = f"dbfs:/databricks/mlflow-tracking/77/{RUN}/artifacts/model"
    assert catalog.resolve("ml.prod.copied", "1").run_model_uri == run_model
    assert catalog.resolve("ml.prod.copied_again", "1").run_model_uri == run_model


@pytest.mark.parametrize(
    "host, prefix, name",
    [
        ("databricks://odd", "", "dangling"),
        ("databricks://odd", "", "gone"),
        ("databricks://odd", "", "closed"),
        ("databricks-uc://odd", "ml.prod.", "closed"),
    ],
)
def test_registry_models_are_compared_even_if_a_run_is_inaccessible(
    workspaces: Workspaces, host: str, prefix: str, name: str
) -> None:
    version = {"host": host, "model": prefix + name, "version_or_stage": "1"}
    accessible = {"host": host, "model": f"{prefix}wine", "version_or_stage": "1"}
    result = workspaces.compare(version, accessible, "--no-compare-run-models")
    assert result.report["status"] == "equal", result.output
    assert result.report["comparison_summary"] == {"reg_model": True}


@pytest.mark.parametrize(
    "name, kind, reason, remedy",
    [
        ("gone", "NotFoundError", "does not exist", "--no-compare-run-models"),
        ("closed", "AccessError", "permission to 'View' experiment", "Can Read on the experiment"),
        ("dangling", "ModelError", "no logged model", "--no-compare-run-models"),
        (
            "elsewhere",
            "NotFoundError",
            "in another workspace: https://elsewhere.example.com",
            "--no-compare-run-models",
        ),
    ],
)
def test_error_for_an_inaccessible_run_model_names_model_and_reason(
    workspaces: Workspaces, name: str, kind: str, reason: str, remedy: str
) -> None:
    version = {"host": "databricks://odd", "model": name, "version_or_stage": "1"}
    result = workspaces.compare(version, {**version, "model": "wine"})
    assert result.code == 2
    assert result.report["error"]["type"] == kind
    assert f"The run model of '{name}' version 1 on databricks://odd" in result.error
    assert reason in result.error
    assert remedy in result.error


def test_run_models_are_compared_even_if_a_registry_model_is_inaccessible(workspaces: Workspaces) -> None:
    version = {"host": "databricks://odd", "model": "unloadable", "version_or_stage": "1"}
    accessible = {"host": "databricks://odd", "model": "wine", "version_or_stage": "1"}
    assert workspaces.compare(version, accessible, "--no-compare-reg-models").report["status"] == "equal"
    result = workspaces.compare(version, accessible)
    assert "The registry model of 'unloadable' version 1" in result.error
    assert "--no-compare-reg-models" in result.error
