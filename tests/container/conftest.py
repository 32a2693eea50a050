"""The engine, the images and the registry: made once for all tests that need a container."""

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
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="session")
def gateway(image: str) -> str:
    """This machine, as containers in a network of their own reach it: by their way out."""
    done = docker("run", "--rm", "--entrypoint", "cat", image, "/proc/net/route")
    ways = [line.split() for line in done.stdout.splitlines()[1:]]
    number = next(int(way[2], 16) for way in ways if way[1] == "00000000")
    return socket.inet_ntoa(struct.pack("<L", number))


@pytest.fixture(scope="session")
def act(image: str, tmp_path_factory: pytest.TempPathFactory) -> Act:
    here = ROOT / "tests/container"
    build(RUNNER, here, "runner.Dockerfile")
    build("model-gate-forward:test", here / "forward")
    action = release(export(tmp_path_factory.mktemp("action")), image)
    return Act(action, tmp_path_factory.mktemp("workflows"))
