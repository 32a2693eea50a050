"""Runs a real `mlflow server` with authentication and registered models for the container tests.

The server listens on all addresses of this machine, so that containers can reach it. Or it runs in a container, and
only containers in its network and this machine can reach it.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.container.engine import docker

USERNAME = "ada"
# The password has characters with a special meaning in URLs, shells and regular expressions.
PASSWORD = "S3cret/pass:word+100%"
_START_SECONDS = 120
# The port of each server in a container. Every container has its own ports.
CONTAINER_PORT = 5000

# Names of a registered model and of its files that could be taken for workflow commands, Markdown or HTML. The content
# of each file differs between version 1 and version 2. No file name has a line break or #, because the MLflow server
# or client would reject it.
HOSTILE_MODEL = "Hostile ##[error]owned | ` <details> %0A"
HOSTILE_NAMES = (
    "::error::owned",
    "a|b",
    "`tick` ```fence",
    "</code></details><img src=x>",
    "![x](https:owned.example.com)",
    "@everyone",
    '"];click A "javascript:1"',
)


@dataclass(frozen=True)
class Registry:
    """A running tracking server.

    Attributes:
        port: TCP port on which the server listens.
        directory: Directory of its database, its artifacts and its log.
        address: IP address at which programs on this machine reach the server.
    """

    port: int
    directory: Path
    address: str = "127.0.0.1"

    @property
    def local(self) -> str:
        """The URL of the server for programs on this machine."""
        return f"http://{self.address}:{self.port}"


@contextmanager
def registry(directory: Path, password: str = PASSWORD, models: Path | None = None) -> Iterator[Registry]:
    """Run a tracking server with registered models, whose files are in `directory`. Stop it at the exit.

    Args:
        directory: Directory for the database, the artifacts and the log of the server.
        password: Password of the user `USERNAME`.
        models: Directory with the models of another server, which are registered here too. None to make the models.
    """
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = int(listener.getsockname()[1])
    process = _start(directory, port, password)
    try:
        server = Registry(port, directory)
        if models is None:
            _make_models(directory / "models")
        else:
            shutil.copytree(models, directory / "models")
        _await_health(process, server, directory / "server.log")
        _seed(server, password)
        yield server
    finally:
        # The server is a group of several processes. All of them are killed.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def contained_registry(directory: Path, image: str, network: str, password: str, models: Path) -> Iterator[Registry]:
    """Run a tracking server with registered models in a container. Remove the container at the exit.

    Args:
        directory: Directory of this machine for the database, the artifacts and the log of the server.
        image: An image that has the program `chroot`.
        network: The Docker network of the container, which has no other.
        password: Password of the user `USERNAME`.
        models: Directory with the models of another server, which are registered here too.
    """
    shutil.copytree(models, directory / "models")
    container = docker(*_run_contained(directory, image, network, password)).stdout.strip()
    try:
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = docker("inspect", container, "--format", template).stdout.strip()
        server = Registry(CONTAINER_PORT, directory, address)
        log = directory / "server.log"
        with log.open("wb") as file:
            # This process ends when the server ends.
            follower = subprocess.Popen(["docker", "logs", "--follow", container], stdout=file, stderr=file)
        try:
            _await_health(follower, server, log)
            _seed(server, password)
            yield server
        finally:
            follower.kill()
            follower.wait()
    finally:
        docker("rm", "--force", container)


def environment() -> dict[str, str]:
    """Return the environment variables of this process, without those of MLflow and Databricks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DATABRICKS_"))}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}


def _start(directory: Path, port: int, password: str) -> subprocess.Popen[bytes]:
    command, variables = _server(directory, port, password)
    with (directory / "server.log").open("wb") as log:
        return subprocess.Popen(
            command,
            env=environment() | variables,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _run_contained(directory: Path, image: str, network: str, password: str) -> list[str]:
    """Return the arguments of `docker` that start the server in a container and print the container's id.

    The server sees the files of this machine, which have MLflow, and can only write to `directory`. An image with
    MLflow would take minutes to build.
    """
    command, variables = _server(directory, CONTAINER_PORT, password)
    variables |= {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(directory), "TMPDIR": str(directory)}
    machine = "/machine"
    return [
        *("run", "--detach", "--network", network),
        *("--volume", f"/:{machine}:ro", "--volume", f"{directory}:{machine}{directory}"),
        *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
        *("--entrypoint", "chroot", image, f"--userspec={os.getuid()}:{os.getgid()}", machine),
        *("env", f"--chdir={directory}", *command),
    ]


def _server(directory: Path, port: int, password: str) -> tuple[list[str], dict[str, str]]:
    """Write the configuration of a server; return its command and its environment variables."""
    settings = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": f"sqlite:///{directory}/auth.db",
        "admin_username": USERNAME,
        "admin_password": password.replace("%", "%%"),
        # The cache avoids a hash of the password for each request, which takes longer than the rest of the request.
        "auth_cache_ttl_seconds": "3600",
    }
    lines = ["[mlflow]", *(f"{key} = {value}" for key, value in settings.items())]
    (directory / "auth.ini").write_text("\n".join(lines), "utf-8")
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "0.0.0.0", "--port", str(port)]
    command += ["--workers", "1", "--app-name", "basic-auth", "--allowed-hosts", "*", "--serve-artifacts"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db"]
    command += ["--artifacts-destination", str(directory / "artifacts")]
    variables = {
        "MLFLOW_AUTH_CONFIG_PATH": str(directory / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    return command, variables


def _await_health(process: subprocess.Popen[bytes], server: Registry, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{server.local}/health", timeout=5):  # noqa: S310  # a server of the tests
                return
        except (urllib.error.URLError, OSError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()[-4000:]) from error
            time.sleep(0.1)


def _seed(server: Registry, password: str) -> None:
    models = server.directory / "models"
    api = _Api(server, password)
    for name, directory in (
        ("Wine", "wine"),
        ("Wine", "wine"),
        ("Wine", "changed"),
        ("Wine", "logged again"),
        (HOSTILE_MODEL, "hostile 1"),
        (HOSTILE_MODEL, "hostile 2"),
    ):
        api.add_version(name, models / directory)
    api.post("registered-models/alias", name="Wine", alias="champion", version="1")


def _make_models(models: Path) -> None:
    wine = models / "wine"
    script = (
        "import sys, mlflow.sklearn; from sklearn.linear_model import LinearRegression; "
        "mlflow.sklearn.save_model(LinearRegression().fit([[0], [1]], [0, 1]), sys.argv[1], "
        "serialization_format='cloudpickle', pip_requirements=['scikit-learn'])"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(wine)], env=environment(), check=True)
    changed = models / "changed"
    shutil.copytree(wine, changed)
    content = bytearray((changed / "model.pkl").read_bytes())
    content[len(content) // 2] ^= 1
    (changed / "model.pkl").write_bytes(content)
    mlmodel = changed / "MLmodel"
    mlmodel.write_text(mlmodel.read_text().replace("loader_module: mlflow.sklearn", "loader_module: mlflow.other"))
    again = models / "logged again"
    shutil.copytree(wine, again)
    mlmodel = again / "MLmodel"
    mlmodel.write_text(mlmodel.read_text() + "run_id: 0123456789abcdef0123456789abcdef\n")
    for number in ("1", "2"):
        hostile = models / f"hostile {number}"
        hostile.mkdir()
        (hostile / "MLmodel").write_text(f"flavors: {{}}\nnote: '##[error]owned {number}'\n")
        (hostile / "notes.txt").write_text(f"::error::owned\n##[error]owned {number}\n```\n</details> {number}\n")
        for name in HOSTILE_NAMES:
            file = hostile / name
            file.parent.mkdir(parents=True, exist_ok=True)
            # The file has the same size in both versions, so that the gate must compare the content.
            file.write_text(number)


class _Api:
    """A client of the REST API of a tracking server, with the login of its administrator."""

    def __init__(self, server: Registry, password: str) -> None:
        login = base64.b64encode(f"{USERNAME}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        self._base = f"{server.local}/api/2.0/mlflow"
        self._artifacts = server.directory / "artifacts"
        self._experiment = ""
        self._registered: set[str] = set()

    def post(self, path: str, **data: object) -> dict[str, Any]:
        request = urllib.request.Request(f"{self._base}/{path}", json.dumps(data).encode(), self._headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            content: dict[str, Any] = json.load(response)
        return content

    def add_version(self, name: str, model: Path) -> Path:
        """Add the files of a model as the next version of `name`. Return the files' directory in the store."""
        if not self._experiment:
            self._experiment = self.post("experiments/create", name=f"for {name}")["experiment_id"]
        run = self.post("runs/create", experiment_id=self._experiment, start_time=0)["run"]["info"]
        source = f"{run['artifact_uri']}/model"
        # The files are copied into the store, because MLflow's client cannot upload all of these file names.
        store = self._artifacts / source.partition(":")[2].strip("/")
        shutil.copytree(model, store)
        if name not in self._registered:
            self._registered.add(name)
            self.post("registered-models/create", name=name)
        self.post("model-versions/create", name=name, source=source, run_id=run["run_id"])
        return store


def add_version(server: Registry, name: str, model: Path) -> Path:
    """Add a copy of a model as version 1 of `name`, which is new. Return the directory of its files in the store."""
    return _Api(server, PASSWORD).add_version(name, model)
