"""Run commands and measure time, processor time, memory and disk. Time and peaks are measured in separate runs."""

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
# Sampling costs processor time and slows the command, so long runs are sampled less often.
_SAMPLES_PER_RUN = 500
# Only every fifth sample searches for new processes, because a search costs more than reading a process's memory.
_SAMPLES_PER_SEARCH = 5


@dataclass(frozen=True)
class Command:
    """A command that is measured from the start to the end of its process.

    Attributes:
        argv: The program and its arguments.
        environment: The complete environment.
        scratch: Directory for its output, emptied before each run.
        exit_code: Expected exit code.
        prepare: Function that is called before each run and not measured.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    scratch: Path
    exit_code: int = 0
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class PeakUse:
    """Peak memory and disk use of a command's processes, in bytes. Short peaks between two samples can be missing."""

    memory: int
    disk: int
    seconds: float


@dataclass(frozen=True)
class ProcessorTime:
    """Processor time that was used while a command ran. A second of two busy processors counts as two seconds.

    Attributes:
        seconds: Wall-clock time of the command.
        machine: Processor time of the whole machine; without other load, that is the command and the servers.
        servers: Processor time of the servers.
    """

    seconds: float
    machine: float
    servers: float


class FailedCommandError(Exception):
    """The measured command ended with an unexpected exit code, so that its time is not valid."""


def measure_seconds(command: Command) -> float:
    """Return the wall-clock time of a command in seconds."""
    return measure_processors(command, ()).seconds


def measure_processors(command: Command, servers: Sequence[int]) -> ProcessorTime:
    """Measure the processor time of a command, and of the servers while it runs.

    `servers` are process IDs. The descendants of these processes count too.
    """
    _prepare(command)
    machine_before, servers_before = _machine_seconds(), _tree_seconds(servers)
    started = time.perf_counter()
    process = _start(command)
    _, errors = process.communicate()
    taken = time.perf_counter() - started
    used = ProcessorTime(taken, _machine_seconds() - machine_before, _tree_seconds(servers) - servers_before)
    _require_success(command, process.returncode, errors)
    return used


def measure_in_turns(
    commands: Mapping[str, Command], runs: int, measure: Callable[[Command], _T]
) -> dict[str, list[_T]]:
    """Measure the commands in turns, so that load affects all of them alike."""
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
    processes += [descendant for process in processes for descendant in process.children(recursive=True)]
    return sum((sum(process.cpu_times()[:2]) for process in processes), 0.0)


def measure_peaks(command: Command) -> PeakUse:
    """Measure a command's peak disk use in its scratch directory and its peak memory.

    The memory is the sum of the proportional set sizes (PSS) of its processes and of a gate's files in memory.
    """
    _prepare(command)
    started = time.perf_counter()
    memory = disk = 0
    with _start(command) as process:
        # A thread reads stderr, because a full pipe would block the command.
        errors: list[bytes] = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read() if process.stderr else b""))
        reader.start()
        tree = _Tree(process.pid)
        while not (wait_result := os.wait4(process.pid, os.WNOHANG))[0]:
            memory = max(memory, tree.memory() + _files_in_memory(process.pid))
            disk = max(disk, disk_use(command.scratch))
            time.sleep(max(SAMPLE_SECONDS, (time.perf_counter() - started) / _SAMPLES_PER_RUN))
        taken = time.perf_counter() - started
        _, status, _ = wait_result
        process.returncode = os.waitstatus_to_exitcode(status)
        reader.join()
    _require_success(command, process.returncode, b"".join(errors))
    return PeakUse(memory, disk, taken)


def disk_use(directory: Path) -> int:
    """Return the bytes that files below a directory occupy. Files may be created and deleted meanwhile."""
    total = 0
    pending = [str(directory)]
    while pending:
        # The entry can be deleted after it was listed.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _files_in_memory(process: int) -> int:
    """Return the bytes of a gate's files in memory, which the memory of its processes does not include."""
    return sum(map(disk_use, SHARED_MEMORY.glob(memory_prefix(process) + "*")))


class _Tree:
    """A process and its descendants."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._processes: list[int] = [root]
        self._samples = 0

    def memory(self) -> int:
        if self._samples % _SAMPLES_PER_SEARCH == 0:
            with contextlib.suppress(psutil.NoSuchProcess):
                descendants = psutil.Process(self._root).children(recursive=True)
                self._processes = [self._root, *(each.pid for each in descendants)]
        self._samples += 1
        return sum(_proportional_set_size(process) for process in self._processes)


def _proportional_set_size(process: int) -> int:
    """Return the proportional set size of a process: each shared page is divided among the processes that share it."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    fields = text.partition("\nPss:")[2].split()
    return int(fields[0]) * 1024 if fields else 0


def _prepare(command: Command) -> None:
    shutil.rmtree(command.scratch, ignore_errors=True)
    command.scratch.mkdir(parents=True)
    command.prepare()
    # Pending writes of an earlier run must not slow down this one.
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


def _require_success(command: Command, exit_code: int, errors: bytes) -> None:
    if exit_code != command.exit_code:
        text = errors.decode(errors="replace")[-2000:]
        raise FailedCommandError(f"{' '.join(command.argv)[:300]} ended with {exit_code}: {text}")
