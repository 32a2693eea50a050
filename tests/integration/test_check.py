"""The command `check` compares the run model and the registry model of a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import check, run
from tests.support.servers import Servers


@pytest.mark.parametrize("program", ["model-gate", "check-model-version"])
def test_run_model_and_registry_model_in_open_source_mlflow_have_the_same_location(
    tmp_path: Path, servers: Servers, program: str
) -> None:
    settings = {} if program == "model-gate" else {"program": program}
    result = check(tmp_path, servers.staging, "Wine", "champion", "--download-dir", tmp_path / "kept", **settings)
    assert (result.exit_code, result.status, result.report["command"]) == (0, "equal", "check"), result
    assert "run model and registry model: the same files (one location, nothing to compare)" in result.stdout
    assert result.stderr == ""
    comparison = result.report["comparison"]
    assert (comparison["equals"], comparison["same_location"]) == (True, True)
    assert comparison["run_model"]["download_uri"] == f"models:/{servers.seeds['model_id']}"
    assert comparison["reg_model"]["download_uri"] == servers.seeds["location"]
    for model in ("run_model", "reg_model"):
        assert comparison[model]["uri"] == servers.seeds["location"]
        assert set(comparison[model]["local_path"]) == {"path", "hash", "kept"}
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("model, number", [("Wine Copy Of Copy", "1"), ("Wine", "3")])
def test_copied_version_has_the_location_of_the_original_version(
    tmp_path: Path, servers: Servers, model: str, number: str
) -> None:
    result = check(tmp_path, servers.staging, model, number)
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["comparison"]["run_model"]["uri"] == servers.seeds["location"]
    assert result.report["model_version"]["resolved"]["run"]["run_id"] == servers.seeds["run_id"]


def test_version_on_an_mlflow_2_server_that_needs_no_login_is_checked(tmp_path: Path, servers: Servers) -> None:
    result = run(tmp_path, "check", "--host", servers.old.host, "--model", "Wine", "--version-or-stage", "STAGING")
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["model_version"]["resolved"]["version"] == "1"


def test_run_model_and_registry_model_at_the_same_location_are_not_downloaded(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        result = check(tmp_path, server.url, "Wine", "1")
        assert (result.exit_code, result.status) == (0, "equal"), result
        assert server.fetched == []


@pytest.mark.parametrize("is_changed", [False, True])
def test_registry_copy_is_compared_with_the_run_model(tmp_path: Path, is_changed: bool) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL | ({"model.pkl": MODEL["model.pkl"][:-1] + b"?"} if is_changed else {}))
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        result = check(tmp_path, server.url, "Wine", "1", "--download-dir", tmp_path / "kept")
    assert (result.exit_code, result.status) == ((1, "different") if is_changed else (0, "equal")), result
    comparison = result.report["comparison"]
    assert comparison["same_location"] is False
    paths = [difference["path"] for difference in comparison["differences"]]
    assert paths == (["model.pkl"] if is_changed else [])
    for model in ("run_model", "reg_model"):
        assert comparison[model]["local_path"]["path"] == str(tmp_path / "kept" / model)
        kept = {str(file.relative_to(tmp_path / "kept" / model)) for file in (tmp_path / "kept" / model).rglob("*")}
        assert kept == {*MODEL, "data"}
