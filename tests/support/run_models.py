"""Log models under names that are easily mistaken: names in runs, and versions whose source is another version.

Usage: `run_models.py DIRECTORY`. The tracking server is a database in DIRECTORY; `seeds.py` logs the same models to a
server. The program prints JSON: the `uris` of the models, and for each URI the model that MLflow loads (`loaded`).
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # noqa: E402  # after warnings are silenced
import mlflow.artifacts  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import LoggedModelOutput  # noqa: E402


class Logger:
    """Logs runs, logged models and versions to one tracking server.

    It writes directly into the database of the server what the client of MLflow cannot write.
    """

    def __init__(self, client: MlflowClient, experiment: str, directory: Path, database: Path) -> None:
        self.client = client
        self._experiment = experiment
        self._directory = directory
        self._database = database

    def run(self, *models: str, artifacts: str = "", name: str = "model", status: str = "READY") -> tuple[str, ...]:
        """Create a run whose logged models and run artifacts have the same name.

        Args:
            models: Contents of the logged models.
            artifacts: Content of the run artifacts, or "" for none.
            name: The common name.
            status: Status of the logged models.

        Returns:
            The ID of the run, followed by the ID of each logged model.
        """
        run_id = self.client.create_run(self._experiment).info.run_id
        if artifacts:
            self.client.log_artifacts(run_id, str(self._files(artifacts)), name)
        return run_id, *(self._model(run_id, content, name, status) for content in models)

    def _model(self, run_id: str, content: str, name: str, status: str) -> str:
        model = self.client.create_logged_model(self._experiment, name=name, source_run_id=run_id)
        self.client.log_model_artifacts(model.model_id, str(self._files(content)))
        if status != "PENDING":
            self.client.finalize_logged_model(model.model_id, status)  # type: ignore[arg-type]  # the text is one of the two
        return str(model.model_id)

    def _files(self, content: str) -> Path:
        """Return a directory with a model, and with another model in its subdirectory `inner`."""
        directory = self._directory / content.replace(" ", "_")
        (directory / "inner").mkdir(parents=True, exist_ok=True)
        (directory / "MLmodel").write_text(f"{content}: {{}}\n")
        (directory / "inner" / "MLmodel").write_text(f"{content} inner: {{}}\n")
        return directory

    def version(self, name: str, model_id: str, source: str = "", status: str = "READY", storage: str = "") -> None:
        """Register a logged model. `source`, `storage` and `status` replace what MLflow writes into the database."""
        if not any(model.name == name for model in self.client.search_registered_models()):
            self.client.create_registered_model(name)
        version = self.client.create_model_version(name, f"models:/{model_id}", model_id=model_id).version
        with sqlite3.connect(self._database, timeout=30) as database:
            database.execute(
                "UPDATE model_versions SET status = ?, source = coalesce(nullif(?, ''), source),"
                " storage_location = coalesce(nullif(?, ''), storage_location) WHERE name = ? AND version = ?",
                (status, source, storage, name, int(version)),
            )


def log_runs(logger: Logger) -> dict[str, Any]:
    """Log runs. Return the URI of a model in each run (`uris`) and the IDs of some logged models (`ids`), by name."""
    client = logger.client
    one, one_model = logger.run("one")
    artifacts, *_ = logger.run(artifacts="artifacts")
    two, first, second = logger.run("first", "second")
    both, both_model = logger.run("both logged", artifacts="both artifacts")
    file, file_model = logger.run("beside a file")
    client.log_text(file, "not a directory", "model")
    blank, _ = logger.run("blank", name="a model ")
    pending, _ = logger.run("pending", status="PENDING")
    failed, _ = logger.run("failed", status="FAILED")
    deleted, _ = logger.run("deleted")
    client.delete_run(deleted)
    # A run can have a logged model of another run as an output, which MLflow does not load from it.
    linked, *_ = logger.run(artifacts="linked")
    client.log_outputs(linked, [LoggedModelOutput(one_model, 0)])
    uris = {
        "one": f"runs:/{one}/model",
        "one/": f"runs:/{one}/model/",
        "one/inner": f"runs:/{one}/model/inner",
        "artifacts": f"runs:/{artifacts}/model",
        "artifacts/inner": f"runs:/{artifacts}/model/inner",
        "blank": f"runs:/{blank}/a model ",
        "deleted": f"runs:/{deleted}/model",
        "linked": f"runs:/{linked}/model",
        "two": f"runs:/{two}/model",
        "two/inner": f"runs:/{two}/model/inner",
        "both": f"runs:/{both}/model",
        "both/inner": f"runs:/{both}/model/inner",
        "file": f"runs:/{file}/model",
        "pending": f"runs:/{pending}/model",
        "failed": f"runs:/{failed}/model",
    }
    ids = {"one": one_model, "first": first, "second": second, "both": both_model, "file": file_model}
    return {"uris": uris, "ids": ids}


def register_versions(logger: Logger, runs: dict[str, Any]) -> None:
    """Register versions whose sources are other versions or run URIs."""
    client, one, first = logger.client, runs["ids"]["one"], runs["ids"]["first"]
    logger.version("Two Models", first, runs["uris"]["two"])
    logger.version("Deleted Run", first, runs["uris"]["deleted"])
    logger.version("Hop", one)
    logger.version("Hop", first, status="FAILED_REGISTRATION")
    logger.version("Hop", first, status="PENDING_REGISTRATION")
    logger.version("Fresh", first)
    logger.version("Fresh", one)
    client.set_registered_model_alias("Fresh", "best", "1")
    sources = {
        "Behind Ready": "models:/Hop/1",
        "Behind Slash": "models:/Hop/1/",
        "Behind Latest": "models:/Fresh/latest",
        "Behind Alias": "models:/Fresh@best",
        "Behind Failed": "models:/Hop/2",
        "Behind Pending": "models:/Hop/3",
        "Twice Behind Failed": "models:/Behind Failed/1",
        "Behind Missing": "models:/Fresh/9",
        "Behind Encoded": "models:/Behind%20Ready/1",
        "Behind None": "models:/Fresh/None",
        "Behind Host": "models://Fresh/1",
        "Own Source": "models:/Own Source/1",
        "Loop A": "models:/Loop B/1",
        "Loop B": "models:/Loop A/1",
        "Behind Run": runs["uris"]["one/inner"],
    }
    for name, source in sources.items():
        logger.version(name, one, source, storage=source)
    location = client.get_logged_model(one).artifact_location
    logger.version("Split", first, storage=location)
    logger.version("Blank", one)
    logger.version("Blank ", first)
    logger.version("At@Sign", one)
    client.set_registered_model_alias("At@Sign", "best", "1")
    logger.version("m-wine", one)
    client.set_registered_model_alias("m-wine", "best", "1")


def loaded_by_mlflow(uris: dict[str, str], directory: Path) -> dict[str, str]:
    """Return the content of the MLmodel file that MLflow loads from each URI, or "" if there is none, by name."""
    result = {}
    for number, (name, uri) in enumerate(uris.items()):
        destination = directory / str(number)
        destination.mkdir(parents=True)
        path = mlflow.artifacts.download_artifacts(artifact_uri=uri.rstrip("/"), dst_path=str(destination))
        file = Path(path) / "MLmodel"
        result[name] = file.read_text() if file.exists() else ""
    return result


def main() -> None:
    """Log all models to a database in the directory named on the command line."""
    logging.disable()
    directory = Path(sys.argv[1])
    database = directory / "mlflow.db"
    os.chdir(directory)
    # The database's own code resolves sources on the process's global tracking server.
    os.environ["MLFLOW_TRACKING_URI"] = uri = f"sqlite:///{database}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("runs", artifact_location=str(directory / "artifacts"))
    logger = Logger(client, experiment, directory / "files", database)
    runs = log_runs(logger)
    register_versions(logger, runs)
    # More logged models than a page of the search has: the two of interest are on the last page.
    crowded, *ids = logger.run("crowded first", "crowded second")
    for _ in range(101):
        client.create_logged_model(experiment, name="other", source_run_id=crowded)
    result = {
        **runs,
        "loaded": loaded_by_mlflow(runs["uris"], directory / "loaded"),
        "crowded": {"uri": f"runs:/{crowded}/model", "ids": ids},
        "host": uri,
    }
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    sys.stdout.flush()
    # Exit without waiting for MLflow's background threads.
    os._exit(0)


if __name__ == "__main__":
    main()
