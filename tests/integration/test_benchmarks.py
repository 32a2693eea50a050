"""The benchmarks run, and what they write is what they found."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.figures import BEGIN, END, QUICK_WARNING
from benchmarks.link import Shape, link_to
from benchmarks.measure import Command, FailedCommandError, busy, seconds, watch
from benchmarks.result import Result
from benchmarks.rows import ROWS
from benchmarks.table import line, verdict
from tests.support.commandline import clean_environment
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "performance.md"
MIB = 1024**2


def _bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate(timeout=540)
        except subprocess.TimeoutExpired:
            # Not killed: it has servers to end.
            process.terminate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _outside(page: str) -> str:
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", "", page, flags=re.DOTALL)


@pytest.mark.timeout(600)  # a minute, but for a busy machine
def test_a_quick_run_writes_table_plot_and_data(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "models").mkdir()
    page = tmp_path / "docs" / "performance.md"
    page.write_bytes(PAGE.read_bytes())

    rows = ("sizes-differ", "local-files")
    ran = _bench(*rows, "--quick", "--runs", "1", "--output", tmp_path, "--directory", tmp_path / "models")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((tmp_path / "models").iterdir()) == []
    results = json.loads((tmp_path / "docs" / "performance.json").read_text())["results"]
    assert [result["row"] for result in results] == list(rows)
    for result in results:
        assert result["median"] > 0
        assert result["floor_median"] > 0
    # Both listings name 40 files and a directory.
    assert int(results[0]["notes"]["listings"].removesuffix(" KiB")) >= 4
    written = page.read_text()
    assert _outside(written) == _outside(PAGE.read_text())
    assert QUICK_WARNING in written
    for result in results:
        assert f"| {result['work']} |" in written
        assert result["work"] in ran.stdout
    plot = (tmp_path / "docs" / "images" / "performance.svg").read_text()
    assert ">Model Gate<" in plot
    assert ">local files of 1 KiB, by their number<" in plot


def test_a_row_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    ran = _bench("one-fil")
    assert ran.returncode == 2
    assert all(row in ran.stderr for row in ROWS)


def _result(**more: object) -> Result:
    return Result("one-file", "work", "curl", "≤ 1.15 ×", "s", [1.0, 9.0, 2.0], [2.0], **more)  # type: ignore[arg-type]  # `more` is checked at run time


def test_the_median_decides_whether_a_goal_is_met() -> None:
    met, missed = _result(limit=2.0), _result(limit=1.99)
    assert (met.is_met, missed.is_met, _result().is_met) == (True, False, None)
    assert met.ratio == 1.0
    assert "2.00 s (1.00 to 9.00)" in line(met)
    assert "**not met**" in line(missed)
    assert verdict([met]) == "every goal that was measured is met."
    assert verdict([met, missed]) == "1 of 2 goals are not met: one-file."


def test_what_did_not_do_its_work_is_not_measured(tmp_path: Path) -> None:
    failing = Command(["sh", "-c", "echo no space >&2; exit 3"], clean_environment(), tmp_path / "scratch")
    for measure in (seconds, watch):
        with pytest.raises(FailedCommandError, match="ended with 3: no space"):
            measure(failing)


def test_memory_and_disk_of_all_processes_are_watched(tmp_path: Path) -> None:
    code = "import time; kept = bytearray(b'x') * (48 * 1024**2); open('a', 'wb').write(kept); time.sleep(1)"
    one = f'"{sys.executable}" -c "{code}"'
    both = Command(["sh", "-c", f"mkdir b; {one} & cd b; {one}; wait"], clean_environment(), tmp_path / "scratch")
    watched = watch(both)
    assert 96 * MIB <= watched.memory < 200 * MIB
    assert 96 * MIB <= watched.disk < 97 * MIB
    assert watched.seconds >= 1


def test_what_processors_did_counts_a_server_and_what_nobody_waits_for(tmp_path: Path) -> None:
    spin = "import time; time.sleep(0.3)\nwhile time.process_time() < 0.6: pass\ntime.sleep({})"
    with subprocess.Popen(["sh", "-c", '"$0" -c "$1"; true', sys.executable, spin.format(60)]) as server:
        detached = ["sh", "-c", 'setsid "$0" -c "$1" & sleep 3', sys.executable, spin.format(0)]
        did = busy(Command(detached, clean_environment(), tmp_path / "scratch"), [server.pid])
        for each in (*psutil.Process(server.pid).children(), server):
            each.kill()
    assert did.seconds >= 3
    assert did.servers >= 0.5
    assert did.machine >= did.servers + 0.5


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that answers each line with as many bytes as it names."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            for asked in lines:
                connection.sendall(bytes(int(asked)))


def _ask(connection: socket.socket, number: int) -> float:
    """The seconds until so many bytes were there."""
    started = time.monotonic()
    connection.sendall(b"%d\n" % number)
    left = number
    while left:
        left -= len(connection.recv(left))
    return time.monotonic() - started


def _connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


def test_the_slow_link_is_as_slow_as_it_is_said_to_be(echo: str) -> None:
    with link_to(echo, Shape(latency=0.05, rate=20e6)) as link, _connect(link.url) as connection:
        assert _ask(connection, 1) >= 0.1  # a round trip to connect, and one to ask
        # A busy machine makes it slower, nothing makes it faster.
        assert 0.05 <= min(_ask(connection, 1) for _ in range(10)) < 0.15
        assert 0.42 <= _ask(connection, 8_000_000) < 2
        assert link.received() == 8_000_011
        assert link.received() == 0


def test_the_counting_link_only_counts(echo: str) -> None:
    with link_to(echo) as link, _connect(link.url) as connection:
        assert min(_ask(connection, 1) for _ in range(5)) < 0.02
        assert link.received() == 5
