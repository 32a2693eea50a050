"""With --fail-fast a gate stops at the first difference that fails the requirement, and reports uncompared files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import commandline
from tests.support.faulty_server import MODEL, Call, FaultyServer, listing
from tests.support.gates import check
from tests.support.reports import Json, read_report

MIB = 1024 * 1024


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


def test_option_fail_fast_stops_comparing_files_after_the_first_difference(directory: Path) -> None:
    comparison = diff(directory, "--fail-fast")["comparison"]
    assert (comparison["differences_count"], comparison["compared"], comparison["not_compared"]) == (1, 1, 5)
    assert comparison["equals"] is False
    assert comparison["equivalent"] is False


def test_every_difference_is_reported_without_the_option_fail_fast(directory: Path) -> None:
    comparison = diff(directory)["comparison"]
    assert (comparison["differences_count"], comparison["not_compared"]) == (6, 0)


def test_pair_of_equivalent_files_does_not_stop_a_gate_that_requires_equivalence(directory: Path) -> None:
    for number in range(5):
        (directory / "right" / f"part-{number}").write_bytes(b"l" * 1000)
    report = diff(directory, "--fail-fast", "--require", "equivalent")
    assert report["passed"] is True
    assert report["comparison"]["not_compared"] == 0
    # MLmodel is the smallest file, so the gate stops at this larger one first.
    (directory / "right" / "part-3").write_bytes(b"r" * 1001)
    (directory / "left" / "part-3").write_bytes(b"l" * 1001)
    report = diff(directory, "--fail-fast", "--require", "equivalent")
    assert report["passed"] is False
    assert [difference["path"] for difference in report["comparison"]["differences"]] == ["part-3"]


def test_models_are_not_called_equivalent_if_fail_fast_skipped_files(directory: Path) -> None:
    # MLmodel is the largest file, so the gate compares it first.
    for number in range(5):
        for side in ("left", "right"):
            (directory / side / f"part-{number}").write_bytes(b"s")
    done = commandline.run("diff", "left", "right", "--fail-fast", cwd=directory)
    report = read_report(directory / "model-gate-report.json", done.returncode)
    assert (report["equivalent"], report["comparison"]["not_compared"]) == (False, 5)
    assert (
        "only what MLflow or the file format rewrites is known to differ, but not all files were compared"
        in done.stdout
    )


def test_option_fail_fast_does_not_stop_the_comparison_of_equal_models(directory: Path) -> None:
    done = commandline.run("diff", "left", "left", "--fail-fast", cwd=directory)
    report = read_report(directory / "model-gate-report.json", done.returncode)
    assert report["status"] == "equal"


def test_option_fail_fast_stops_fetching_files_soon_after_the_first_difference(tmp_path: Path) -> None:
    many = {f"part-{number:03}": b"x" * 1_000_000 for number in range(100)}
    with FaultyServer() as server:
        server.add("Wine", MODEL | many | {"large": b"x" * 2_000_000})
        server.add("copies", MODEL | many | {"large": b"y" * 2_000_000})
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        ran = check(tmp_path, server.url, "Wine", "1", "--fail-fast")
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    assert [difference["path"] for difference in ran.report["comparison"]["differences"]] == ["large"]
    assert ran.report["comparison"]["not_compared"] > 0
    assert len(server.fetched) < 2 * len(many)


def test_pair_of_equivalent_large_files_does_not_stop_a_gate_that_requires_equivalence(directory: Path) -> None:
    for name in ("left", "right"):
        (directory / name / "MLmodel").write_text(f"run_id: {name}\nmetadata: {'x' * 2000}\n")
        for number in range(5):
            (directory / name / f"part-{number}").write_bytes(b"l" * 1000)
    report = diff(directory, "--fail-fast", "--require", "equivalent")
    assert (report["passed"], report["comparison"]["not_compared"]) == (True, 0)
    report = diff(directory, "--fail-fast")
    assert (report["passed"], report["comparison"]["not_compared"]) == (False, 5)


def test_difference_at_the_front_of_huge_files_moves_at_most_256_mib(tmp_path: Path) -> None:
    size, piece = 1024 * MIB, bytes(MIB)
    sent: list[int] = []

    def serve(call: Call) -> None:
        call.handler.send_response(200)
        call.handler.send_header("Content-Length", str(size))
        call.handler.end_headers()
        first = b"!" if "copies" in call.request.path else b"?"
        for number in range(size // MIB):
            call.handler.wfile.write(first + piece[1:] if not number else piece)
            sent.append(MIB)

    files = ({"path": "MLmodel", "file_size": 12}, {"path": "model.bin", "file_size": size})
    with FaultyServer(faults={"artifacts?": listing(*files), "/model.bin": serve}) as server:
        server.add("Wine", {"MLmodel": b"flavors: {}\n"})
        server.add("copies", {"MLmodel": b"flavors: {}\n"})
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        ran = check(tmp_path, server.url, "Wine", "1", "--fail-fast")
    assert (ran.exit_code, ran.status) == (1, "different"), ran
    (difference,) = ran.report["comparison"]["differences"]
    assert (difference["path"], difference["offset"]) == ("model.bin", 0)
    assert sum(sent) <= 256 * MIB
