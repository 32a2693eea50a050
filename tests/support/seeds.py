"""Fill the tracking servers with runs, models and versions. `servers.py` runs this program once.

It reads the servers as JSON from standard input and writes the seeds that tests need to standard output. Tests must
not change the seeded data.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import sys
import urllib.request
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import mlflow  # noqa: E402  # after warnings are silenced
import mlflow.pyfunc  # noqa: E402
import mlflow.sklearn  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.pyfunc.model import PythonModel  # noqa: E402
from sklearn.datasets import load_wine  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from tests.support import run_models  # noqa: E402

LINEAGE = {
    "mlflow.source.git.commit": "3f1c5a9be0d24c6789ab0123456789abcdef0123",
    "mlflow.source.git.repoURL": "https://git.example.com/wine.git",
    "mlflow.source.name": "train.py",
    "mlflow.databricks.notebookPath": "/Repos/wine/train",
    "mlflow.databricks.notebookRevisionID": "1700000000000",
}
FOREST_FILES = 240
# Names with URL metacharacters, and directories that have the same name as their only file.
ODD_NAMES = (
    "a",
    "a?b",
    "a&b=c",
    "a+b",
    "a;b",
    "with space",
    "100%",
    "-rf",
    "quote'\"",
    "größe",
    "gro\u0308ße",
    "模型.bin",
    "same/same",
    "deep/same/same",
    "tags/__pycache__/.git",
    "zero",
)
# Files that differ in version 2. Each must not be confused with another file, which has a similar name.
ODD_CHANGED = ("a?b", "deep/same/same", "gro\u0308ße", "same/same")


class Forest(PythonModel):
    """A pyfunc model that tests save and compare but never load."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow inspects the signature
        return model_input


class Seeder:
    """Client that fills one tracking server."""

    def __init__(self, server: dict[str, str]) -> None:
        self.host = server["url"]
        self.directory = Path(server["directory"])
        self.artifacts = self.directory / "artifacts"
        # The login is set as environment variables for each server in turn, because one process uses several servers.
        self._login = {
            "MLFLOW_TRACKING_USERNAME": server["username"] or "-",
            "MLFLOW_TRACKING_PASSWORD": server["password"] or "-",
        }
        self._client = MlflowClient(tracking_uri=self.host, registry_uri=self.host)
        self.experiment = self.client.create_experiment("wine")

    @property
    def client(self) -> MlflowClient:
        """The MLflow client. Reading this property also selects the credentials of this server for all clients."""
        os.environ.update(self._login)
        return self._client

    def run(self, **tags: str) -> Any:
        return self.client.create_run(self.experiment, tags=tags)

    def register(self, name: str, source: str, run_id: str | None) -> str:
        if not any(model.name == name for model in self.client.search_registered_models()):
            self.client.create_registered_model(name)
        return str(self.client.create_model_version(name, source, run_id).version)

    def upload(self, name: str, directory: Path, tags: dict[str, str] | None = None) -> str:
        """Log a directory as a run artifact and register it, as MLflow 2 and export tools do. Return the source URI."""
        run = self.run(**(tags or {}))
        self.client.log_artifacts(run.info.run_id, str(directory), "model")
        source = f"{run.info.artifact_uri}/model"
        self.register(name, source, run.info.run_id)
        return source

    def place(self, name: str, directory: Path) -> str:
        """Register a directory like `upload`, but copy its files, because MLflow cannot upload files of every name."""
        run = self.run()
        source = f"{run.info.artifact_uri}/model"
        shutil.copytree(directory, self.artifacts / source.partition(":")[2].strip("/"))
        self.register(name, source, run.info.run_id)
        return source

    def log(self, model: Any, **register: str) -> Any:
        """Log a model as MLflow 3 does, that is, as a logged model outside the run."""
        os.environ.update(self._login)
        mlflow.set_tracking_uri(self.host)
        mlflow.set_registry_uri(self.host)
        mlflow.set_experiment(experiment_id=self.experiment)
        with mlflow.start_run():
            mlflow.set_tags(LINEAGE)
            return mlflow.sklearn.log_model(
                model,
                name="wine",
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
                await_registration_for=0,
                **register,
            )


def main() -> None:
    """Fill the three servers and write the seeds."""
    work = Path(sys.argv[1]) / "models"
    work.mkdir()
    servers = json.load(sys.stdin)
    staging, production, old = (Seeder(servers[name]) for name in ("staging", "production", "old"))
    features, classes = load_wine(return_X_y=True)
    model = LogisticRegression(max_iter=5).fit(features, classes)

    info = staging.log(model, registered_model_name="Wine")
    logged = staging.client.get_logged_model(info.model_id)
    wine = work / "wine"
    shutil.copytree(staging.artifacts / logged.artifact_location.partition(":")[2].strip("/"), wine)
    changed = _changed_copy(wine, work / "wine_changed", "model.pkl")
    staging.upload("Wine", wine, LINEAGE)
    staging.upload("Sealed", wine)
    staging.register("Wine", f"runs:/{info.run_id}/wine", info.run_id)
    staging.upload("Wine", changed)
    client = staging.client
    _name_versions(client)
    client.transition_model_version_stage("Wine", "2", "Production")
    client.register_prompt("Greeting", "Hello {{name}}")
    client.copy_model_version("models:/Wine/1", "Wine Copy")
    client.copy_model_version("models:/Wine Copy/1", "Wine Copy Of Copy")

    production.upload("Wine Imported", wine)
    production.upload("Wine Imported", changed)
    production.log(model, registered_model_name="Wine Imported")
    production.client.transition_model_version_stage("Wine Imported", "1", "Staging")
    old.upload("Wine", wine)
    old.upload("Wine", changed)
    _name_versions(old.client)
    old.client.register_prompt("Greeting", "Hello {{name}}")

    seeds = {
        "run_id": info.run_id,
        "model_id": info.model_id,
        "wine": str(wine),
        "location": logged.artifact_location,
        "lineage": LINEAGE,
        "forest_files": FOREST_FILES,
        "odd_files": len(ODD_NAMES) + 1,
        "odd_changed": ODD_CHANGED,
        **_upload_invalid_versions(staging, wine),
        "run_models": _log_run_models(staging, work / "run_models"),
        "old_run": old.upload("Run", wine).split("/")[-3],
    }
    _upload_forest(work / "forest", staging, production)
    _upload_odd_names(work, staging, production)
    _create_guest(servers["staging"])
    sys.stdout.write("\n" + json.dumps(seeds) + "\n")
    sys.stdout.flush()
    # A normal exit would wait for MLflow's background threads.
    os._exit(0)


def _log_run_models(staging: Seeder, directory: Path) -> dict[str, Any]:
    """Log the models of `run_models.py` to a server."""
    client = staging.client
    mlflow.set_tracking_uri(staging.host)
    database = staging.directory / "mlflow.db"
    logger = run_models.Logger(client, client.create_experiment("runs"), directory, database)
    runs = run_models.log_runs(logger)
    run_models.register_versions(logger, runs)
    return {**runs, "loaded": run_models.loaded_by_mlflow(runs["uris"], directory / "loaded")}


def _name_versions(client: MlflowClient) -> None:
    """Give versions of Wine a stage, an alias and a tag."""
    client.transition_model_version_stage("Wine", "1", "Staging")
    client.set_registered_model_alias("Wine", "champion", "1")
    client.set_model_version_tag("Wine", "2", "team", "risk")


def _changed_copy(original: Path, copy: Path, file: str) -> Path:
    """Copy a directory and change one byte of one file."""
    shutil.copytree(original, copy)
    _change_byte(copy / file)
    return copy


def _change_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _upload_invalid_versions(staging: Seeder, wine: Path) -> dict[str, str]:
    """Register versions whose source, run or model files are missing."""
    client = staging.client
    client.create_registered_model("Empty")
    run = staging.run()
    run_id = run.info.run_id
    staging.register("Dangling", f"{run.info.artifact_uri}/gone", run_id)
    client.log_text(run_id, "no model", "notes/readme.txt")
    staging.register("Notes", f"{run.info.artifact_uri}/notes", run_id)

    source = staging.upload("Original", wine)
    client.copy_model_version("models:/Original/1", "Orphan")
    client.delete_model_version("Original", "1")

    lost = staging.upload("Lost Run", wine).split("/")[-3]
    # `mlflow gc` deletes the run and keeps its version.
    with sqlite3.connect(staging.directory / "mlflow.db") as database:
        database.execute("DELETE FROM runs WHERE run_uuid = ?", (lost,))

    return {"orphan_source": source, "lost_run": lost}


def _upload_forest(directory: Path, staging: Seeder, production: Seeder) -> None:
    """Upload a pyfunc model with code, data and hundreds of files."""
    data = directory.with_name("forest_data")
    for number in range(FOREST_FILES):
        file = data / f"level{number % 6}" / f"part-{number:05}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(number.to_bytes(4, "big") * (number % 50))
    code = directory.with_name("forest_code")
    code.mkdir()
    (code / "trees.py").write_text("DEPTH = 3\n")
    mlflow.pyfunc.save_model(
        str(directory),
        python_model=Forest(),
        artifacts={"data": str(data)},
        code_paths=[str(code / "trees.py")],
        pip_requirements=["scikit-learn"],
    )
    staging.upload("Forest", directory)
    production.place("Forest", directory)
    production.place("Forest", _changed_copy(directory, directory.with_name("forest_2"), "code/trees.py"))


def _upload_odd_names(work: Path, staging: Seeder, production: Seeder) -> None:
    """Upload a model whose file names are hard to encode, and a version with changed files."""
    odd = work / "odd"
    for name in (*ODD_NAMES, "MLmodel"):
        file = odd / name
        file.parent.mkdir(parents=True, exist_ok=True)
        # Equal sizes, so that only the bytes can differ.
        file.write_bytes(b"" if name == "zero" else f"content of {name}".encode().ljust(40))
    staging.place("Odd", odd)
    production.place("Odd", odd)
    changed = work / "odd_changed"
    shutil.copytree(odd, changed)
    for name in ODD_CHANGED:
        _change_byte(changed / name)
    production.place("Odd", changed)


def _create_guest(server: dict[str, str]) -> None:
    """Create a user without any permission."""
    login = base64.b64encode(f"{server['username']}:{server['password']}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310  # local test server
        f"{server['url']}/api/2.0/mlflow/users/create",
        json.dumps({"username": "guest", "password": "guest-pass-word-1"}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {login}"},
    )
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass


if __name__ == "__main__":
    main()
