"""A worker that reads only object stores does not import MLflow, and reads them with the settings of MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commandline import clean_environment
from tests.support.faulty_store import FaultyStore
from tests.support.opened_stores import add

# Runs a worker in this process: lists a location and fetches a file, then looks up a name if there is an argument.
# Prints which of MLflow and the clients of the clouds are imported at the start, the location, the listing, the file,
# and whether MLflow is imported then.
PROGRAM = """
import json, os, sys
from model_gate.worker import __main__ as worker

open_session = worker._import_modules()
print(*sorted({"mlflow", "boto3", "botocore", "google.auth", "azure.core"} & sys.modules.keys()))
uri, destination, name = sys.argv[1:4]
session = open_session()

def perform(operation, **arguments):
    return session.perform(operation, arguments, lambda note: None)

print(json.dumps(perform("locate", uri=uri)))
print(json.dumps(perform("list", uri=uri)["files"]))
perform("fetch", uri=uri, files=[["MLmodel", 12, destination]])
print(open(destination).read().strip())
print("mlflow" in sys.modules)
if name:
    try:
        perform("locate", uri=name)
    except Exception as error:
        print(type(error).__name__, "mlflow" in sys.modules)
"""
FILES = {"MLmodel": b"flavors: {}\n", "data/a": b"1"}


def _run(store: FaultyStore, directory: Path, schemes: str, tracking_uri: str, name: str = "") -> list[str]:
    """Return the lines that the program prints for a model in a store."""
    add(store, "m", FILES)
    destination = directory / "MLmodel"
    destination.touch()
    settings = {
        "HOME": str(directory),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_REGISTRY_URI": tracking_uri,
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MODEL_GATE_ADDRESS": tracking_uri,
        "MODEL_GATE_LOCAL_ARTIFACTS": "false",
        "MODEL_GATE_SCHEMES": schemes,
        "MODEL_GATE_SERVER_DIRECTORY": "",
    }
    completed = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM, store.location("m"), str(destination), name],
        env=clean_environment() | store.variables | settings,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.splitlines()


@pytest.mark.parametrize("tracking_uri", ["", "http://127.0.0.1:9"])
@pytest.mark.parametrize("cloud, scheme", [("s3", "s3"), ("azure", "wasbs"), ("google", "gs")])
def test_store_is_read_without_importing_mlflow(tmp_path: Path, cloud: str, scheme: str, tracking_uri: str) -> None:
    with FaultyStore(cloud=cloud) as store:
        lines = _run(store, tmp_path, scheme, tracking_uri)
        located = {"uri": store.location("m"), "hops": []}
    listed = {path: len(content) for path, content in FILES.items()}
    assert lines == ["", json.dumps(located), json.dumps(listed), "flavors: {}", "False"]


def test_worker_for_stores_imports_mlflow_when_a_name_is_looked_up(tmp_path: Path) -> None:
    with FaultyStore(cloud="s3") as store:
        *_, before, after = _run(store, tmp_path, "s3", "http://127.0.0.1:9", "models:/wine/1")
    assert (before, after) == ("False", "MlflowException True")


@pytest.mark.parametrize("schemes", ["", "other", "other s3", "abfss"])
def test_worker_for_other_locations_imports_mlflow_at_its_start(tmp_path: Path, schemes: str) -> None:
    with FaultyStore(cloud="s3") as store:
        first, *_, last = _run(store, tmp_path, schemes, "http://127.0.0.1:9")
    assert ("mlflow" in first.split(), last) == (True, "True")
