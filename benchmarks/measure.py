"""Runs a command and says what it took. Time is measured without watching; memory and disk in a run of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from model_gate.sources.storage import SHARED_MEMORY, memory_prefix

_T = TypeVar("_T")

SAMPLE_SECONDS = 0.02
# Looking takes a processor's time and holds up what is looked at; what runs for long is looked at less often.
_SAMPLES_PER_RUN = 500
# Looking for new processes costs more than reading one's memory.
_SAMPLES_PER_SEARCH = 5


@dataclass(frozen=True)
class Command:
    """What is run, from start to end of the whole process.

    Attributes:
        argv: The program and its arguments.
        environment: All of its environment.
        scratch: What it writes is below this directory, which is emptied before each run.
        exit_code: The one with which it did its work.
        prepare: Done before each run, and not measured.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    scratch: Path
    exit_code: int = 0
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Watched:
    """The most that a command's processes needed at one time, in bytes: sampled, so a short peak may be missed."""

    memory: int
    disk: int
    seconds: float


@dataclass(frozen=True)
class Busy:
    """What processors did while a command ran, in seconds of one processor.

    Attributes:
        seconds: How long the command took, by the clock on the wall.
        machine: All of them, whatever for; on a quiet machine that is the command and what serves it.
        servers: What of it the servers took.
    """

    seconds: float
    machine: float
    servers: float


class FailedCommandError(Exception):
    """What was measured did not do its work, so its time says nothing."""


def seconds(command: Command) -> float:
    """How long the command takes, by the clock on the wall."""
    return busy(command, ()).seconds


def busy(command: Command, servers: Sequence[int]) -> Busy:
    """How long the command takes, and what processors do meanwhile; `servers` are processes with all below them."""
    _make_ready(command)
    machine, own = _machine_seconds(), _tree_seconds(servers)
    started = time.perf_counter()
    process = _start(command)
    _, errors = process.communicate()
    taken = time.perf_counter() - started
    did = Busy(taken, _machine_seconds() - machine, _tree_seconds(servers) - own)
    _require_done(command, process.returncode, errors)
    return did


def in_turns(commands: Mapping[str, Command], runs: int, measure: Callable[[Command], _T]) -> dict[str, list[_T]]:
    """What each command comes to, one after the other again and again, so that a busy moment hits all of them."""
    measured: dict[str, list[_T]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            measured[name].append(measure(command))
    return measured


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "steal", 0.0))


def _tree_seconds(roots: Sequence[int]) -> float:
    processes = [psutil.Process(root) for root in roots]
    processes += [below for process in processes for below in process.children(recursive=True)]
    return sum((sum(process.cpu_times()[:2]) for process in processes), 0.0)


def watch(command: Command) -> Watched:
    """What the command's processes need at most: disk below its scratch, and memory, with files that are there.

    A process's share of memory is its proportional set size (PSS).
    """
    _make_ready(command)
    started = time.perf_counter()
    memory = disk = 0
    with _start(command) as process:
        # Its errors are read meanwhile, or a full pipe would stop it.
        said: list[bytes] = []
        reader = threading.Thread(target=lambda: said.append(process.stderr.read() if process.stderr else b""))
        reader.start()
        tree = _Tree(process.pid)
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            memory = max(memory, tree.memory() + _files_in_memory(process.pid))
            disk = max(disk, disk_use(command.scratch))
            time.sleep(max(SAMPLE_SECONDS, (time.perf_counter() - started) / _SAMPLES_PER_RUN))
        taken = time.perf_counter() - started
        _, status, _ = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join()
    _require_done(command, process.returncode, b"".join(said))
    return Watched(memory, disk, taken)


def disk_use(directory: Path) -> int:
    """Bytes that are allocated below a directory in which files come and go."""
    total = 0
    pending = [str(directory)]
    while pending:
        # Gone between being listed and being read.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _files_in_memory(process: int) -> int:
    """Bytes of the files that a gate has in memory: they are no part of its processes."""
    return sum(map(disk_use, SHARED_MEMORY.glob(memory_prefix(process) + "*")))


class _Tree:
    """A process and all that descend from it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._known: list[int] = [root]
        self._samples = 0

    def memory(self) -> int:
        if self._samples % _SAMPLES_PER_SEARCH == 0:
            with contextlib.suppress(psutil.NoSuchProcess):
                descendants = psutil.Process(self._root).children(recursive=True)
                self._known = [self._root, *(each.pid for each in descendants)]
        self._samples += 1
        return sum(_proportional_set_size(process) for process in self._known)


def _proportional_set_size(process: int) -> int:
    """Its share of the memory that it uses: pages that several processes share are counted once in their sum."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    found = text.partition("\nPss:")[2].split()
    return int(found[0]) * 1024 if found else 0


def _make_ready(command: Command) -> None:
    shutil.rmtree(command.scratch, ignore_errors=True)
    command.scratch.mkdir(parents=True)
    command.prepare()
    # What an earlier run left to be written must not be written at this one's expense.
    os.sync()


def _start(command: Command) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command.argv),
        env=dict(command.environment),
        cwd=command.scratch,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _require_done(command: Command, exit_code: int, errors: bytes) -> None:
    if exit_code != command.exit_code:
        said = errors.decode(errors="replace")[-2000:]
        raise FailedCommandError(f"{' '.join(command.argv)[:300]} ended with {exit_code}: {said}")
