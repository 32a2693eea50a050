"""The command `compare` compares versions on two real tracking servers."""

from __future__ import annotations

import filecmp
import subprocess
from pathlib import Path

import pytest

from tests.support.gates import compare, run, version
from tests.support.servers import Servers

_LINEAGE = {
    "git_commit": "mlflow.source.git.commit",
    "git_repo": "mlflow.source.git.repoURL",
    "source_name": "mlflow.source.name",
    "notebook_path": "mlflow.databricks.notebookPath",
    "notebook_revision": "mlflow.databricks.notebookRevisionID",
}


def test_imported_model_is_equal_and_its_report_describes_both_versions(tmp_path: Path, servers: Servers) -> None:
    (tmp_path / "promotion.yaml").write_text(
        f"tracking_server_1: {{host: {servers.staging.host}, model: Wine, version_or_stage: staging}}\n"
        f"tracking_server_2: {{host: {servers.production.host}, model: Wine Imported, version_or_stage: Staging}}\n"
    )
    result = run(tmp_path, "compare", "--config-file", "promotion.yaml", "--download-dir", "kept")
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert "EQUAL" in result.stdout
    assert result.errors == ""
    assert result.report["comparison_summary"] == {"run_model": True, "reg_model": True}
    comparison = result.report["run_model_comparison"]
    for number, server in ((1, servers.staging), (2, servers.production)):
        compared = comparison[f"tracking_server_{number}"]
        assert compared["path"] == str(tmp_path / f"kept/run_model/server_{number}")
        assert compared["hash"] == _coreutils_hash(Path(compared["path"]))
        assert _same_trees(Path(compared["path"]), Path(servers.seeds["wine"]))
        assert result.report["model_versions"][f"tracking_server_{number}"]["host"] == server.url
    resolved = result.report["model_versions"]["tracking_server_1"]["resolved"]
    assert (resolved["version"], resolved["stage"], resolved["aliases"]) == ("1", "Staging", ["champion"])
    assert resolved["source"] == f"models:/{servers.seeds['model_id']}"
    assert resolved["run_model_uri"] == resolved["reg_model_uri"] == servers.seeds["location"]
    lineage = resolved["run"]
    assert (lineage["reachable"], lineage["run_id"], lineage["experiment_name"]) == (
        True,
        servers.seeds["run_id"],
        "wine",
    )
    for name, tag in _LINEAGE.items():
        assert lineage[name] == servers.seeds["lineage"][tag]


def _coreutils_hash(tree: Path) -> str:
    script = "find -L . -type f -printf '%P\\0' | xargs -0 sha256sum -- | LC_ALL=C sort | sha256sum"
    return subprocess.run(["bash", "-c", script], cwd=tree, check=True, stdout=subprocess.PIPE, text=True).stdout[:64]


def _same_trees(left: Path, right: Path) -> bool:
    names = sorted(path.relative_to(left) for path in left.rglob("*"))
    assert names == sorted(path.relative_to(right) for path in right.rglob("*"))
    return all(filecmp.cmp(left / name, right / name, shallow=False) for name in names if (left / name).is_file())


def test_one_changed_byte_is_a_difference(tmp_path: Path, servers: Servers) -> None:
    result = compare(
        tmp_path, version(servers.staging, "Wine", "@champion"), version(servers.production, "Wine Imported", "2")
    )
    assert (result.exit_code, result.status) == (1, "different"), result
    assert result.report["comparison_summary"] == {"run_model": False, "reg_model": False}
    size = (Path(servers.seeds["wine"]) / "model.pkl").stat().st_size
    for name in ("run_model_comparison", "reg_model_comparison"):
        (difference,) = result.report[name]["differences"]
        assert (difference["path"], difference["kind"], difference["offset"]) == ("model.pkl", "content", size // 2)
        assert difference["left_size"] == difference["right_size"] == size
        assert result.report[name]["tracking_server_1"]["hash"] != result.report[name]["tracking_server_2"]["hash"]


@pytest.mark.parametrize("require", ["identical", "equivalent"])
def test_model_logged_again_is_not_equal_but_equivalent_to_the_first_model(
    tmp_path: Path, servers: Servers, require: str
) -> None:
    versions = version(servers.staging, "Wine", "1"), version(servers.production, "Wine Imported", "3")
    result = compare(tmp_path, *versions, "--require", require)
    assert result.exit_code == (0 if require == "equivalent" else 1), result
    assert (result.status, result.report["equivalent"]) == ("different", True)
    (difference,) = result.report["run_model_comparison"]["differences"]
    assert difference["path"] == "MLmodel"
    changed = {field["field"] for field in difference["explanation"]["fields"]}
    assert changed == {"artifact_path", "model_id", "model_uuid", "run_id", "utc_time_created"}


def test_files_outside_the_native_model_do_not_affect_the_verdict(tmp_path: Path, servers: Servers) -> None:
    first = version(servers.staging, "Wine", "1", native_model="model.pkl")
    result = compare(tmp_path, first, version(servers.production, "Wine Imported", "3", native_model="./model.pkl"))
    assert (result.exit_code, result.status) == (0, "equal"), result
    comparison = result.report["run_model_comparison"]
    assert comparison["native_model"] == "model.pkl"
    assert comparison["tracking_server_1"]["path"].endswith("/model.pkl")
    rest = comparison["rest_of_model"]
    assert (rest["equals"], [each["path"] for each in rest["differences"]]) == (False, ["MLmodel"])

    result = compare(tmp_path, first, version(servers.production, "Wine Imported", "2", native_model="model.pkl"))
    assert (result.exit_code, result.status) == (1, "different"), result
    assert result.report["run_model_comparison"]["rest_of_model"]["equals"] is True


def test_native_model_that_is_a_directory_is_compared(tmp_path: Path, servers: Servers) -> None:
    result = compare(
        tmp_path,
        version(servers.staging, "Forest", "1", native_model="artifacts"),
        version(servers.production, "Forest", "2", native_model="artifacts"),
    )
    assert (result.exit_code, result.status) == (0, "equal"), result
    comparison = result.report["run_model_comparison"]
    assert (
        comparison["tracking_server_1"]["files"]
        == comparison["tracking_server_2"]["files"]
        == servers.seeds["forest_files"]
    )
    assert [each["path"] for each in comparison["rest_of_model"]["differences"]] == ["code/trees.py"]


def test_options_of_compare_model_versions_select_which_models_are_compared(tmp_path: Path, servers: Servers) -> None:
    # The source of this version was deleted, so its run model is missing.
    versions = version(servers.staging, "Orphan", "1"), version(servers.production, "Wine Imported", "1")
    program = "compare-model-versions"
    options = ("--no-compare-run-models", "--compare-reg-models", "--verbose", "--download-dir", "kept")
    result = compare(tmp_path, *versions, *options, program=program)
    assert (result.exit_code, result.status, result.report["command"]) == (0, "equal", "compare"), result
    assert result.report["comparison_summary"] == {"reg_model": True}
    assert "run_model_comparison" not in result.report
    assert sorted(path.name for path in (tmp_path / "kept").rglob("*") if path.is_dir()) == [
        "reg_model",
        "server_1",
        "server_2",
    ]

    result = compare(tmp_path, *versions, "--no-compare-reg-models", program=program)
    result.require_error("ModelError", "run model of 'Orphan' version 1", "models:/Original/1", "dangles")


def test_copies_of_a_version_that_share_its_files_are_not_downloaded(tmp_path: Path, servers: Servers) -> None:
    result = compare(
        tmp_path,
        version(servers.staging, "Wine Copy Of Copy", "latest"),
        version(servers.staging, "Wine", "3"),
        "--download-dir",
        "kept",
    )
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["run_model_comparison"]["same_location"] is True
    resolved = result.report["model_versions"]
    assert resolved["tracking_server_1"]["resolved"]["source"] == "models:/Wine Copy/1"
    assert resolved["tracking_server_2"]["resolved"]["source"] == f"runs:/{servers.seeds['run_id']}/wine"
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("number, status", [("1", "equal"), ("2", "different")])
def test_version_on_an_mlflow_2_server_is_compared_with_a_version_on_an_mlflow_3_server(
    tmp_path: Path, servers: Servers, number: str, status: str
) -> None:
    result = compare(
        tmp_path, version(servers.old, "Wine", "Champion".lower()), version(servers.production, "Wine Imported", number)
    )
    assert result.status == status, result
    assert result.report["model_versions"]["tracking_server_1"]["resolved"]["run"]["reachable"] is True


def test_run_model_is_compared_although_its_run_is_deleted_and_not_reachable(tmp_path: Path, servers: Servers) -> None:
    result = compare(tmp_path, version(servers.staging, "Lost Run"), version(servers.production, "Wine Imported", "1"))
    assert (result.exit_code, result.status) == (0, "equal"), result
    run = result.report["model_versions"]["tracking_server_1"]["resolved"]["run"]
    assert (run["reachable"], run["run_id"]) == (False, servers.seeds["lost_run"])
    assert "cannot be read" in run["reason"]


@pytest.mark.parametrize("number", ["1", "2"])
def test_files_with_unusual_names_are_compared_correctly(tmp_path: Path, servers: Servers, number: str) -> None:
    result = compare(tmp_path, version(servers.staging, "Odd"), version(servers.production, "Odd", number))
    differing = [] if number == "1" else servers.seeds["odd_changed"]
    assert result.status == ("different" if differing else "equal"), result
    comparison = result.report["run_model_comparison"]
    assert [each["path"] for each in comparison["differences"]] == differing
    assert comparison["compared"] == servers.seeds["odd_files"]
