"""The command `diff` compares models on tracking servers and on disk."""

from __future__ import annotations

from pathlib import Path

from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import run
from tests.support.servers import Servers
from tests.support.zoo.tree import Tree, make_tree


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


def test_report_of_a_diff_lists_the_names_that_lead_to_each_model(tmp_path: Path) -> None:
    tree: Tree = dict(MODEL.items())
    make_tree(tmp_path / "model", tree)
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        environment = {"MLFLOW_TRACKING_URI": server.url}
        result = run(tmp_path, "diff", "models:/Wine/1", tmp_path / "model", environment=environment)
    assert result.status == "equal", result
    (hop,) = result.report["comparison"]["left"]["hops"]
    assert (hop["uri"], hop["name"], hop["version"], hop["status"]) == ("models:/Wine/1", "Wine", "1", "READY")
    assert result.report["comparison"]["right"]["hops"] == []


def test_uri_of_missing_model_is_an_error(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    result = run(tmp_path, "diff", servers.seeds["wine"], "models:/Nothing/1", environment=environment)
    result.require_error("NotFoundError", "There is no registered model 'Nothing'")
