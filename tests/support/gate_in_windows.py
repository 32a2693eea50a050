"""Compares models of a server or store with faults, in windows or whole, through one worker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from model_gate.access.declared import Declarations
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.location import Location
from model_gate.domain.result import Comparison
from model_gate.domain.windows import Windows
from model_gate.sources.model_source import AccessContext, ServerSource
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import Call, Fault, FaultyServer
from tests.support.faulty_store import FaultyStore
from tests.support.faulty_workspace import FaultyWorkspace

KIB = 1024
WINDOW = 64 * KIB
WINDOWS = Windows(
    threshold_bytes=100 * KIB,
    rewritable_threshold_bytes=100 * KIB,
    window_bytes=WINDOW,
    scratch_bytes=16 * WINDOW,
    first_bytes=8 * WINDOW,
    explained_bytes=0,
)
MLMODEL = b"flavors: {}\n"
_LAST_MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"
SERVERS = ("near", "far")
STORES = ("s3", "azure", "google", "lake")
WORKSPACES = ("presigned", "files-api", "files-plain", "dbfs")


def serve(call: Call, tag: str = '"1"', *, until: int | None = None, content: bytes | None = None) -> None:
    """Send the file, or the requested range of it, with an ETag. Close the connection after `until` bytes."""
    content = call.file if content is None else content
    header = call.request.headers.get("Range", "")
    if call.request.headers.get("If-Match", tag) != tag:
        call.send(b"", 412)
    elif not header or call.request.headers.get("If-Range", tag) != tag:
        call.send(content[:until], content_length=str(len(content)), etag=tag, last_modified=_LAST_MODIFIED)
    else:
        start, stop = range_of(call, len(content))
        part = content[start:stop]
        content_range = f"bytes {start}-{stop - 1}/{len(content)}"
        headers = {"content_range": content_range, "etag": tag, "last_modified": _LAST_MODIFIED}
        call.send(part[:until], 206, content_length=str(len(part)), **headers)
    if until is not None:
        call.close()


def range_of(call: Call, size: int) -> tuple[int, int]:
    """Return the start and the stop of the requested range of a file of `size` bytes: the whole file without one."""
    start, _, last = call.request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
    return int(start), min(int(last) + 1 if last else size, size)


@dataclass
class Gate:
    """Compares models of one server in windows, through one worker.

    Attributes:
        is_near: Whether the server is near. Files of a near server are read by one response, others in ranges.
        peak: Most bytes of scratch files during the last comparison.
    """

    server: FaultyServer
    client: TrackingServerClient
    is_near: bool
    peak: int = 0
    fault: Fault = field(default=serve)

    def source(self, name: str, storage: Storage) -> ServerSource:
        location = Location(self.location(name))
        for _ in range(200):
            # A source lists its files once. The worker keeps the lowest latency of all listings.
            source = ServerSource(self.client, location, name, storage, AccessContext())
            source.list(lambda _: None)
            if source.is_near == self.is_near or not self.can_be_far:
                return source
        raise AssertionError(f"the server is not {'near' if self.is_near else 'far'}")

    @property
    def can_be_far(self) -> bool:
        """Whether the worker measures the latency of the server, and reads from a far server in ranges."""
        return not isinstance(self.server, FaultyWorkspace)

    def location(self, name: str) -> str:
        path = f"{name}/1"
        if isinstance(self.server, FaultyStore | FaultyWorkspace):
            return self.server.location(path)
        return f"mlflow-artifacts:/{path}"

    def compare(
        self,
        left: Mapping[str, bytes],
        right: Mapping[str, bytes],
        *,
        windows: Windows = WINDOWS,
        fault: Fault = serve,
        left_fault: Fault = serve,
        is_enough: Callable[[FileComparison], bool] | None = None,
    ) -> Comparison:
        """Compare two models. `fault` and `left_fault` respond to the requests for large files of each model."""
        self.server.requests.clear()
        self.server.files.clear()
        self.server.faults = {**self._faults("Right", fault), **self._faults("Left", left_fault), **self.server_faults}
        self.server.add("Left", {"MLmodel": MLMODEL, **left})
        self.server.add("Right", {"MLmodel": MLMODEL, **right})
        self.peak = 0

        def free_bytes(directory: Path) -> int:
            self.peak = max(self.peak, sum(file.stat().st_size for file in directory.rglob("windows/*")))
            return 10**12

        with Storage(None, free_bytes=free_bytes) as storage:
            pair = SelectedPair(*(SelectedModel(self.source(name, storage)) for name in ("Left", "Right")))
            (comparison,) = compare_models([pair], NoProgress(), is_enough=is_enough, windows=windows)
        return comparison

    def add(self, name: str, files: Mapping[str, bytes], fault: Fault) -> None:
        """Add a model. `fault` responds to the requests for its files whose names begin with `model`."""
        self.server.add(name, files)
        self.server.faults |= self._faults(name, fault)

    def _faults(self, name: str, fault: Fault) -> dict[str, Fault]:
        path = f"{name}/1/model"
        paths = self.server.content_paths(path) if isinstance(self.server, FaultyWorkspace) else [path]
        return dict.fromkeys(paths, fault)

    @property
    def server_faults(self) -> dict[str, Fault]:
        def list_slowly(call: Call) -> None:
            time.sleep(0.02)
            call.send_json({"files": call.server.entries(call.request)})

        return {} if self.is_near else {"artifacts?": list_slowly}

    def ranges(self, name: str) -> list[str]:
        """Return the Range headers of the requests for the large file of a model."""
        return [
            request.headers.get("Range", "")
            for request in self.server.requests
            if request.path.endswith(f"{name}/1/model.bin")
        ]


@contextmanager
def open_gate(kind: str, home: Path) -> Iterator[Gate]:
    """Start the server of a kind, and a worker that reads it."""
    environment = {**os.environ, "MLFLOW_HTTP_REQUEST_TIMEOUT": "2"}
    server: FaultyServer
    if kind in SERVERS:
        server = FaultyServer()
    elif kind in WORKSPACES:
        server = FaultyWorkspace(way=kind)
    else:
        server = FaultyStore(cloud=kind)
        environment |= server.use_tls(home)
    with server:
        variables = server.variables if isinstance(server, FaultyStore | FaultyWorkspace) else {}
        environment |= {"MLFLOW_TRACKING_URI": server.url, **variables}
        host = Declarations(environment).default()
        with TrackingServerClient(host, environment, home) as client:
            yield Gate(server, client, is_near=kind == "near" or kind in WORKSPACES)
