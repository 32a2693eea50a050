"""Uploads models to a tracking server and downloads them with MLflow, in a process with the login of this server.

Usage: `model_transfer.py upload NAME=DIRECTORY…` registers a version of each model, and prints their numbers and
sources as JSON. `model_transfer.py download URI=DIRECTORY…` downloads models.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT
from tests.support.servers import Server, environment


def upload(server: Server, models: dict[str, Path]) -> dict[str, dict[str, str]]:
    """Register a version of each model, by name. Return its number (`version`) and its source (`source`)."""
    return dict(json.loads(_run(server, "upload", *(f"{name}={path}" for name, path in models.items()))))


def download(server: Server, uri: str, directory: Path) -> Path:
    """Download the model at a URI to a new directory, as users of MLflow do."""
    _run(server, "download", f"{uri}={directory}")
    return directory


def _run(server: Server, *arguments: str) -> bytes:
    login = {"MLFLOW_TRACKING_USERNAME": server.username, "MLFLOW_TRACKING_PASSWORD": server.password}
    return subprocess.run(
        [sys.executable, "-m", "tests.support.model_transfer", *arguments],
        env=environment(MLFLOW_TRACKING_URI=server.url, PYTHONPATH=str(ROOT), **login),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.splitlines()[-1]


def _upload(name: str, directory: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient()
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, directory, "model")
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    version = client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return {"version": str(version.version), "source": version.source}


def _download(uri: str, directory: str) -> None:
    from mlflow.artifacts import download_artifacts

    download_artifacts(uri, dst_path=directory)


def main() -> None:
    operation, *pairs = sys.argv[1:]
    result: dict[str, Any] = {}
    for pair in pairs:
        name, _, directory = pair.rpartition("=")
        if operation == "upload":
            result[name] = _upload(name, directory)
        else:
            _download(name, directory)
    print("\n" + json.dumps(result))  # noqa: T201  # the output of the program


if __name__ == "__main__":
    main()
