"""With --fail-fast a gate stops at what decides it, and says what it did not look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import commandline
from tests.support.faulty_server import MODEL, FaultyServer
from tests.support.gates import check
from tests.support.reports import Json, read_report


def diff(directory: Path, *options: str) -> Json:
    done = commandline.run("diff", "left", "right", *options, cwd=directory)
    return read_report(directory / "model-gate-report.json", done.returncode)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, byte in (("left", b"l"), ("right", b"r")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_bytes(b"run_id: " + byte + b"\n")
        for number in range(5):
            (tmp_path / name / f"part-{number}").write_bytes(byte * 1000)
    return tmp_path


def test_the_first_difference_is_the_last_file_that_is_compared(directory: Path) -> None:
    comparison = diff(directory, "--fail-fast")["comparison"]
    assert (comparison["differences_count"], comparison["compared"], comparison["not_compared"]) == (1, 1, 5)
    assert comparison["equals"] is False
    assert comparison["equivalent"] is False


def test_without_it_every_difference_is_told(directory: Path) -> None:
    comparison = diff(directory)["comparison"]
    assert (comparison["differences_count"], comparison["not_compared"]) == (6, 0)


def test_what_is_equivalent_is_not_enough_to_stop_where_that_would_pass(directory: Path) -> None:
    for number in range(5):
        (directory / "right" / f"part-{number}").write_bytes(b"l" * 1000)
    report = diff(directory, "--fail-fast", "--require", "equivalent")
    assert report["passed"] is True
    assert report["comparison"]["not_compared"] == 0
    # MLmodel is the smallest file: with another one to stop at, it is not reached.
    (directory / "right" / "part-3").write_bytes(b"r" * 1001)
    (directory / "left" / "part-3").write_bytes(b"l" * 1001)
    report = diff(directory, "--fail-fast", "--require", "equivalent")
    assert report["passed"] is False
    assert [each["path"] for each in report["comparison"]["differences"]] == ["part-3"]


def test_equal_models_are_compared_to_the_end(directory: Path) -> None:
    done = commandline.run("diff", "left", "left", "--fail-fast", cwd=directory)
    report = read_report(directory / "model-gate-report.json", done.returncode)
    assert report["status"] == "equal"


def test_nothing_more_is_fetched_from_a_server(tmp_path: Path) -> None:
    many = {f"part-{number:03}": b"x" * 1_000_000 for number in range(100)}
    with FaultyServer() as server:
        server.add("Wine", MODEL | many | {"large": b"x" * 2_000_000})
        server.add("copies", MODEL | many | {"large": b"y" * 2_000_000})
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        ran = check(tmp_path, server.url, "Wine", "1", "--fail-fast")
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    assert [each["path"] for each in ran.report["comparison"]["differences"]] == ["large"]
    assert ran.report["comparison"]["not_compared"] > 0
    assert len(server.fetched) < 2 * len(many)


def test_a_large_file_that_is_equivalent_does_not_end_it_either(directory: Path) -> None:
    for name in ("left", "right"):
        (directory / name / "MLmodel").write_text(f"run_id: {name}\nmetadata: {'x' * 2000}\n")
        for number in range(5):
            (directory / name / f"part-{number}").write_bytes(b"l" * 1000)
    report = diff(directory, "--fail-fast", "--require", "equivalent")
    assert (report["passed"], report["comparison"]["not_compared"]) == (True, 0)
    report = diff(directory, "--fail-fast")
    assert (report["passed"], report["comparison"]["not_compared"]) == (False, 5)
