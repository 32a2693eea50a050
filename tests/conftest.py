"""The tracking servers: started once, beside the tests that do not need them, for all workers."""

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

# Where the servers live. Set it to the directory of a keeper that runs already, and that one's are used.
_DIRECTORY = "MODEL_GATE_TEST_SERVERS"
# Held, since Python warns of a process that runs on when nothing refers to it.
_KEEPERS: list[subprocess.Popen[bytes]] = []


def pytest_configure(config: pytest.Config) -> None:
    # Workers inherit it: they share the servers of the process that started them.
    if _DIRECTORY in os.environ:
        return
    directory = Path(tempfile.mkdtemp(prefix="model-gate-servers-"))
    (directory / "owner").write_text(str(os.getpid()))
    os.environ[_DIRECTORY] = str(directory)
    config.add_cleanup(lambda: _end_keeper(directory))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The servers need a while: what can be tested without them comes first.
    items.sort(key=_needs_servers)


def pytest_collection_finish(session: pytest.Session) -> None:
    directory = Path(os.environ[_DIRECTORY])
    is_needed = any(map(_needs_servers, session.items)) and not session.config.option.collectonly
    if not is_needed or (directory / tracking_servers.MANIFEST).exists():
        return
    try:
        (directory / "started").touch(exist_ok=False)
    except FileExistsError:
        return
    keeper = tracking_servers.start_keeper(directory, int((directory / "owner").read_text()))
    (directory / "keeper").write_text(str(keeper.pid))
    _KEEPERS.append(keeper)


def _needs_servers(item: pytest.Item) -> bool:
    return "servers" in getattr(item, "fixturenames", ())


def _end_keeper(directory: Path) -> None:
    if (directory / "keeper").exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((directory / "keeper").read_text()), signal.SIGTERM)
        deadline = time.monotonic() + 10
        while not (directory / tracking_servers.ENDED).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
    del os.environ[_DIRECTORY]
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The tracking servers with what `seeds.py` puts on them. Tests must not change it."""
    return tracking_servers.wait_for(Path(os.environ[_DIRECTORY]))
