"""Check and compare of every variant of a model in every registry, while the environment names another workspace.

A variant is an equal or changed copy of the model. The model is either an artifact of a run or a logged model.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.databricks.workspaces import (
    DIFFERING,
    EXPECTED,
    VARIANTS,
    WINE,
    Blueprint,
    EmulatedWorkspace,
    Workspaces,
    listings,
    paths_of,
)

pytestmark = pytest.mark.xdist_group("databricks_matrix")  # the workspaces start once


def fill(blueprint: Blueprint, files: dict[str, dict[str, bytes]]) -> Blueprint:
    """Add versions to both registries. The run model of each is WINE, the registry model is one of the variants."""
    run, logged = blueprint.run("0a" * 16, WINE), blueprint.logged_model("m-" + "1b" * 16, WINE, "0a" * 16)
    for variant, content in files.items():
        for origin, source in (("run", run), ("logged", logged)):
            blueprint.version("registry", f"wine_{origin}_{variant}", "7", content, source=source, run_id="0a" * 16)
            name = f"ml.prod.wine_{origin}_{variant}"
            blueprint.version("catalog", name, "7", content, source=source, run_id="0a" * 16)
    return blueprint


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspaces]:
    directory = tmp_path_factory.mktemp("databricks")
    test = fill(Blueprint(directory / "test", "dapi-test-0123456789"), VARIANTS)
    prod = fill(Blueprint(directory / "prod", "dapi-prod-0123456789"), VARIANTS)
    # The models in the workspace `trap` are different, so that reading them changes the verdict.
    trap = fill(Blueprint(directory / "trap", "dapi-trap-0123456789"), {key: {"MLmodel": b"trap"} for key in VARIANTS})
    with EmulatedWorkspace(test) as test_env, EmulatedWorkspace(prod) as prod_env, EmulatedWorkspace(trap) as trap_env:
        yield Workspaces(directory, {"test_env": test_env, "prod_env": prod_env}, trap_env)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("origin", ["run", "logged"])
@pytest.mark.parametrize(
    "prefix, host",
    [("wine", "databricks://test_env"), ("ml.prod.wine", "databricks-uc://test_env")],
    ids=["workspace", "catalog"],
)
def test_check_lists_differences_between_run_model_and_registry_model(
    workspaces: Workspaces, prefix: str, host: str, origin: str, variant: str
) -> None:
    result = workspaces.check(host, f"{prefix}_{origin}_{variant}", "7")
    status, code = EXPECTED[variant]
    assert (result.report["status"], result.code) == (status, code), result.output
    assert paths_of(result.report["comparison"]["differences"]) == DIFFERING[variant]
    assert not result.requests["trap"]
    assert not result.requests["prod_env"]
    assert not result.paths("test_env", "/dbfs")
    listed = listings(result.requests["test_env"])
    assert len(listed) == len(set(listed)), "a directory was listed twice"


REGISTRIES = {"workspace": ("databricks://{}", "wine"), "catalog": ("databricks-uc://{}", "ml.prod.wine")}


def version(registry: str, profile: str, variant: str) -> dict[str, str]:
    host, prefix = REGISTRIES[registry]
    return {"host": host.format(profile), "model": f"{prefix}_run_{variant}", "version_or_stage": "7"}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "first, second", [("workspace", "workspace"), ("workspace", "catalog"), ("catalog", "catalog")]
)
def test_compare_lists_differences_between_two_workspaces(
    workspaces: Workspaces, first: str, second: str, variant: str
) -> None:
    result = workspaces.compare(version(first, "test_env", "equal"), version(second, "prod_env", variant))
    status, code = EXPECTED[variant]
    assert (result.report["status"], result.code) == (status, code), result.output
    assert result.report["comparison_summary"] == {"run_model": True, "reg_model": variant == "equal"}
    assert paths_of(result.report["reg_model_comparison"]["differences"]) == DIFFERING[variant]
    assert not result.requests["trap"]
    for workspace, registry in (("test_env", first), ("prod_env", second)):
        unity = result.paths(workspace, "/unity-catalog/")
        assert bool(unity) is (registry == "catalog"), (workspace, unity)
        assert not result.paths(workspace, "/dbfs")


def test_file_missing_in_the_left_model_is_reported_as_only_right(workspaces: Workspaces) -> None:
    result = workspaces.compare(version("catalog", "prod_env", "changed"), version("workspace", "test_env", "equal"))
    assert result.report["status"] == "different", result.output
    assert result.report["comparison_summary"] == {"run_model": True, "reg_model": False}
    kinds = [each["kind"] for each in result.report["reg_model_comparison"]["differences"]]
    assert kinds == ["only_right", "content", "content"]


def test_number_of_parts_in_the_model_name_selects_the_registry(workspaces: Workspaces) -> None:
    workspace, catalog = version("workspace", "test_env", "equal"), version("catalog", "test_env", "equal")
    result = workspaces.compare(workspace, {**catalog, "host": "databricks://test_env"})
    assert result.report["status"] == "equal", result.output
    # Both versions name the same run, but each registry has its own copy.
    assert result.report["run_model_comparison"]["same_location"] is True
    assert result.report["reg_model_comparison"]["same_location"] is False
    downloaded = result.paths("test_env", "/signed/")
    assert downloaded
    assert not [path for path in downloaded if "/runs/" in path]


def test_registry_key_in_a_compare_file_overrides_the_registry_implied_by_the_model_name(
    workspaces: Workspaces,
) -> None:
    catalog = version("catalog", "test_env", "equal")
    overridden = {**catalog, "host": "databricks://test_env", "registry": "workspace"}
    result = workspaces.compare(catalog, overridden)
    assert result.report["error"]["type"] == "NotFoundError"
    assert not result.report["model_versions"]["tracking_server_2"]["resolved"]
    assert result.paths("test_env", "/api/2.0/mlflow/registered-models/get")


def test_registry_option_overrides_the_registry_implied_by_the_model_name(workspaces: Workspaces) -> None:
    name = "ml.prod.wine_run_equal"
    result = workspaces.run("check", "--host", "databricks://test_env", "--model", name, "--version-or-stage", "7")
    assert result.report["status"] == "equal", result.output
    assert result.paths("test_env", "/unity-catalog/")
    command = ("--model", name, "--version-or-stage", "7", "--registry", "workspace")
    result = workspaces.run("check", "--host", "databricks://test_env", *command)
    assert result.report["error"]["type"] == "NotFoundError"
    assert result.report["options"]["registry"] == "workspace"
    assert result.paths("test_env", "/api/2.0/mlflow/registered-models/get")
    assert not result.paths("test_env", "/unity-catalog/")


def test_runs_with_the_same_id_in_two_workspaces_have_different_locations(workspaces: Workspaces) -> None:
    result = workspaces.compare(version("workspace", "test_env", "equal"), version("workspace", "prod_env", "equal"))
    assert result.report["run_model_comparison"]["same_location"] is False
    for workspace in ("test_env", "prod_env"):
        assert result.paths(workspace, "/Runs/")
