"""Two tracking servers on loopback, as `mlflow server` starts them, and the models on them.

Files are written straight into the store behind the server, since uploading them is not what is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.surroundings import BIN, clean_environment

_START_SECONDS = 240
_WORKERS = 4  # mlflow server's default
# On a busy machine a worker takes longer to import MLflow than uvicorn's five seconds, and would be killed for it.
_PATIENCE = "--timeout-worker-healthcheck 120"


@dataclass(frozen=True)
class Server:
    """A tracking server that proxies its artifacts, with the default number of workers."""

    url: str
    directory: Path
    experiment: str
    process: int

    def place(self, name: str, make: Callable[[Path], None]) -> Path:
        """Register version 1 of a model whose directory `make` fills; returns that directory."""
        run = self._post("runs/create", experiment_id=self.experiment, start_time=0)["run"]["info"]
        source = f"{run['artifact_uri']}/model"
        directory = self.directory / "artifacts" / source.partition(":")[2].strip("/")
        directory.mkdir(parents=True)
        make(directory)
        self._post("registered-models/create", name=name)
        self._post("model-versions/create", name=name, source=source, run_id=run["run_id"])
        return directory

    def artifact_path(self, directory: Path) -> str:
        """The path under which the server serves a model's directory."""
        return directory.relative_to(self.directory / "artifacts").as_posix()

    def _post(self, endpoint: str, **asked: object) -> Any:
        return _post(self.url, endpoint, asked)


@contextmanager
def two_servers(directory: Path) -> Iterator[tuple[Server, Server]]:
    """Both servers, for as long as they are needed."""
    with ExitStack() as stack:
        started = [(name, *_start(directory / name, stack)) for name in ("server_1", "server_2")]
        servers = []
        for name, process, url in started:
            _await_workers(process, directory / name / "server.log")
            experiment = _post(url, "experiments/create", {"name": "benchmarks"})["experiment_id"]
            servers.append(Server(url, directory / name, experiment, process.pid))
        yield servers[0], servers[1]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start(own: Path, stack: ExitStack) -> tuple[subprocess.Popen[bytes], str]:
    own.mkdir()
    port = free_port()
    command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{own}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(own / "artifacts"), "--uvicorn-opts", _PATIENCE]
    with (own / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=clean_environment(own) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A server is several processes: they end as a group.
            start_new_session=True,
        )
    stack.callback(_end, process)
    return process, f"http://127.0.0.1:{port}"


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _await_workers(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for all workers: those that still start would take their time from what is measured first."""
    deadline = time.monotonic() + _START_SECONDS
    while (said := log.read_text("utf-8")).count("Application startup complete") < _WORKERS:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(said[-4000:])
        time.sleep(0.1)


def _post(url: str, endpoint: str, asked: dict[str, object]) -> Any:
    request = urllib.request.Request(  # noqa: S310  # our own server
        f"{url}/api/2.0/mlflow/{endpoint}", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{endpoint}: {error.read().decode(errors='replace')}") from error


@dataclass(frozen=True)
class PlacedModel:
    """The same model on both servers.

    Attributes:
        name: Its registered model, of which there is version 1.
        servers: The servers.
        directories: Where each server has its files.
    """

    name: str
    servers: tuple[Server, Server]
    directories: tuple[Path, Path]

    def remove(self) -> None:
        """Delete its files; the entry in the registry stays and leads nowhere."""
        for directory in self.directories:
            shutil.rmtree(directory)
