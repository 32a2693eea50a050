"""The benchmarks run, measure correctly and write their results."""

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

from benchmarks.figures import QUICK_WARNING, Figures, markers, write
from benchmarks.link import Shape, link_to
from benchmarks.measure import Command, FailedCommandError, measure_peaks, measure_processors, measure_seconds
from benchmarks.result import Result
from benchmarks.rows import MAIN, PARTS, ROWS
from benchmarks.table import line, verdict
from tests.support.commandline import clean_environment
from tests.support.emulators import MissingEmulatorError, emulator
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "performance.md"
MIB = 1024**2


def _run_benchmarks(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate(timeout=540)
        except subprocess.TimeoutExpired:
            # After SIGTERM, the benchmarks stop their servers.
            process.terminate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _without_table(page: str, part: str = MAIN) -> str:
    begin, end = map(re.escape, markers(part))
    return re.sub(f"{begin}.*{end}", "", page, flags=re.DOTALL)


@pytest.mark.timeout(600)  # about a minute without other load
def test_quick_benchmark_run_writes_a_table_a_plot_and_data(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "models").mkdir()
    page = tmp_path / "docs" / "performance.md"
    page.write_bytes(PAGE.read_bytes())

    rows = ("sizes-differ", "local-files")
    completed = _run_benchmarks(
        *rows, "--quick", "--runs", "1", "--output", tmp_path, "--directory", tmp_path / "models"
    )

    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert list((tmp_path / "models").iterdir()) == []
    results = json.loads((tmp_path / "docs" / "performance.json").read_text())[MAIN]["results"]
    assert [result["row"] for result in results] == list(rows)
    for result in results:
        assert result["median"] > 0
        assert result["floor_median"] > 0
    # Both listings have 40 files and a directory.
    assert int(results[0]["notes"]["listings"].removesuffix(" KiB")) >= 4
    written = page.read_text()
    assert _without_table(written) == _without_table(PAGE.read_text())
    assert QUICK_WARNING in written
    for result in results:
        assert f"| {result['work']} |" in written
        assert result["work"] in completed.stdout
    plot = (tmp_path / "docs" / "images" / "performance.svg").read_text()
    assert ">Model Gate<" in plot
    assert ">local files of 1 KiB, by their number<" in plot


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with a copy of the page and its data."""
    (tmp_path / "docs").mkdir()
    for name in ("performance.md", "performance.json"):
        (tmp_path / "docs" / name).write_bytes((ROOT / "docs" / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("part", PARTS)
def test_figures_of_one_part_keep_the_tables_and_data_of_the_other_parts(part: str, checkout: Path) -> None:
    page, data = checkout / "docs" / "performance.md", checkout / "docs" / "performance.json"
    result = Result(next(iter(PARTS[part])), "new work", "new floor", "≤ 2 ×", "s", [3.0], [2.0], limit=4.0)
    write({part: Figures([result], [], runs=1, minutes=0.5, load=0.25, is_quick=False)}, checkout)

    written, original = page.read_text(), PAGE.read_text()
    assert _without_table(written, part) == _without_table(original, part)
    begin, end = markers(part)
    table = written.partition(begin)[2].partition(end)[0]
    assert "| new work | new floor: 2.00 s |  | 3.00 s | 1.50 × | ≤ 2 × | met |" in table
    assert "load average 0.25" in table
    old, new = json.loads((ROOT / "docs" / "performance.json").read_text()), json.loads(data.read_text())
    assert [entry["work"] for entry in new.pop(part)["results"]] == ["new work"]
    old.pop(part, None)
    assert new == old


def test_rows_and_parts_cannot_be_combined() -> None:
    completed = _run_benchmarks("one-file", "--part", "stores")
    assert completed.returncode == 2
    assert "name rows or parts, not both" in completed.stderr


def test_missing_emulators_are_an_error_that_names_the_command_to_install_them(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with (
        pytest.raises(MissingEmulatorError, match=r"run make setup"),
        emulator("s3", tmp_path / "store", tmp_path / "missing"),
    ):
        pass


def test_error_for_an_unknown_benchmark_row_lists_the_valid_rows() -> None:
    completed = _run_benchmarks("one-fil")
    assert completed.returncode == 2
    assert all(row in completed.stderr for row in ROWS)


def _result(**more: object) -> Result:
    return Result("one-file", "work", "curl", "≤ 1.15 ×", "s", [1.0, 9.0, 2.0], [2.0], **more)  # type: ignore[arg-type]  # checked at run time


def test_benchmark_goal_is_met_if_the_median_is_within_the_limit() -> None:
    met, missed = _result(limit=2.0), _result(limit=1.99)
    assert (met.is_met, missed.is_met, _result().is_met) == (True, False, None)
    assert met.ratio == 1.0
    assert "2.00 s (1.00 to 9.00)" in line(met)
    assert "**not met**" in line(missed)
    assert verdict([met]) == "every goal that was measured is met."
    assert verdict([met, missed]) == "1 of 2 goals are not met: one-file."


def test_measuring_a_failed_command_is_an_error(tmp_path: Path) -> None:
    failing = Command(["sh", "-c", "echo no space >&2; exit 3"], clean_environment(), tmp_path / "scratch")
    for measure in (measure_seconds, measure_peaks):
        with pytest.raises(FailedCommandError, match="ended with 3: no space"):
            measure(failing)


def test_measured_peak_memory_and_disk_use_include_all_processes(tmp_path: Path) -> None:
    code = "import time; kept = bytearray(b'x') * (48 * 1024**2); open('a', 'wb').write(kept); time.sleep(1)"
    process = f'"{sys.executable}" -c "{code}"'
    both = Command(
        ["sh", "-c", f"mkdir b; {process} & cd b; {process}; wait"], clean_environment(), tmp_path / "scratch"
    )
    peaks = measure_peaks(both)
    assert 96 * MIB <= peaks.memory < 200 * MIB
    assert 96 * MIB <= peaks.disk < 97 * MIB
    assert peaks.seconds >= 1


def test_measured_processor_time_includes_servers_and_detached_processes(tmp_path: Path) -> None:
    spin = "import time; time.sleep(0.3)\nwhile time.process_time() < 0.6: pass\ntime.sleep({})"
    with subprocess.Popen(["sh", "-c", '"$0" -c "$1"; true', sys.executable, spin.format(60)]) as server:
        detached = ["sh", "-c", 'setsid "$0" -c "$1" & sleep 3', sys.executable, spin.format(0)]
        used = measure_processors(Command(detached, clean_environment(), tmp_path / "scratch"), [server.pid])
        for process in (*psutil.Process(server.pid).children(), server):
            process.kill()
    assert used.seconds >= 3
    assert used.servers >= 0.5
    assert used.machine >= used.servers + 0.5


@pytest.fixture
def echo() -> Iterator[str]:
    """Run a server that reads a number from each line that it receives, and sends this many bytes."""
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
            for line in lines:
                connection.sendall(bytes(int(line)))


def _request_bytes(connection: socket.socket, number: int) -> float:
    """Request `number` bytes from the server of `echo`, and return the seconds until all are received."""
    started = time.monotonic()
    connection.sendall(b"%d\n" % number)
    remaining = number
    while remaining:
        remaining -= len(connection.recv(remaining))
    return time.monotonic() - started


def _connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])))


def test_slow_link_has_the_configured_latency_and_transfer_rate(echo: str) -> None:
    with link_to(echo, Shape(latency=0.05, rate=20e6)) as link, _connect(link.url) as connection:
        assert _request_bytes(connection, 1) >= 0.1  # one round trip to connect, one for the request
        # Other load can only add to the latency, so the minimum of ten requests is measured.
        assert 0.05 <= min(_request_bytes(connection, 1) for _ in range(10)) < 0.15
        assert 0.42 <= _request_bytes(connection, 8_000_000) < 2
        assert link.received() == 8_000_011
        assert link.received() == 0


def test_network_link_that_only_counts_bytes_adds_no_delay(echo: str) -> None:
    with link_to(echo) as link, _connect(link.url) as connection:
        assert min(_request_bytes(connection, 1) for _ in range(5)) < 0.02
        assert link.received() == 5
