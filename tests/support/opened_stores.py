"""Stores that can respond with faults, and workers that read them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from model_gate.access.declared import Declarations
from model_gate.domain.model import FileRequest
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import Call
from tests.support.faulty_store import FaultyStore, serve_object
from tests.support.recording_proxy import shared_proxy

CLOUDS = ["s3", "azure", "google", "lake"]
# Names that clients and stores encode in different ways.
FILES = {
    "MLmodel": b"flavors: {}\n",
    "a#b": b"1",
    "a%41": b"2",
    "aA": b"3",
    "a+b c": b"4",
    "q?x=1&y;z": b"5",
    "a%2Fb": b"6",
    "tilde~": b"7",
    "ü/é": b"8",
    "empty": b"",
    "data/deep/large": bytes(range(256)) * 20,
}


@contextmanager
def open_store(cloud: str, directory: Path, **variables: str) -> Iterator[tuple[FaultyStore, TrackingServerClient]]:
    """Start a store and a worker that reads it."""
    environment = {name: os.environ[name] for name in ("PATH", *shared_proxy().environment) if name in os.environ}
    environment |= {"HOME": str(directory), "MLFLOW_HTTP_REQUEST_TIMEOUT": "2", **variables}
    store = FaultyStore(cloud=cloud)
    environment |= store.use_tls(directory)
    with store:
        environment |= {"MLFLOW_TRACKING_URI": store.url, **store.variables, **variables}
        with TrackingServerClient(Declarations(environment).default(), environment, directory) as client:
            yield store, client


def add(store: FaultyStore, root: str, files: dict[str, bytes]) -> None:
    store.files |= {f"{root}/{path}": content for path, content in files.items()}


def ignore(_: object) -> None:
    """Ignore progress."""


def require_requests_at_once(
    store: FaultyStore, client: TrackingServerClient, root: str, location: str, directory: Path
) -> None:
    """Add 64 files to a store at `root`, and assert that all are requested before the first response.

    `location` is the location of the files for the client. The files are fetched into `directory`.
    """
    names = [f"{number:02}" for number in range(64)]
    all_arrived = threading.Barrier(len(names))

    def serve(call: Call) -> None:
        all_arrived.wait(timeout=30)
        serve_object(call)

    add(store, root, dict.fromkeys(names, b"content"))
    client.list(location, ignore)
    store.faults[f"{root}/"] = serve
    fetches = []
    for name in names:
        destination = directory / name
        destination.touch()
        fetches.append(client.begin_fetch(location, [FileRequest(name, 7, str(destination))]))
    for fetch in fetches:
        fetch.result()


@dataclass(frozen=True)
class Opened:
    """A store without objects and faults, and a worker that reads it."""

    store: FaultyStore
    client: TrackingServerClient

    @property
    def cloud(self) -> str:
        return self.store.cloud
