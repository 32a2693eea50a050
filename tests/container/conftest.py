"""The engine, the images and the registry: made once for all tests that need a container."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from container.engine import IMAGE, ROOT, RUNNER, Act, build, docker, export
from container.registry import Registry, registry


@pytest.fixture(scope="session")
def image() -> str:
    return build(IMAGE, ROOT)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="session")
def gateway() -> str:
    """This machine, as containers call it."""
    template = "{{(index .IPAM.Config 0).Gateway}}"
    return docker("network", "inspect", "bridge", "--format", template).stdout.strip()


@pytest.fixture(scope="session")
def act(image: str, tmp_path_factory: pytest.TempPathFactory) -> Act:
    here = ROOT / "tests/container"
    build(RUNNER, here, "runner.Dockerfile")
    build("model-gate-forward:test", here / "forward")
    return Act(export(tmp_path_factory.mktemp("action")), tmp_path_factory.mktemp("workflows"))
