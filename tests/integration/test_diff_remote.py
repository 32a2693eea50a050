"""The command `diff` compares models on tracking servers and on disk."""

from __future__ import annotations

from pathlib import Path

from tests.support.gates import run
from tests.support.servers import Servers


def test_local_directory_is_compared_with_a_registered_model_version(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    result = run(tmp_path, "diff", servers.seeds["wine"], "models:/Wine@champion", environment=environment)
    assert (result.exit_code, result.status) == (0, "equal"), result
    comparison = result.report["comparison"]
    assert comparison["left"]["local_path"]["path"] == servers.seeds["wine"]
    assert comparison["right"]["uri"] == servers.seeds["location"]
    assert comparison["left"]["local_path"]["hash"] == comparison["right"]["local_path"]["hash"]


def test_left_and_right_model_can_be_on_different_servers(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    uris = ("models:/Wine/1", "models:/Wine/2")
    result = run(tmp_path, "diff", *uris, "--right-host", servers.old.host, environment=environment)
    # Version 2 has one changed byte.
    assert (result.exit_code, result.status) == (1, "different"), result
    assert [difference["path"] for difference in result.report["comparison"]["differences"]] == ["model.pkl"]


def test_run_uri_and_logged_model_uri_of_a_model_have_the_same_location(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    uris = (f"runs:/{servers.seeds['run_id']}/wine", f"models:/{servers.seeds['model_id']}")
    result = run(tmp_path, "diff", *uris, environment=environment)
    assert (result.exit_code, result.status) == (0, "equal"), result
    assert result.report["comparison"]["same_location"] is True
    run_model, logged_model = (result.report["comparison"][half]["hops"] for half in ("left", "right"))
    assert [(hop["uri"], hop["run_id"]) for hop in run_model] == [(uris[0], servers.seeds["run_id"])]
    assert [(hop["uri"], hop["model_id"]) for hop in logged_model] == [(uris[1], servers.seeds["model_id"])]


def test_uri_of_missing_model_is_an_error(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    result = run(tmp_path, "diff", servers.seeds["wine"], "models:/Nothing/1", environment=environment)
    result.require_error("NotFoundError", "There is no registered model 'Nothing'")
