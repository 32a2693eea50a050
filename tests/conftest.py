"""Start the tracking servers once for all pytest workers, while tests that need no server already run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support import servers as tracking_servers
from tests.support.servers import Servers

# Directory of the servers. Set the variable to reuse the servers of a running supervisor.
_DIRECTORY_VARIABLE = "MODEL_GATE_TEST_SERVERS"
# Python warns when a Popen object of a running process is garbage collected.
_SUPERVISORS: list[subprocess.Popen[bytes]] = []


def pytest_configure(config: pytest.Config) -> None:
    # pytest workers inherit the variable and share the servers of the main process.
    if _DIRECTORY_VARIABLE in os.environ:
        return
    directory = Path(tempfile.mkdtemp(prefix="model-gate-servers-"))
    (directory / "owner").write_text(str(os.getpid()))
    os.environ[_DIRECTORY_VARIABLE] = str(directory)
    config.add_cleanup(lambda: _stop_supervisor(directory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The servers start slowly, so tests that need no server run first.
    items.sort(key=_needs_servers)


def pytest_collection_finish(session: pytest.Session) -> None:
    directory = Path(os.environ[_DIRECTORY_VARIABLE])
    is_needed = any(map(_needs_servers, session.items)) and not session.config.option.collectonly
    if not is_needed or (directory / tracking_servers.MANIFEST).exists():
        return
    try:
        (directory / "started").touch(exist_ok=False)
    except FileExistsError:
        return
    supervisor = tracking_servers.start_supervisor(directory, int((directory / "owner").read_text()))
    (directory / "supervisor").write_text(str(supervisor.pid))
    _SUPERVISORS.append(supervisor)


def _needs_servers(item: pytest.Item) -> bool:
    return "servers" in getattr(item, "fixturenames", ())


def _stop_supervisor(directory: Path) -> None:
    if (directory / "supervisor").exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((directory / "supervisor").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not (directory / tracking_servers.STOPPED).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    del os.environ[_DIRECTORY_VARIABLE]
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The seeded tracking servers. Tests must not change the seeded data (`seeds.py`)."""
    return tracking_servers.wait_for(Path(os.environ[_DIRECTORY_VARIABLE]))
