"""One version checked: its run model against its registry model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import check, run
from tests.support.servers import Servers


@pytest.mark.parametrize("program", ["model-gate", "check-model-version"])
def test_on_open_source_mlflow_both_models_are_one_location(tmp_path: Path, servers: Servers, program: str) -> None:
    how = {} if program == "model-gate" else {"program": program}
    ran = check(tmp_path, servers.staging, "Wine", "champion", "--download-dir", tmp_path / "kept", **how)
    assert (ran.exit_code, ran.status, ran.report["command"]) == (0, "equal", "check"), ran
    assert "one and the same location; nothing was downloaded" in ran.stdout
    assert ran.stderr == ""
    comparison = ran.report["comparison"]
    assert (comparison["equals"], comparison["same_location"]) == (True, True)
    assert comparison["run_model"]["download_uri"] == f"models:/{servers.seeds['model_id']}"
    assert comparison["reg_model"]["download_uri"] == servers.seeds["location"]
    for model in ("run_model", "reg_model"):
        assert comparison[model]["uri"] == servers.seeds["location"]
        assert set(comparison[model]["local_path"]) == {"path", "hash", "kept"}
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("model, number", [("Wine Copy Of Copy", "1"), ("Wine", "3")])
def test_copies_and_runs_are_followed_to_where_the_model_is(
    tmp_path: Path, servers: Servers, model: str, number: str
) -> None:
    ran = check(tmp_path, servers.staging, model, number)
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    assert ran.report["comparison"]["run_model"]["uri"] == servers.seeds["location"]
    assert ran.report["model_version"]["resolved"]["run"]["run_id"] == servers.seeds["run_id"]


def test_mlflow_2_is_checked_without_a_login(tmp_path: Path, servers: Servers) -> None:
    ran = run(tmp_path, "check", "--host", servers.old.host, "--model", "Wine", "--version-or-stage", "STAGING")
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    assert ran.report["model_version"]["resolved"]["version"] == "1"


def test_nothing_is_fetched_where_both_models_are_one_location(tmp_path: Path) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        ran = check(tmp_path, server.url, "Wine", "1")
        assert (ran.exit_code, ran.status) == (0, "equal"), ran
        assert server.fetched == []


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_copy_of_the_registry_is_compared_with_the_run_model(tmp_path: Path, is_changed: bool) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL | ({"model.pkl": MODEL["model.pkl"][:-1] + b"?"} if is_changed else {}))
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        ran = check(tmp_path, server.url, "Wine", "1", "--download-dir", tmp_path / "kept")
    assert (ran.exit_code, ran.status) == ((1, "different") if is_changed else (0, "equal")), ran
    comparison = ran.report["comparison"]
    assert comparison["same_location"] is False
    paths = [each["path"] for each in comparison["differences"]]
    assert paths == (["model.pkl"] if is_changed else [])
    for model in ("run_model", "reg_model"):
        assert comparison[model]["local_path"]["path"] == str(tmp_path / "kept" / model)
        kept = {str(file.relative_to(tmp_path / "kept" / model)) for file in (tmp_path / "kept" / model).rglob("*")}
        assert kept == {*MODEL, "data"}
