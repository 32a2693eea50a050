"""Start two tracking servers on loopback and place models on them.

Model files are written directly into the artifact store, because uploads are not measured.
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

from benchmarks.environment import BIN, SERVER_WORKERS, clean_environment

_START_SECONDS = 240
# uvicorn kills workers that need more than five seconds to import MLflow, which happens on a busy machine.
_UVICORN_OPTIONS = "--timeout-worker-healthcheck 120"


@dataclass(frozen=True)
class Server:
    """A tracking server that proxies its artifacts."""

    url: str
    directory: Path
    experiment: str
    process: int

    def place(self, name: str, make: Callable[[Path], None]) -> Path:
        """Register version 1 of a model, fill its directory with `make`, and return the directory."""
        run = self._post("runs/create", experiment_id=self.experiment, start_time=0)["run"]["info"]
        source = f"{run['artifact_uri']}/model"
        directory = self.directory / "artifacts" / source.partition(":")[2].strip("/")
        directory.mkdir(parents=True)
        make(directory)
        self._post("registered-models/create", name=name)
        self._post("model-versions/create", name=name, source=source, run_id=run["run_id"])
        return directory

    def artifact_path(self, directory: Path) -> str:
        """Return the artifact path of a model's directory."""
        return directory.relative_to(self.directory / "artifacts").as_posix()

    def _post(self, endpoint: str, **parameters: object) -> Any:
        return _post(self.url, endpoint, parameters)


@contextmanager
def two_servers(directory: Path, workers: int = SERVER_WORKERS) -> Iterator[tuple[Server, Server]]:
    """Run both servers, each with `workers` processes that answer requests."""
    with ExitStack() as stack:
        started = [(name, *_start(directory / name, workers, stack)) for name in ("server_1", "server_2")]
        servers = []
        for name, process, url in started:
            _await_workers(process, workers, directory / name / "server.log")
            experiment = _post(url, "experiments/create", {"name": "benchmarks"})["experiment_id"]
            servers.append(Server(url, directory / name, experiment, process.pid))
        yield servers[0], servers[1]


def free_port() -> int:
    """Return an unused port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start(home: Path, workers: int, stack: ExitStack) -> tuple[subprocess.Popen[bytes], str]:
    home.mkdir()
    port = free_port()
    command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers)]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(home / "artifacts"), "--uvicorn-opts", _UVICORN_OPTIONS]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=clean_environment(home) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A server runs several processes; the process group stops them together.
            start_new_session=True,
        )
    stack.callback(_stop, process)
    return process, f"http://127.0.0.1:{port}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _await_workers(process: subprocess.Popen[bytes], workers: int, log: Path) -> None:
    """Wait until all workers run, because starting workers would slow down the first measurement."""
    deadline = time.monotonic() + _START_SECONDS
    while (text := log.read_text("utf-8")).count("Application startup complete") < workers:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(text[-4000:])
        time.sleep(0.1)


def _post(url: str, endpoint: str, parameters: dict[str, object]) -> Any:
    request = urllib.request.Request(  # noqa: S310  # local server
        f"{url}/api/2.0/mlflow/{endpoint}", json.dumps(parameters).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{endpoint}: {error.read().decode(errors='replace')}") from error


@dataclass(frozen=True)
class PlacedModel:
    """A model on both servers.

    Attributes:
        name: Name of the registered model, which has version 1 only.
        servers: The two servers.
        directories: Directory of the files on each server.
    """

    name: str
    servers: tuple[Server, Server]
    directories: tuple[Path, Path]

    def remove(self) -> None:
        """Delete the files. The registry entry stays without files."""
        for directory in self.directories:
            shutil.rmtree(directory)
