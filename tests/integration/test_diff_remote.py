"""Any two models by their URIs, on tracking servers and on this machine."""

from __future__ import annotations

from pathlib import Path

from tests.support.gates import run
from tests.support.servers import Servers


def test_a_directory_is_held_against_a_registered_version(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    ran = run(tmp_path, "diff", servers.seeds["wine"], "models:/Wine@champion", environment=environment)
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    comparison = ran.report["comparison"]
    assert comparison["left"]["local_path"]["path"] == servers.seeds["wine"]
    assert comparison["right"]["uri"] == servers.seeds["location"]
    assert comparison["left"]["local_path"]["hash"] == comparison["right"]["local_path"]["hash"]


def test_each_side_can_have_a_server_of_its_own(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    uris = ("models:/Wine/1", "models:/Wine/2")
    ran = run(tmp_path, "diff", *uris, "--right-host", servers.old.host, environment=environment)
    # Version 2 is an exported copy on the one, and has a changed byte on the other.
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    assert [each["path"] for each in ran.report["comparison"]["differences"]] == ["model.pkl"]


def test_a_run_and_its_logged_model_are_one_location(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    uris = (f"runs:/{servers.seeds['run_id']}/wine", f"models:/{servers.seeds['model_id']}")
    ran = run(tmp_path, "diff", *uris, environment=environment)
    assert (ran.exit_code, ran.status) == (0, "equal"), ran
    assert ran.report["comparison"]["same_location"] is True


def test_a_uri_that_leads_nowhere_is_an_error(tmp_path: Path, servers: Servers) -> None:
    environment = {"MLFLOW_TRACKING_URI": servers.staging.host}
    ran = run(tmp_path, "diff", servers.seeds["wine"], "models:/Nothing/1", environment=environment)
    ran.require_error("NotFoundError", "There is no registered model 'Nothing'")
