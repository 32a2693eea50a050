"""Fixtures of the container tests: the images, the tracking server and the workflow runner of a test session."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.container.engine import IMAGE, RUNNER, Act, build, docker, export, release
from tests.container.registry import Registry, registry
from tests.support.paths import ROOT


@pytest.fixture(scope="session")
def image() -> str:
    return build(IMAGE, ROOT)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(image: str) -> str:
    """The IP address at which containers in a Docker network reach this machine: their default gateway."""
    completed = docker("run", "--rm", "--entrypoint", "cat", image, "/proc/net/route")
    routes = [line.split() for line in completed.stdout.splitlines()[1:]]
    number = next(int(route[2], 16) for route in routes if route[1] == "00000000")
    return socket.inet_ntoa(struct.pack("<L", number))


@pytest.fixture(scope="session")
def act(image: str, tmp_path_factory: pytest.TempPathFactory) -> Act:
    directory = ROOT / "tests/container"
    build(RUNNER, directory, "runner.Dockerfile")
    build("model-gate-forward:test", directory / "forward")
    action = release(export(tmp_path_factory.mktemp("action")), image)
    return Act(action, tmp_path_factory.mktemp("workflows"))
