"""A model copied with mlflow-export-import is equivalent to the original."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mlflow import MlflowClient

from tests.support import servers as tracking_servers
from tests.support.gates import run
from tests.support.paths import ROOT
from tests.support.servers import Servers


def run_tool(name: str, url: str, *arguments: str | Path) -> str:
    """Run a command of mlflow-export-import and return its output."""
    completed = subprocess.run(
        [ROOT / ".venv-mlflow2" / "bin" / name, *arguments],
        env=tracking_servers.environment(MLFLOW_TRACKING_URI=url),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_exported_and_imported_model_differs_only_in_its_run_id(tmp_path: Path, servers: Servers) -> None:
    url = servers.old.url
    client = MlflowClient(url)
    exported = client.get_model_version("Wine", "1").run_id or ""
    run_tool("export-run", url, "--run-id", exported, "--output-dir", tmp_path / "exported")
    run_tool("import-run", url, "--experiment-name", "imported", "--input-dir", tmp_path / "exported")
    experiment = client.get_experiment_by_name("imported")
    assert experiment is not None
    (imported,) = client.search_runs([experiment.experiment_id])

    uris = (f"runs:/{exported}/model", f"runs:/{imported.info.run_id}/model")
    result = run(tmp_path, "diff", *uris, "--require", "equivalent", environment={"MLFLOW_TRACKING_URI": url})

    assert (result.exit_code, result.status, result.report["equivalent"]) == (0, "different", True), result
    (difference,) = result.report["comparison"]["differences"]
    assert (difference["path"], difference["identity"]) == ("MLmodel", "only run_id differs")
    (field,) = difference["explanation"]["fields"]
    assert field["right"] == imported.info.run_id
