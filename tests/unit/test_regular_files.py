"""Opening a path never waits, even if it is a FIFO or a device. Without its guard, each test would block."""

from __future__ import annotations

import errno
import filecmp
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from model_gate.access.databrickscfg import read_profiles
from model_gate.access.hosts import find_host
from model_gate.access.redaction import Redactor
from model_gate.action.inputs import Inputs
from model_gate.action.outputs import UNDECIDED, write_outputs
from model_gate.action.reporter import WorkflowReporter
from model_gate.action.step_files import StepFiles
from model_gate.comparison.digest import file_digest
from model_gate.comparison.file_comparison import compare_pair
from model_gate.comparison.small_files.equality import digest_if_equal, digests_if_equal, have_same_bytes
from model_gate.comparison.small_files.process import ComparisonProcess
from model_gate.domain.location import Location
from model_gate.domain.pairing import Pair
from model_gate.domain.result import Outcome
from model_gate.errors import InputError, StorageError
from model_gate.explanation import Explainer
from model_gate.explanation.content import Content
from model_gate.regular_files import open_for_output, open_regular
from model_gate.reporting.reporter import CommandResult
from model_gate.sources.model_source import DirectorySource
from model_gate.sources.storage import Storage

_SECONDS = 20.0


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[Path]:
    """A FIFO. If the test still waits for it after 20 seconds, the fixture ends the wait, and the test fails."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    started = time.monotonic()
    release = threading.Timer(_SECONDS, lambda: os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK)))
    release.start()
    yield path
    release.cancel()
    assert time.monotonic() - started < _SECONDS, "the FIFO was waited for"


def test_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    (tmp_path / "link").symlink_to("f")
    for path in (tmp_path / "f", tmp_path / "link"):
        descriptor = open_regular(path)
        assert os.read(descriptor, 9) == b"1"
        assert not os.get_inheritable(descriptor)
        os.close(descriptor)


def test_link_in_an_open_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    (tmp_path / "link").symlink_to("f")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        os.close(open_regular("f", dir_fd=directory))
        with pytest.raises(OSError, match="link") as caught:
            open_regular("link", dir_fd=directory)
    finally:
        os.close(directory)
    assert caught.value.errno == errno.ELOOP


def test_anything_but_a_regular_file_is_rejected(tmp_path: Path, fifo: Path) -> None:
    (tmp_path / "link").symlink_to(fifo)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    before = os.listdir("/proc/self/fd")
    for path in (fifo, tmp_path / "link", tmp_path / "socket", tmp_path, Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError, match=r"regular file|directory|No such device"):
            open_regular(path)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "read",
    [
        file_digest,
        lambda fifo: Content.of_file(fifo).head(1),
        lambda fifo: read_profiles(Path(fifo)),
        lambda fifo: find_host(f"sqlite:///{fifo}", {}),
    ],
    ids=["digest", "content", "profiles", "database"],
)
def test_fifo_in_place_of_a_file_is_an_error(read: Callable[[str], object], fifo: Path) -> None:
    with pytest.raises((OSError, InputError), match="Not a regular file"):
        read(str(fifo))


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("size", [0, 9, 70_000, 9_000_000])
def test_fifo_in_a_pair_of_files_is_an_error(tmp_path: Path, fifo: Path, size: int, is_left: bool) -> None:
    (tmp_path / "f").write_bytes(bytes(size))
    files = (str(fifo), str(tmp_path / "f")) if is_left else (str(tmp_path / "f"), str(fifo))
    assert digest_if_equal(*files, size) is None
    assert digests_if_equal([(*files, size)]) == [None]
    with pytest.raises(StorageError, match="Not a regular file"):
        compare_pair(Pair("f", "f", "f", size, size), *files)
    with pytest.raises(StorageError, match="Not a regular file"):
        compare_pair(Pair("f", "f", None, size, None), str(fifo), None)
    assert "could not be explained" in Explainer().explain("f.txt", *files).note


@pytest.mark.skipif(sys.platform != "linux", reason="other platforms compare one pair at a time")
def test_fifo_with_the_same_bytes_as_a_file_is_not_equal_to_it(tmp_path: Path, fifo: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    pair = (str(fifo), str(tmp_path / "f"), 5)
    writer = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    os.write(writer, b"12345")
    assert digests_if_equal([pair]) == [None]
    os.close(writer)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev"])
def test_device_or_directory_is_never_equal_to_a_file_in_a_batch(path: str, size: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(size))
    assert digests_if_equal([(path, str(tmp_path / "f"), size)]) == [None]
    assert digests_if_equal([(str(tmp_path / "f"), path, size)]) == [None]


def test_fifo_is_not_copied_to_the_download_directory(tmp_path: Path, fifo: Path) -> None:
    location = Location(str(tmp_path), local_path=tmp_path)
    with Storage(tmp_path / "kept") as storage:
        source = DirectorySource(tmp_path, location, "left", storage)
        with pytest.raises(StorageError, match="Not a regular file"):
            source.begin_fetch({"fifo": 0}, lambda _: None).result()


def test_filecmp_result_cached_by_another_thread_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("left", "right"):
        (tmp_path / name).write_text(name.zfill(9))
        os.utime(tmp_path / name, (1, 1))
    left, right = (open_regular(tmp_path / name) for name in ("left", "right"))

    def add_old_result() -> None:
        # Another thread adds its result after it has closed files with the same numbers, sizes and times.
        signatures = (filecmp._sig(os.stat(descriptor)) for descriptor in (left, right))  # type: ignore[attr-defined]
        filecmp._cache[(left, right, *signatures)] = True  # type: ignore[attr-defined]

    monkeypatch.setattr(filecmp, "clear_cache", add_old_result)
    assert not have_same_bytes(left, right)


@pytest.mark.parametrize("path", ["/proc/self/fd/0", "/proc/self/../self/fd/0", "/dev/fd/0", "/dev/stdin"])
def test_database_path_that_names_a_file_descriptor_is_an_error(path: str) -> None:
    with pytest.raises(InputError, match="another file"):
        find_host(f"sqlite:///{path}", {})


def test_output_to_a_fifo_that_nothing_reads_is_an_error(fifo: Path) -> None:
    with pytest.raises(OSError, match="No such device"):
        open_for_output(fifo, os.O_WRONLY)


def test_step_output_to_a_fifo_that_nothing_reads_is_an_error(fifo: Path) -> None:
    with pytest.raises(StorageError, match="write the step's outputs"):
        write_outputs(UNDECIDED, fifo)


def test_step_summary_to_a_fifo_that_nothing_reads_is_an_error(fifo: Path) -> None:
    environment = {"GITHUB_STEP_SUMMARY": str(fifo)}
    result = CommandResult(Outcome(None, error=InputError("Wrong.", "")), None, Redactor(()), False)
    with pytest.raises(StorageError, match="write the step's summary"):
        WorkflowReporter(Inputs(environment), StepFiles(environment)).show_result(result)


def test_output_to_a_fifo_that_is_read_is_complete(fifo: Path) -> None:
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    text = "x" * 200_000
    received: list[bytes] = []

    def read() -> None:
        while data := os.read(reader, 65536):
            received.append(data)

    thread = threading.Thread(target=read)
    with open(fifo, "a", encoding="utf-8", opener=open_for_output) as stream:
        thread.start()
        stream.write(text)
    thread.join(timeout=_SECONDS)
    os.close(reader)
    assert b"".join(received).decode() == text


def test_comparison_process_that_does_not_read_delays_the_gate_by_one_timeout(tmp_path: Path) -> None:
    started = time.monotonic()
    process = ComparisonProcess([sys.executable, "-c", "import time; time.sleep(60)"], timeout=1)
    for number in range(8):
        process.send(number, [(str(tmp_path), "x" * 1_000_000, 1)])
    process.close()
    assert time.monotonic() - started < 7


@pytest.mark.parametrize("program", ["import time; time.sleep(60)", "import sys, time; sys.stdin.read()"])
def test_comparison_process_that_does_not_respond_is_killed(program: str, tmp_path: Path) -> None:
    started = time.monotonic()
    process = ComparisonProcess([sys.executable, "-c", program], timeout=0.5)
    # The pipe is smaller than the request, so sending waits for a process that does not read.
    process.send(0, [(str(tmp_path), "x" * 1_000_000, 1)])
    assert process.receive(0, 1) is None
    process.close()
    assert time.monotonic() - started < _SECONDS
