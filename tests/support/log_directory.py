"""Logs a directory with MLflow's client as the artifact `model` of a run, and registers it with copies of it.

Usage: `log_directory.py DIRECTORY NAME SOURCE…`. Version 1 of the registered model NAME is the artifact. The next
versions have the other sources. The environment names the tracking server, and has the login to its artifact store.
"""

from __future__ import annotations

import os
import sys
import warnings

warnings.filterwarnings("ignore")

from mlflow import MlflowClient  # noqa: E402  # imports of MLflow emit the warnings filtered above


def main() -> None:
    """Log the directory, and print the URI of the artifact."""
    directory, name, *copies = sys.argv[1:]
    client = MlflowClient()
    run = client.create_run("0").info
    client.log_artifacts(run.run_id, directory, "model")
    artifact = f"{run.artifact_uri}/model"
    client.create_registered_model(name)
    for source in (artifact, *copies):
        client.create_model_version(name, source, run.run_id, await_creation_for=0)
    sys.stdout.write(artifact)
    sys.stdout.flush()
    # A normal exit would wait for MLflow's background threads.
    os._exit(0)


if __name__ == "__main__":
    main()
