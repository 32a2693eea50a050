"""The verdicts of `diff` on all pairs of the zoo, which is a collection of directory pairs with known verdicts.

The oracle, an independent comparison of two directories, must agree.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_gate import gate
from model_gate.access.redaction import Redactor
from model_gate.comparison import digest
from model_gate.comparison.progress import NoProgress
from model_gate.domain.request import DiffRequest
from model_gate.domain.roles import CommandName
from model_gate.reporting.phrases import MAX_REPORTED
from model_gate.reporting.report import build_report
from model_gate.reporting.system import system_facts
from tests.support.commandline import run
from tests.support.oracle import tree_hash, truth_of
from tests.support.paths import SUPPORT
from tests.support.reports import Json, differences_of, mirrored, read_report, require_valid
from tests.support.zoo import Pair, pairs

PAIRS = list(pairs())
READABLE = [pair for pair in PAIRS if not pair.is_unreadable]
UNREADABLE = [pair for pair in PAIRS if pair.is_unreadable]
UNPRIVILEGED = (sys.executable, SUPPORT / "unprivileged.py")
EXIT_CODES = {"equal": 0, "different": 1, "error": 2}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "pair"
    directory.mkdir()
    yield directory
    # pytest removes directories recursively, which fails for the deepest trees.
    subprocess.run(["rm", "-rf", "--", directory], check=True)


def test_pairs_of_directories_have_distinct_names_and_cover_every_verdict() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 100
    for status in EXIT_CODES:
        assert len([pair for pair in PAIRS if pair.status == status]) >= 20, status


@pytest.mark.parametrize("pair", READABLE, ids=lambda pair: pair.name)
def test_verdict_and_report_of_each_pair_of_directories_are_correct(pair: Pair, directory: Path) -> None:
    left, right = pair.make(directory)
    truth = truth_of(left, right)
    assert truth.status == pair.status, "the zoo and the oracle disagree"
    report_file = directory / "report.json"

    process = run("diff", left, right, "--report-file", report_file)

    report = read_report(report_file, process.returncode)
    assert report["status"] == pair.status, (process.stdout, process.stderr)
    assert process.returncode == EXIT_CODES[pair.status]
    assert "Traceback" not in process.stdout + process.stderr
    if pair.status == "error":
        assert report["error"]["message"] in process.stderr
        assert "comparison" not in report
    else:
        _require_correct_differences(pair, report, truth.differences)
        _require_reproducible_hashes(report["comparison"], left, right)
    _require_mirrored(report, _diff_in_process(right, left))


@pytest.mark.parametrize("pair", UNREADABLE, ids=lambda pair: pair.name)
def test_unreadable_file_is_an_error(pair: Pair, directory: Path) -> None:
    left, right = pair.make(directory)
    unreadable = next(path for path in left.rglob("*") if not path.stat().st_mode & 0o777)
    access = subprocess.run(
        [*UNPRIVILEGED, "ls" if unreadable.is_dir() else "cat", unreadable], capture_output=True, check=False
    )
    assert b"Permission denied" in access.stderr, "the file is readable, so the test is void"
    for first, second in ((left, right), (right, left)):
        report_file = directory / "report.json"
        process = run("diff", first, second, "--report-file", report_file, before=UNPRIVILEGED)
        report = read_report(report_file, process.returncode)
        assert report["status"] == "error", report
        assert "Permission denied" in report["error"]["message"]
        assert "permissions" in report["error"]["remedy"]


@pytest.mark.parametrize("name", ["run-id", "registered-model-meta", "run-id-of-a-flavor", "loader-module"])
def test_different_models_pass_only_if_equivalence_is_required_and_holds(name: str, directory: Path) -> None:
    (pair,) = (pair for pair in PAIRS if pair.name == f"different-{name}")
    left, right = pair.make(directory)
    for require, is_enough in (("identical", False), ("equivalent", pair.is_equivalent)):
        process = run("diff", left, right, "--report-file", directory / "report.json", "--require", require)
        report = read_report(directory / "report.json", process.returncode)
        assert (report["status"], report["passed"]) == ("different", is_enough), process.stdout


def test_different_paths_to_the_same_directory_have_the_same_location(directory: Path) -> None:
    left, _ = PAIRS[0].make(directory)
    (directory / "name").symlink_to(left)
    for other in (left, directory / "name", Path(f"{left}/../left/"), Path(f"file://{left}")):
        process = run("diff", left, other, "--report-file", directory / "report.json")
        report = read_report(directory / "report.json", process.returncode)
        assert (report["status"], report["comparison"]["same_location"]) == ("equal", True), (other, process.stderr)


def test_empty_directory_compared_with_itself_is_an_error(directory: Path) -> None:
    (directory / "empty").mkdir()
    process = run("diff", directory / "empty", directory / "empty", "--report-file", directory / "report.json")
    assert read_report(directory / "report.json", process.returncode)["status"] == "error"


def test_directory_with_an_unusual_name_is_compared(directory: Path) -> None:
    names = [b"-r", b"with blank", b"new\nline", b"not utf-8 \xff", b"a:", "modèle ✓".encode()]
    for name in names:
        path = directory / os.fsdecode(name)
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "f").write_bytes(b"1")
    for name in names[1:]:
        arguments = os.fsdecode(names[0]), os.fsdecode(name)
        process = run("diff", "--report-file", "report.json", "--", *arguments, cwd=directory)
        assert read_report(directory / "report.json", process.returncode)["status"] == "equal", (name, process.stderr)
    process = run("diff", directory / "a:" / "sub", "with blank/sub", "--report-file", "report.json", cwd=directory)
    assert read_report(directory / "report.json", process.returncode)["status"] == "equal", process.stderr


def _diff_in_process(left: Path, right: Path) -> Json:
    request = DiffRequest(str(left), str(right))
    report = build_report(CommandName.DIFF, gate.run(request, {}, NoProgress()), {}, Redactor(), system_facts())
    require_valid(report)
    return report


def _require_correct_differences(
    pair: Pair, report: Json, differences: frozenset[tuple[bytes, str, int | None]]
) -> None:
    comparison = report["comparison"]
    reported = differences_of(comparison)
    assert comparison["differences_count"] == len(differences)
    if len(differences) <= MAX_REPORTED:
        assert reported == differences
    else:
        assert len(reported) == MAX_REPORTED
        assert reported < differences
    if pair.differences is not None:
        assert reported == {(os.fsencode(entry.path), entry.kind, entry.offset) for entry in pair.differences}
    assert comparison["not_compared"] == 0
    assert report["equals"] is (pair.status == "equal")
    assert report["equivalent"] is (pair.status == "equal" or pair.is_equivalent)


def _require_reproducible_hashes(comparison: Json, left: Path, right: Path) -> None:
    command = re.search(r"`(find .*)`", digest.__doc__ or "")
    assert command, "the command that reproduces a tree's hash is not documented"
    # A directory that is a file in the other model is not read, so its model has no hash.
    is_complete = all(entry["kind"] != "type" for entry in comparison["differences"])
    for name, path in (("left", left), ("right", right)):
        expected = tree_hash(path, command[1]) if is_complete else None
        assert comparison[name]["local_path"]["hash"] == expected


def _require_mirrored(report: Json, swapped: Json) -> None:
    assert swapped["status"] == report["status"]
    if "comparison" not in report:
        return
    differences = [
        {name: value for name, value in entry.items() if name not in {"explanation", "identity"}}
        for entry in swapped["comparison"]["differences"]
    ]
    assert differences == mirrored(report["comparison"])
    for half, opposite in (("left", "right"), ("right", "left")):
        assert swapped["comparison"][half]["local_path"]["hash"] == report["comparison"][opposite]["local_path"]["hash"]
    assert swapped["equivalent"] is report["equivalent"]
