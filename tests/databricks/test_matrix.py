"""Every place where Databricks keeps a model, in every variant, while the environment points elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databricks.workspaces import (
    DIFFERING,
    EXPECTED,
    VARIANTS,
    WINE,
    Bench,
    Blueprint,
    Emulated,
    listings,
    paths_of,
)


def fill(blueprint: Blueprint, files: dict[str, dict[str, bytes]]) -> Blueprint:
    """Versions whose run model is the original, and whose registry model is the variant."""
    run, logged = blueprint.run("0a" * 16, WINE), blueprint.logged_model("m-" + "1b" * 16, WINE, "0a" * 16)
    for variant, content in files.items():
        for origin, source in (("run", run), ("logged", logged)):
            blueprint.version("registry", f"wine_{origin}_{variant}", "7", content, source=source, run_id="0a" * 16)
            name = f"ml.prod.wine_{origin}_{variant}"
            blueprint.version("catalog", name, "7", content, source=source, run_id="0a" * 16)
    return blueprint


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("databricks")
    test = fill(Blueprint(directory / "test", "dapi-test-0123456789"), VARIANTS)
    prod = fill(Blueprint(directory / "prod", "dapi-prod-0123456789"), VARIANTS)
    # The trap's models differ in every way: whoever reads there gets another verdict.
    trap = fill(Blueprint(directory / "trap", "dapi-trap-0123456789"), {key: {"MLmodel": b"trap"} for key in VARIANTS})
    with Emulated(test) as one, Emulated(prod) as other, Emulated(trap) as wrong:
        yield Bench(directory, {"test_env": one, "prod_env": other}, wrong)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("origin", ["run", "logged"])
@pytest.mark.parametrize(
    "prefix, host",
    [("wine", "databricks://test_env"), ("ml.prod.wine", "databricks-uc://test_env")],
    ids=["workspace", "catalog"],
)
def test_check_sees_what_differs_between_run_model_and_registry_model(
    bench: Bench, prefix: str, host: str, origin: str, variant: str
) -> None:
    result = bench.check(host, f"{prefix}_{origin}_{variant}", "7")
    status, code = EXPECTED[variant]
    assert (result.report["status"], result.code) == (status, code), result.output
    assert paths_of(result.report["comparison"]["differences"]) == DIFFERING[variant]
    assert not result.asked["trap"]
    assert not result.asked["prod_env"]
    assert not result.paths("test_env", "/dbfs")
    listed = listings(result.asked["test_env"])
    assert len(listed) == len(set(listed)), "a directory was listed again"


REGISTRIES = {"workspace": ("databricks://{}", "wine"), "catalog": ("databricks-uc://{}", "ml.prod.wine")}


def named(registry: str, profile: str, variant: str) -> dict[str, str]:
    host, prefix = REGISTRIES[registry]
    return {"host": host.format(profile), "model": f"{prefix}_run_{variant}", "version_or_stage": "7"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "first, second", [("workspace", "workspace"), ("workspace", "catalog"), ("catalog", "catalog")]
)
def test_compare_sees_what_differs_between_two_workspaces(bench: Bench, first: str, second: str, variant: str) -> None:
    result = bench.compare(named(first, "test_env", "equal"), named(second, "prod_env", variant))
    status, code = EXPECTED[variant]
    assert (result.report["status"], result.code) == (status, code), result.output
    assert result.report["comparison_summary"] == {"run_model": True, "reg_model": variant == "equal"}
    assert paths_of(result.report["reg_model_comparison"]["differences"]) == DIFFERING[variant]
    assert not result.asked["trap"]
    for workspace, registry in (("test_env", first), ("prod_env", second)):
        unity = result.paths(workspace, "/unity-catalog/")
        assert bool(unity) is (registry == "catalog"), (workspace, unity)
        assert not result.paths(workspace, "/dbfs")


def test_a_catalog_on_the_left_is_compared_with_a_workspace_on_the_right(bench: Bench) -> None:
    result = bench.compare(named("catalog", "prod_env", "missing"), named("workspace", "test_env", "equal"))
    assert result.report["comparison_summary"] == {"run_model": True, "reg_model": False}
    assert [each["kind"] for each in result.report["reg_model_comparison"]["differences"]] == ["only_right"]


def test_one_host_serves_both_registries_by_the_levels_of_the_name(bench: Bench) -> None:
    workspace, catalog = named("workspace", "test_env", "equal"), named("catalog", "test_env", "equal")
    result = bench.compare(workspace, {**catalog, "host": "databricks://test_env"})
    assert result.report["status"] == "equal", result.output
    # One workspace's run is one location, whichever registry names it; the registries' copies are two.
    assert result.report["run_model_comparison"]["same_location"] is True
    assert result.report["reg_model_comparison"]["same_location"] is False
    fetched = result.paths("test_env", "/signed/")
    assert fetched
    assert not [path for path in fetched if "/runs/" in path]


def test_the_key_registry_overrides_the_levels_of_the_name(bench: Bench) -> None:
    catalog = named("catalog", "test_env", "equal")
    overridden = {**catalog, "host": "databricks://test_env", "registry": "workspace"}
    result = bench.compare(catalog, overridden)
    assert result.report["error"]["type"] == "NotFoundError"
    assert not result.report["model_versions"]["tracking_server_2"]["resolved"]
    assert result.paths("test_env", "/api/2.0/mlflow/registered-models/get")


def test_the_option_registry_overrides_the_levels_of_the_name(bench: Bench) -> None:
    name = "ml.prod.wine_run_equal"
    result = bench.gate("check", "--host", "databricks://test_env", "--model", name, "--version-or-stage", "7")
    assert result.report["status"] == "equal", result.output
    assert result.paths("test_env", "/unity-catalog/")
    asked = ("--model", name, "--version-or-stage", "7", "--registry", "workspace")
    result = bench.gate("check", "--host", "databricks://test_env", *asked)
    assert result.report["error"]["type"] == "NotFoundError"
    assert result.report["options"]["registry"] == "workspace"
    assert result.paths("test_env", "/api/2.0/mlflow/registered-models/get")
    assert not result.paths("test_env", "/unity-catalog/")


def test_the_same_run_id_in_two_workspaces_is_two_locations(bench: Bench) -> None:
    result = bench.compare(named("workspace", "test_env", "equal"), named("workspace", "prod_env", "equal"))
    assert result.report["run_model_comparison"]["same_location"] is False
    for workspace in ("test_env", "prod_env"):
        assert result.paths(workspace, "/Runs/")
