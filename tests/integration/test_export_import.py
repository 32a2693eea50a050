"""A model that the tool mlflow-export-import has taken from one run to another."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mlflow import MlflowClient

from tests.support import servers as tracking_servers
from tests.support.gates import run
from tests.support.paths import ROOT
from tests.support.servers import Servers


def tool(name: str, url: str, *arguments: str | Path) -> str:
    """What a command of the tool prints."""
    ended = subprocess.run(
        [ROOT / ".venv-mlflow2" / "bin" / name, *arguments],
        env=tracking_servers.environment(MLFLOW_TRACKING_URI=url),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_what_was_exported_and_imported_is_equivalent_and_only_the_run_is_another(
    tmp_path: Path, servers: Servers
) -> None:
    url = servers.old.url
    client = MlflowClient(url)
    exported = client.get_model_version("Wine", "1").run_id or ""
    tool("export-run", url, "--run-id", exported, "--output-dir", tmp_path / "exported")
    tool("import-run", url, "--experiment-name", "imported", "--input-dir", tmp_path / "exported")
    experiment = client.get_experiment_by_name("imported")
    assert experiment is not None
    (imported,) = client.search_runs([experiment.experiment_id])

    uris = (f"runs:/{exported}/model", f"runs:/{imported.info.run_id}/model")
    ran = run(tmp_path, "diff", *uris, "--require", "equivalent", environment={"MLFLOW_TRACKING_URI": url})

    assert (ran.exit_code, ran.status, ran.report["equivalent"]) == (0, "different", True), ran
    (difference,) = ran.report["comparison"]["differences"]
    assert (difference["path"], difference["identity"]) == ("MLmodel", "only run_id differs")
    (field,) = difference["explanation"]["fields"]
    assert field["right"] == imported.info.run_id
