"""One import of MLflow serves two tracking servers, and each worker has the credentials of its server only."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from model_gate.access.base_environment import base_environment
from model_gate.access.hosts import parse_host
from model_gate.domain.host import Host
from model_gate.domain.limits import LIMITS
from model_gate.errors import InternalError
from model_gate.sources.tracking_server import TrackingServerClient, start_clients
from model_gate.sources.worker_process import WorkerProcess
from tests.support import commandline
from tests.support.faulty_server import MODEL, FaultyServer

SECRETS = {
    "MLFLOW_TRACKING_PASSWORD": "pass-word-of-the-default-server",
    "MLFLOW_TRACKING_TOKEN": "token-of-the-default-server",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-store",
    "DATABRICKS_TOKEN": "token-of-a-workspace",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process forks on Linux only")


@dataclass
class TwoWorkers:
    """The clients of two servers, whose workers share one import of MLflow."""

    first_server: FaultyServer
    second_server: FaultyServer
    clients: list[TrackingServerClient]
    process: WorkerProcess

    def resolve_all(self) -> None:
        for client in self.clients:
            assert client.resolve("Wine", "1").version == "1"


@contextmanager
def started_workers(process: WorkerProcess, home: Path) -> Iterator[TwoWorkers]:
    """Start two servers with different logins, and yield them with their two workers, which `process` starts."""
    with FaultyServer() as first, FaultyServer() as second, process:
        for server in (first, second):
            server.add("Wine", MODEL)
        hosts = [_login(first, "ada", "first-pass-word"), _login(second, "bob", "second-pass-word")]
        clients = start_clients(hosts, os.environ, home, process)
        yield TwoWorkers(first, second, clients, process)
        process.close()
        for client in clients:
            client.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoWorkers]:
    with started_workers(WorkerProcess(base_environment(os.environ)), tmp_path) as workers:
        yield workers


def _login(server: FaultyServer, user: str, password: str) -> Host:
    return parse_host(server.url.replace("://", f"://{user}:{password}@"))


def _worker_processes() -> list[psutil.Process]:
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.status() != psutil.STATUS_ZOMBIE and "model_gate.worker" in process.cmdline()
    ]


def test_each_of_two_workers_sends_only_its_own_login(two: TwoWorkers) -> None:
    two.resolve_all()
    assert len(_worker_processes()) == 2
    assert len(two.first_server.authorizations) == len(two.second_server.authorizations) == 1
    assert two.first_server.authorizations != two.second_server.authorizations


def test_worker_limits_its_memory_and_its_files(two: TwoWorkers) -> None:
    two.resolve_all()
    for process in _worker_processes():
        memory, _ = process.rlimit(psutil.RLIMIT_DATA)
        file_size, _ = process.rlimit(psutil.RLIMIT_FSIZE)
        # The limit of memory counts from what the process has after its start.
        assert LIMITS.worker_memory < memory < 2 * LIMITS.worker_memory
        assert file_size == LIMITS.worker_file_bytes


def test_worker_process_is_started_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with WorkerProcess(base_environment(os.environ)):
        (process,) = _worker_processes()
        visible = {**process.environ(), "command line": " ".join(process.cmdline())}
    assert not any(secret in value for secret in SECRETS.values() for value in visible.values())
    assert "MLFLOW_TRACKING_URI" not in visible


def test_unused_worker_process_ends_when_it_is_closed(tmp_path: Path) -> None:
    done = commandline.run("compare", "--config-file", "nothing.yaml", cwd=tmp_path)
    assert done.returncode == 2
    with WorkerProcess(base_environment(os.environ)) as process:
        deadline = time.monotonic() + 10
        while not (running := _worker_processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.close()
    assert len(running) == 1
    assert not psutil.pid_exists(running[0].pid)


def test_first_worker_continues_if_the_worker_forked_from_it_is_killed(two: TwoWorkers) -> None:
    two.resolve_all()
    client, forked_client = two.clients
    parent, fork = sorted(_worker_processes(), key=lambda process: len(process.parents()))
    assert fork.ppid() == parent.pid
    fork.kill()
    with pytest.raises(InternalError, match="ended unexpectedly"):
        forked_client.resolve("Wine", "1")
    assert client.resolve("Wine", "1").version == "1"


def test_closing_the_worker_process_ends_both_workers(two: TwoWorkers) -> None:
    two.resolve_all()
    processes = _worker_processes()
    assert len(processes) == 2
    two.process.close()
    gone, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive, gone


def test_each_server_gets_its_own_process_if_forking_is_disabled(tmp_path: Path) -> None:
    with started_workers(WorkerProcess(base_environment(os.environ), can_fork=False), tmp_path) as two:
        two.resolve_all()
        assert {process.ppid() for process in _worker_processes()} == {os.getpid()}
        assert len(_worker_processes()) == 2
    assert _worker_processes() == []
    assert two.first_server.authorizations != two.second_server.authorizations


def test_worker_has_no_environment_variables_except_those_that_it_receives() -> None:
    program = (
        "import os; from model_gate.worker.__main__ import _replace_environment;"
        " _replace_environment({'TOLD': '1'}); print(sorted(os.environ.items()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **SECRETS}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[('TOLD', '1')]\n"
