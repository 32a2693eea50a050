"""Numbers, stages, aliases and `latest` in both registries, and the halves of a version that are out of reach."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from model_gate.errors import AccessError, InputError, ModelError, ModelGateError, NotFoundError
from model_gate.sources.tracking_server import TrackingServerClient
from tests.databricks.workspaces import WINE, Bench, Blueprint, Emulated

RUN, GONE, CLOSED = "0a" * 16, "0b" * 16, "0c" * 16
STAGES = {"5": "Staging", "7": "Production", "9": "Archived"}
ELSEWHERE = "https://elsewhere.example.com/?o=42#mlflow/experiments/1/runs/" + GONE


def odd(blueprint: Blueprint) -> Blueprint:
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
def odd_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("odd")
    trap = odd(Blueprint(directory / "trap", "dapi-trap-0123456789"))
    with_aliases = odd(Blueprint(directory / "aliases", "dapi-aliases-0123456789"))
    with_aliases.settings(registry_aliases=True)
    with (
        Emulated(odd(Blueprint(directory / "odd", "dapi-odd-0123456789"))) as one,
        Emulated(with_aliases) as other,
        Emulated(trap) as wrong,
    ):
        yield Bench(directory, {"odd": one, "aliases": other}, wrong)
        assert not wrong.requests


@pytest.fixture(scope="module")
def registry(odd_bench: Bench) -> Iterator[TrackingServerClient]:
    with odd_bench.side("databricks://odd", "wine") as side:
        yield side


@pytest.fixture(scope="module")
def catalog(odd_bench: Bench) -> Iterator[TrackingServerClient]:
    with odd_bench.side("databricks-uc://odd", "ml.prod.wine") as side:
        yield side


def refusal(kind: type[ModelGateError], side: TrackingServerClient, model: str, version: str) -> str:
    with pytest.raises(kind) as caught:
        side.resolve(model, version)
    return f"{caught.value.message} {caught.value.remedy}"


@pytest.mark.parametrize(
    "wanted, number",
    [("7", "7"), ("007", "7"), ("staging", "5"), ("Production", "7"), ("ARCHIVED", "9"), ("latest", "12")],
)
def test_a_workspace_version_is_named_by_number_stage_or_latest(
    registry: TrackingServerClient, wanted: str, number: str
) -> None:
    found = registry.resolve("wine", wanted)
    assert (found.version, found.stage) == (number, STAGES.get(number, ""))
    assert found.download_uri == f"dbfs:/databricks/mlflow-registry/wine-{number}/models/model"
    assert found.reg_model_uri == f"models:/wine/{number}"


@pytest.mark.parametrize("wanted, number", [("7", "7"), ("@champion", "4"), ("champion", "4"), ("latest", "12")])
def test_a_catalog_version_is_named_by_number_alias_or_latest(
    catalog: TrackingServerClient, wanted: str, number: str
) -> None:
    found = catalog.resolve("ml.prod.wine", wanted)
    assert (found.version, found.stage) == (number, "")
    assert found.aliases == (("champion",) if number == "4" else ())
    assert found.lineage.git_commit == "c0ffee" * 6


def test_a_stage_in_unity_catalog_is_an_error_that_lists_the_aliases(catalog: TrackingServerClient) -> None:
    told = refusal(InputError, catalog, "ml.prod.wine", "Production")
    assert "has no stages" in told
    assert "alias" in told
    assert "@champion (4)" in told


def test_an_alias_of_a_workspace_that_has_none_is_an_error_that_names_stages(registry: TrackingServerClient) -> None:
    told = refusal(InputError, registry, "wine", "@champion")
    assert "has no aliases" in told
    assert "Production (7)" in told
    assert "versions 12, 11" in told


def test_an_alias_of_a_workspace_that_has_the_call_is_read_by_it(odd_bench: Bench) -> None:
    with odd_bench.side("databricks://aliases", "aliased") as side:
        assert side.resolve("aliased", "@champion").version == "2"
        assert "no version, stage or alias 'other'" in refusal(NotFoundError, side, "aliased", "@other")


def test_what_does_not_exist_is_told_with_what_does(
    registry: TrackingServerClient, catalog: TrackingServerClient
) -> None:
    assert "'wine'" in refusal(NotFoundError, registry, "win", "1")
    assert "versions 12, 11" in refusal(NotFoundError, registry, "wine", "99")
    assert "'ml.prod.wine'" in refusal(NotFoundError, catalog, "ml.prod.win", "1")
    assert "@champion (4)" in refusal(NotFoundError, catalog, "ml.prod.wine", "@other")
    assert "PENDING_REGISTRATION" in refusal(ModelError, registry, "pending", "1")


@pytest.mark.parametrize(
    "model, permission",
    [
        ("ml.prod.secret", "EXECUTE on Routine or Model"),
        ("ml.hidden.wine", "USE SCHEMA on Schema"),
        ("vault.prod.wine", "USE CATALOG on Catalog"),
    ],
)
def test_a_missing_grant_is_told_with_all_that_are_needed(
    catalog: TrackingServerClient, model: str, permission: str
) -> None:
    told = refusal(AccessError, catalog, model, "1")
    assert permission in told
    assert "Grant the login EXECUTE on the model, USE SCHEMA on its schema and USE CATALOG on its catalog" in told


def test_a_missing_permission_on_a_workspace_model_is_told(registry: TrackingServerClient) -> None:
    assert "Can Read on the registered model" in refusal(AccessError, registry, "secret", "1")


def test_a_copy_leads_back_to_the_run_across_the_two_registries(catalog: TrackingServerClient) -> None:
    run_model = f"dbfs:/databricks/mlflow-tracking/77/{RUN}/artifacts/model"
    assert catalog.resolve("ml.prod.copied", "1").run_model_uri == run_model
    assert catalog.resolve("ml.prod.copied_again", "1").run_model_uri == run_model


@pytest.mark.parametrize("name", ["dangling", "gone", "closed"])
@pytest.mark.parametrize("host, prefix", [("databricks://odd", ""), ("databricks-uc://odd", "ml.prod.")])
def test_a_registry_model_is_judged_without_a_run_that_is_out_of_reach(
    odd_bench: Bench, host: str, prefix: str, name: str
) -> None:
    asked = {"host": host, "model": prefix + name, "version_or_stage": "1"}
    fine = {"host": host, "model": f"{prefix}wine", "version_or_stage": "1"}
    result = odd_bench.compare(asked, fine, "--no-compare-run-models")
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
def test_the_error_says_which_half_is_out_of_reach_and_why(
    odd_bench: Bench, name: str, kind: str, reason: str, remedy: str
) -> None:
    asked = {"host": "databricks://odd", "model": name, "version_or_stage": "1"}
    result = odd_bench.compare(asked, {**asked, "model": "wine"})
    assert result.code == 2
    assert result.report["error"]["type"] == kind
    assert f"The run model of '{name}' version 1 on databricks://odd" in result.error
    assert reason in result.error
    assert remedy in result.error


def test_a_run_model_is_judged_without_a_registry_model_that_may_not_be_downloaded(odd_bench: Bench) -> None:
    asked = {"host": "databricks://odd", "model": "unloadable", "version_or_stage": "1"}
    fine = {"host": "databricks://odd", "model": "wine", "version_or_stage": "1"}
    assert odd_bench.compare(asked, fine, "--no-compare-reg-models").report["status"] == "equal"
    refused = odd_bench.compare(asked, fine)
    assert "The registry model of 'unloadable' version 1" in refused.error
    assert "--no-compare-reg-models" in refused.error
