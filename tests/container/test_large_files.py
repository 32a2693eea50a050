"""Large files in a container with little disk and little memory.

MODEL_GATE_LARGE_GIB is the size of each file in GiB. The bounds are the same for all sizes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.link import Link, link_to
from tests.container.engine import docker
from tests.container.registry import PASSWORD, USERNAME, Registry, add_version
from tests.container.sparse_store import BUCKET, SparseStore, sparse_store

MIB = 1024**2
SIZE = int(os.environ.get("MODEL_GATE_LARGE_GIB", "1")) * 1024 * MIB
# About 20 times as long as on a machine with two cores.
SECONDS = 300 + 120 * SIZE // (1024 * MIB)
# The long timeout is for the first test, which builds the image, and for large files.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900 + SECONDS)]

DISK = 1024 * MIB
MEMORY = 512 * MIB
MAX_SCRATCH = 512 * MIB
MAX_MEMORY = 300 * MIB
# Of both files together, if the difference is at the front.
MAX_MOVED = 256 * MIB
USER = 41001
# The offset of the byte that is not zero in each model.
OFFSETS = {"zeros": None, "zeros again": None, "front": 1_000, "end": SIZE - 1}


@dataclass(frozen=True)
class Gate:
    """A completed gate.

    Attributes:
        code: Exit code.
        report: The JSON report.
        output: Standard output and standard error.
        seconds: Duration, start of the container included.
        scratch: Most bytes of the temporary directory at a time.
        memory: Most bytes of memory at a time that the kernel cannot reclaim: all but the cache of files.
        cached: Most bytes of memory at a time, with the cache of files.
    """

    code: int
    report: dict[str, Any]
    output: str
    seconds: float
    scratch: int
    memory: int
    cached: int

    @property
    def comparison(self) -> dict[str, Any]:
        comparison: dict[str, Any] = self.report["comparison"]
        return comparison


class Memory:
    """Reads the memory of a container from its control group, of version 1 or 2."""

    def __init__(self, container: str) -> None:
        process = docker("inspect", container, "--format", "{{.State.Pid}}").stdout.strip()
        groups = [line.split(":", 2) for line in Path(f"/proc/{process}/cgroup").read_text().splitlines()]
        paths = {controllers: path.strip("/") for _, controllers, path in groups}
        root = Path("/sys/fs/cgroup")
        if "memory" in paths:
            self._directory = root / "memory" / paths["memory"]
            self._peak, self._names = "memory.max_usage_in_bytes", {"total_rss", "total_shmem"}
        else:
            self._directory = root / paths[""]
            self._peak, self._names = "memory.peak", {"anon", "shmem"}

    def peak(self) -> int:
        """Return the most bytes so far, with the cache of files."""
        return int((self._directory / self._peak).read_text())

    def used(self) -> int:
        """Return the bytes that are used now, without the cache of files."""
        lines = (line.split() for line in (self._directory / "memory.stat").read_text().splitlines())
        return sum(int(value) for name, value in lines if name in self._names)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 GiB on disk. The files of a tmpfs would count as memory."""
    image, mounted = tmp_path / "disk", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-E", f"root_owner={USER}:{USER}", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def used_bytes(directory: Path) -> int:
    """Return the used bytes of a file system."""
    state = os.statvfs(directory)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def run_gate(image: str, disk: Path, command: Sequence[str], variables: Mapping[str, str]) -> Gate:
    """Run a gate whose only writable directories are on a small disk, and measure it."""
    work = disk / "work"
    for directory in (work, disk / "tmp"):
        directory.mkdir()
        os.chown(directory, USER, USER)
    empty = used_bytes(disk)
    limits = ["--memory", str(MEMORY), "--memory-swap", str(MEMORY), "--read-only"]
    mounts = ["--volume", f"{work}:/work", "--volume", f"{disk / 'tmp'}:/tmp"]
    names = [part for name in variables for part in ("--env", name)]
    started = time.monotonic()
    container = subprocess.run(
        ["docker", "run", "--detach", "--network", "host", *limits, *mounts, *names, image, *command],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    try:
        memory = Memory(container)
        scratch = used = peak = 0
        while docker("inspect", container, "--format", "{{.State.Running}}").stdout.strip() == "true":
            assert time.monotonic() < started + SECONDS, docker("logs", container).stdout
            for _ in range(20):
                scratch = max(scratch, used_bytes(disk) - empty)
                try:
                    used, peak = max(used, memory.used()), max(peak, memory.peak())
                except OSError:  # The container has ended.
                    break
                time.sleep(0.02)
        seconds = time.monotonic() - started
        code = int(docker("wait", container).stdout)
        log = docker("logs", container)
    finally:
        docker("rm", "--force", container)
    report = work / "model-gate-report.json"
    output = log.stdout + log.stderr
    assert report.exists(), output
    return Gate(code, json.loads(report.read_text()), output, seconds, scratch, used, peak)


def add_weights(model: Path, name: str) -> None:
    """Add a large sparse file to the files of a model, with at most one changed byte."""
    with (model / "weights.bin").open("wb") as file:
        file.truncate(SIZE)
        offset = OFFSETS[name]
        if offset is not None:
            file.seek(offset)
            file.write(b"\1")


@dataclass(frozen=True)
class Servers:
    """A tracking server behind two addresses, so that the gate reads it as two servers."""

    links: tuple[Link, Link]

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with the logins of both."""
        # A busy machine serves two large transfers slowly.
        return {"MLFLOW_HTTP_REQUEST_TIMEOUT": "120"} | {
            f"{name}_MLFLOW_TRACKING_{key}": value
            for name, link in zip(("STAGING", "PROD"), self.links, strict=True)
            for key, value in (("URI", link.url), ("USERNAME", USERNAME), ("PASSWORD", PASSWORD))
        }

    def compare(self, right: str) -> list[str]:
        """Return the command that compares the zeros with another model."""
        return ["diff", *_HOSTS, "models:/zeros/1", f"models:/{right}/1"]

    def moved(self) -> int:
        """Return the bytes that both have sent since the previous call."""
        return sum(link.received() for link in self.links)


@dataclass(frozen=True)
class Store:
    """A bucket of S3, without a tracking server."""

    store: SparseStore

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with the login."""
        return self.store.variables

    def compare(self, right: str) -> list[str]:
        """Return the command that compares the zeros with another model."""
        return ["diff", f"s3://{BUCKET}/zeros", f"s3://{BUCKET}/{right}"]

    def moved(self) -> int:
        """Return the bytes that the store has sent since the previous call."""
        sent, self.store.sent = self.store.sent, 0
        return sent


_HOSTS = ["--left-host", "server:STAGING", "--right-host", "server:PROD"]
Place = Servers | Store


@pytest.fixture(scope="module")
def servers(server: Registry) -> Iterator[Place]:
    for name in OFFSETS:
        add_weights(add_version(server, name, server.directory / "models/wine"), name)
    with link_to(server.local) as left, link_to(server.local) as right:
        yield Servers((left, right))


@pytest.fixture(scope="module")
def store(server: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("bucket")
    for name in OFFSETS:
        shutil.copytree(server.directory / "models/wine", directory / name)
        add_weights(directory / name, name)
    with sparse_store(directory) as store:
        yield Store(store)


@pytest.fixture(params=["servers", "store"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    found.moved()
    return found


def require_limits(gate: Gate, place: Place) -> int:
    """Require that a gate kept within its scratch space and its memory. Print its figures; return the moved bytes."""
    moved = place.moved()
    figures = {"scratch": gate.scratch, "memory": gate.memory, "with cache": gate.cached, "moved": moved}
    text = ", ".join(f"{name} {size / MIB:,.0f} MiB" for name, size in figures.items())
    sys.stdout.write(f"\n{SIZE // 1024 // MIB} GiB, {type(place).__name__}: {gate.seconds:.1f} s, {text}\n")
    assert gate.scratch <= MAX_SCRATCH
    assert 0 < gate.memory <= MAX_MEMORY
    return moved


def test_large_equal_files_are_equal_within_the_limits(image: str, disk: Path, place: Place) -> None:
    gate = run_gate(image, disk, place.compare("zeros again"), place.variables)
    assert (gate.code, gate.report["status"]) == (0, "equal"), gate.output
    assert require_limits(gate, place) >= 2 * SIZE


def test_large_files_with_another_last_byte_differ_at_its_offset(image: str, disk: Path, place: Place) -> None:
    gate = run_gate(image, disk, place.compare("end"), place.variables)
    assert (gate.code, gate.report["status"]) == (1, "different"), gate.output
    (difference,) = gate.comparison["differences"]
    assert (difference["path"], difference["offset"]) == ("weights.bin", SIZE - 1)
    require_limits(gate, place)


def test_early_difference_of_large_files_ends_a_fail_fast_gate_early(image: str, disk: Path, place: Place) -> None:
    gate = run_gate(image, disk, [*place.compare("front"), "--fail-fast"], place.variables)
    assert (gate.code, gate.report["status"]) == (1, "different"), gate.output
    (difference,) = gate.comparison["differences"]
    assert (difference["path"], difference["offset"]) == ("weights.bin", 1_000)
    assert require_limits(gate, place) <= MAX_MOVED
