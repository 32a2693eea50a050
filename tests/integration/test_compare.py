"""Two versions on two real tracking servers, compared by the command line."""

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


def test_an_exported_model_is_equal_and_the_report_says_from_where_to_where(tmp_path: Path, servers: Servers) -> None:
    (tmp_path / "promotion.yaml").write_text(
        f"tracking_server_1: {{host: {servers.staging.host}, model: Wine, version_or_stage: staging}}\n"
        f"tracking_server_2: {{host: {servers.production.host}, model: Wine Imported, version_or_stage: Staging}}\n"
    )
    ran = run(tmp_path, "compare", "--config-file", "promotion.yaml", "--download-dir", "kept")
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    assert "EQUAL" in ran.stdout
    assert ran.stderr == ""
    assert ran.report["comparison_summary"] == {"run_model": True, "reg_model": True}
    comparison = ran.report["run_model_comparison"]
    for number, server in ((1, servers.staging), (2, servers.production)):
        compared = comparison[f"tracking_server_{number}"]
        assert compared["path"] == str(tmp_path / f"kept/run_model/server_{number}")
        assert compared["hash"] == _coreutils_hash(Path(compared["path"]))
        assert _same_trees(Path(compared["path"]), Path(servers.seeds["wine"]))
        assert ran.report["model_versions"][f"tracking_server_{number}"]["host"] == server.url
    resolved = ran.report["model_versions"]["tracking_server_1"]["resolved"]
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


def _same_trees(one: Path, other: Path) -> bool:
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    assert names == sorted(path.relative_to(other) for path in other.rglob("*"))
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names if (one / name).is_file())


def test_one_changed_byte_makes_them_different(tmp_path: Path, servers: Servers) -> None:
    ran = compare(
        tmp_path, version(servers.staging, "Wine", "@champion"), version(servers.production, "Wine Imported", "2")
    )
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    assert ran.report["comparison_summary"] == {"run_model": False, "reg_model": False}
    size = (Path(servers.seeds["wine"]) / "model.pkl").stat().st_size
    for name in ("run_model_comparison", "reg_model_comparison"):
        (difference,) = ran.report[name]["differences"]
        assert (difference["path"], difference["kind"], difference["offset"]) == ("model.pkl", "content", size // 2)
        assert difference["left_size"] == difference["right_size"] == size
        assert ran.report[name]["tracking_server_1"]["hash"] != ran.report[name]["tracking_server_2"]["hash"]


@pytest.mark.parametrize("require", ["identical", "equivalent"])
def test_an_honest_registration_differs_in_identity_fields_only(tmp_path: Path, servers: Servers, require: str) -> None:
    sides = version(servers.staging, "Wine", "1"), version(servers.production, "Wine Imported", "3")
    ran = compare(tmp_path, *sides, "--require", require)
    assert ran.exit_code == (0 if require == "equivalent" else 1), ran
    assert (ran.status, ran.report["equivalent"]) == ("different", True)
    (difference,) = ran.report["run_model_comparison"]["differences"]
    assert difference["path"] == "MLmodel"
    changed = {field["field"] for field in difference["explanation"]["fields"]}
    assert changed == {"artifact_path", "model_id", "model_uuid", "run_id", "utc_time_created"}


def test_the_native_model_alone_decides_and_the_rest_is_told(tmp_path: Path, servers: Servers) -> None:
    first = version(servers.staging, "Wine", "1", native_model="model.pkl")
    ran = compare(tmp_path, first, version(servers.production, "Wine Imported", "3", native_model="./model.pkl"))
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    comparison = ran.report["run_model_comparison"]
    assert comparison["native_model"] == "model.pkl"
    assert comparison["tracking_server_1"]["path"].endswith("/model.pkl")
    rest = comparison["rest_of_model"]
    assert (rest["equals"], [each["path"] for each in rest["differences"]]) == (False, ["MLmodel"])

    ran = compare(tmp_path, first, version(servers.production, "Wine Imported", "2", native_model="model.pkl"))
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    assert ran.report["run_model_comparison"]["rest_of_model"]["equals"] is True


def test_a_directory_of_hundreds_of_files_can_be_the_native_model(tmp_path: Path, servers: Servers) -> None:
    ran = compare(
        tmp_path,
        version(servers.staging, "Forest", "1", native_model="artifacts"),
        version(servers.production, "Forest", "2", native_model="artifacts"),
    )
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    comparison = ran.report["run_model_comparison"]
    assert (
        comparison["tracking_server_1"]["files"]
        == comparison["tracking_server_2"]["files"]
        == servers.seeds["forest_files"]
    )
    assert [each["path"] for each in comparison["rest_of_model"]["differences"]] == ["code/trees.py"]


def test_one_kind_of_model_can_be_left_out_under_the_historical_name_too(tmp_path: Path, servers: Servers) -> None:
    # The run model of this version dangles: what it was copied from was deleted.
    sides = version(servers.staging, "Orphan", "1"), version(servers.production, "Wine Imported", "1")
    program = "compare-model-versions"
    options = ("--no-compare-run-models", "--compare-reg-models", "--verbose", "--download-dir", "kept")
    ran = compare(tmp_path, *sides, *options, program=program)
    assert (ran.exit_code, ran.status, ran.report["command"]) == (0, "equal", "compare"), ran
    assert ran.report["comparison_summary"] == {"reg_model": True}
    assert "run_model_comparison" not in ran.report
    assert sorted(path.name for path in (tmp_path / "kept").rglob("*") if path.is_dir()) == [
        "reg_model",
        "server_1",
        "server_2",
    ]

    ran = compare(tmp_path, *sides, "--no-compare-reg-models", program=program)
    ran.require_error("ModelError", "run model of 'Orphan' version 1", "models:/Original/1", "dangles")


def test_two_copies_of_one_version_are_one_location_and_nothing_is_fetched(tmp_path: Path, servers: Servers) -> None:
    ran = compare(
        tmp_path,
        version(servers.staging, "Wine Copy Of Copy", "latest"),
        version(servers.staging, "Wine", "3"),
        "--download-dir",
        "kept",
    )
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    assert ran.report["run_model_comparison"]["same_location"] is True
    resolved = ran.report["model_versions"]
    assert resolved["tracking_server_1"]["resolved"]["source"] == "models:/Wine Copy/1"
    assert resolved["tracking_server_2"]["resolved"]["source"] == f"runs:/{servers.seeds['run_id']}/wine"
    assert [path for path in (tmp_path / "kept").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("number, status", [("1", "equal"), ("2", "different")])
def test_a_version_on_mlflow_2_is_held_against_one_on_mlflow_3(
    tmp_path: Path, servers: Servers, number: str, status: str
) -> None:
    ran = compare(
        tmp_path, version(servers.old, "Wine", "Champion".lower()), version(servers.production, "Wine Imported", number)
    )
    assert ran.status == status, ran
    assert ran.report["model_versions"]["tracking_server_1"]["resolved"]["run"]["reachable"] is True


def test_a_run_that_is_gone_is_told_as_not_reachable(tmp_path: Path, servers: Servers) -> None:
    ran = compare(tmp_path, version(servers.staging, "Lost Run"), version(servers.production, "Wine Imported", "1"))
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    run = ran.report["model_versions"]["tracking_server_1"]["resolved"]["run"]
    assert (run["reachable"], run["run_id"]) == (False, servers.seeds["lost_run"])
    assert "cannot be read" in run["reason"]


@pytest.mark.parametrize("number", ["1", "2"])
def test_files_with_odd_names_are_fetched_as_themselves(tmp_path: Path, servers: Servers, number: str) -> None:
    ran = compare(tmp_path, version(servers.staging, "Odd"), version(servers.production, "Odd", number))
    differing = [] if number == "1" else servers.seeds["odd_changed"]
    assert ran.status == ("different" if differing else "equal"), ran
    comparison = ran.report["run_model_comparison"]
    assert [each["path"] for each in comparison["differences"]] == differing
    assert comparison["compared"] == servers.seeds["odd_files"]
