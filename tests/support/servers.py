"""Start the tracking servers of the tests: two of the current MLflow with basic authentication, and one MLflow 2.

Run as a program, this module is the supervisor: it starts and seeds the servers, writes `servers.json` when they are
ready, and stops them on SIGTERM or when the owner process is gone. All pytest workers share one set of servers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from tests.support.paths import ROOT

MANIFEST = "servers.json"
STOPPED = "stopped"
_START_SECONDS = 240
_USERS = (
    ("staging", "ada", "staging-pass-word-1"),
    # Characters that need percent-encoding in the user-info of a URL.
    ("production", "bob@example.com", "p@ss/w:rd#100%-&? +2"),
    ("old", "", ""),
)


@dataclass(frozen=True)
class Server:
    """A running tracking server."""

    url: str
    username: str
    password: str
    directory: str

    @property
    def host(self) -> str:
        """The server's URL with credentials."""
        if not self.username:
            return self.url
        return self.url.replace("://", f"://{quote(self.username, safe='')}:{quote(self.password, safe='')}@")

    def stored(self, uri: str) -> Path:
        """Return the directory that stores the files of an `mlflow-artifacts:` URI."""
        return Path(self.directory) / "artifacts" / uri.partition(":")[2].strip("/")


@dataclass(frozen=True)
class Servers:
    """The three servers, and the identifiers of the seeded data (`seeds.py`)."""

    staging: Server
    production: Server
    old: Server
    seeds: Mapping[str, Any]

    @classmethod
    def read(cls, directory: Path) -> Servers:
        data = json.loads((directory / MANIFEST).read_text("utf-8"))
        staging, production, old = (Server(**data[name]) for name, *_ in _USERS)
        return cls(staging, production, old, data["seeds"])


def start_supervisor(directory: Path, owner: int) -> subprocess.Popen[bytes]:
    """Start the supervisor. It stops the servers when the process `owner` is gone."""
    with (directory / "supervisor.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.servers", str(directory), str(owner)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def wait_for(directory: Path) -> Servers:
    """Wait until the servers are ready and return them."""
    deadline = time.monotonic() + _START_SECONDS
    while not (directory / MANIFEST).exists():
        if (directory / "failed").exists() or time.monotonic() > deadline:
            logs = sorted(directory.glob("**/*.log"))
            raise RuntimeError("\n".join(f"{log}:\n{log.read_text()[-4000:]}" for log in logs))
        time.sleep(0.1)
    return Servers.read(directory)


def free_port(address: str = "127.0.0.1") -> int:
    """Return an unused port."""
    with socket.create_server((address, 0)) as listener:
        return int(listener.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """Return os.environ without variables that configure MLflow or Databricks, and with the variables in `more`."""
    misleading = ("MLFLOW_", "DATABRICKS_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(misleading)} | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **more,
    }


def _start(name: str, directory: Path, username: str, password: str) -> tuple[subprocess.Popen[bytes], Server]:
    home = directory / name
    home.mkdir()
    port = free_port()
    program = ROOT / ".venv-mlflow2/bin/mlflow" if name == "old" else Path(sys.executable).with_name("mlflow")
    command = [str(program), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(home / "artifacts")]
    more = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    if username:
        command += ["--app-name", "basic-auth"]
        more |= {"MLFLOW_AUTH_CONFIG_PATH": str(home / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "tests"}
        settings = {
            "default_permission": "NO_PERMISSIONS",
            "database_uri": f"sqlite:///{home}/auth.db",
            "admin_username": username,
            "admin_password": password.replace("%", "%%"),
            # Password hashing is slow, so each login is cached for the whole test run.
            "auth_cache_ttl_seconds": "3600",
        }
        lines = ["[mlflow]", *(f"{key} = {value}" for key, value in settings.items())]
        (home / "auth.ini").write_text("\n".join(lines), "utf-8")
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment(**more),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A server runs several processes; the process group stops them together.
            start_new_session=True,
        )
    return process, Server(f"http://127.0.0.1:{port}", username, password, str(home))


def await_health(process: subprocess.Popen[bytes], url: str) -> None:
    """Wait until a server answers."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310  # local test server
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _seed(servers: Mapping[str, Server], directory: Path) -> Any:
    server_data = json.dumps({name: asdict(server) for name, server in servers.items()})
    completed = subprocess.run(
        [sys.executable, "-m", "tests.support.seeds", str(directory)],
        # Standard input, because the data contains passwords.
        input=server_data.encode(),
        env=environment(PYTHONPATH=str(ROOT)),
        cwd=directory,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(completed.stdout.splitlines()[-1])


def _supervise(directory: Path, owner: int) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    servers: dict[str, Server] = {}
    try:
        for name, username, password in _USERS:
            process, servers[name] = _start(name, directory, username, password)
            processes.append(process)
        for process, server in zip(processes, servers.values(), strict=True):
            await_health(process, server.url)
        seeds = _seed(servers, directory)
        data = {name: asdict(server) for name, server in servers.items()} | {"seeds": seeds}
        (directory / "ready").write_text(json.dumps(data), "utf-8")
        (directory / "ready").rename(directory / MANIFEST)
        while _is_alive(owner):
            time.sleep(0.5)
    except Exception:
        (directory / "failed").touch()
        raise
    finally:
        # A second SIGTERM must not interrupt the cleanup.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        (directory / STOPPED).touch()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _exit(_: int, __: FrameType | None) -> None:
    raise SystemExit


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _exit)
    _supervise(Path(sys.argv[1]), int(sys.argv[2]))
