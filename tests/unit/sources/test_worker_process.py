"""One import of MLflow serves two tracking servers, and neither side has anything of the other's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from model_gate.access.environments import base_environment
from model_gate.access.hosts import parse_host
from model_gate.domain.host import Host
from model_gate.errors import InternalError
from model_gate.sources import worker_process
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

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there a process becomes two")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[FaultyServer, FaultyServer, list[TrackingServerClient], WorkerProcess]]:
    with FaultyServer() as first, FaultyServer() as second:
        for server in (first, second):
            server.add("Wine", MODEL)
        hosts = [_login(first, "ada", "first-pass-word"), _login(second, "bob", "second-pass-word")]
        with WorkerProcess(base_environment(os.environ)) as process:
            servers = start_clients(hosts, os.environ, tmp_path, process)
            yield first, second, servers, process
            process.close()
            for each in servers:
                each.close()


def _login(server: FaultyServer, user: str, password: str) -> Host:
    return parse_host(server.url.replace("://", f"://{user}:{password}@"))


def _sides() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE and "model_gate.worker" in each.cmdline()
    ]


def test_each_of_two_sides_has_its_own_login_only(
    two: tuple[FaultyServer, FaultyServer, list[TrackingServerClient], WorkerProcess],
) -> None:
    first, second, servers, _ = two
    for server in servers:
        assert server.resolve("Wine", "1").version == "1"
    assert len(_sides()) == 2
    assert len(first.authorizations) == len(second.authorizations) == 1
    assert first.authorizations != second.authorizations


def test_the_process_is_started_without_any_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    with WorkerProcess(base_environment(os.environ)):
        (side,) = _sides()
        told = {**side.environ(), "command line": " ".join(side.cmdline())}
    assert not any(secret in value for secret in SECRETS.values() for value in told.values())
    assert "MLFLOW_TRACKING_URI" not in told


def test_a_process_that_is_not_needed_ends(tmp_path: Path) -> None:
    done = commandline.run("compare", "--config-file", "nothing.yaml", cwd=tmp_path)
    assert done.returncode == 2
    with WorkerProcess(base_environment(os.environ)) as process:
        (side,) = _sides()
        process.close()
    assert not psutil.pid_exists(side.pid)


def test_a_twin_that_dies_is_told_and_the_other_goes_on(
    two: tuple[FaultyServer, FaultyServer, list[TrackingServerClient], WorkerProcess],
) -> None:
    _, _, (one, twin), _ = two
    for server in (one, twin):
        server.resolve("Wine", "1")
    parent, child = sorted(_sides(), key=lambda side: len(side.parents()))
    assert child.ppid() == parent.pid
    child.kill()
    with pytest.raises(InternalError, match="ended unexpectedly"):
        twin.resolve("Wine", "1")
    assert one.resolve("Wine", "1").version == "1"


def test_both_end_with_the_process(
    two: tuple[FaultyServer, FaultyServer, list[TrackingServerClient], WorkerProcess],
) -> None:
    _, _, servers, process = two
    for server in servers:
        server.resolve("Wine", "1")
    sides = _sides()
    assert len(sides) == 2
    process.close()
    gone, alive = psutil.wait_procs(sides, timeout=10)
    assert not alive, gone


def test_where_a_process_cannot_become_two_each_server_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_CAN_FORK", False)
    with FaultyServer() as first, FaultyServer() as second, WorkerProcess(base_environment(os.environ)) as process:
        hosts = [_login(first, "ada", "first-pass-word"), _login(second, "bob", "second-pass-word")]
        for server in (first, second):
            server.add("Wine", MODEL)
        started = start_clients(hosts, os.environ, tmp_path, process)
        for each in started:
            assert each.resolve("Wine", "1").version == "1"
        assert {side.ppid() for side in _sides()} == {os.getpid()}
        assert len(_sides()) == 2
        process.close()
        for each in started:
            each.close()
    assert _sides() == []
    assert first.authorizations != second.authorizations


def test_the_environment_of_a_side_is_what_it_is_told_and_nothing_else() -> None:
    program = (
        "import os; from model_gate.worker.__main__ import _replace_environment;"
        " _replace_environment({'TOLD': '1'}); print(sorted(os.environ.items()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **SECRETS}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[('TOLD', '1')]\n"
