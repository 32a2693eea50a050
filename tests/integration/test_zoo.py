"""Every pair of the zoo, judged by the command line and held against what is known and what the oracle finds."""

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
from model_gate.reporting.report import MAX_DIFFERENCES, build_report
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
EXITS = {"equal": 0, "different": 1, "error": 2}


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "pair"
    directory.mkdir()
    yield directory
    # Not left to pytest, which recurses: some trees are deeper than that can go.
    subprocess.run(["rm", "-rf", "--", directory], check=True)


def test_the_zoo_has_pairs_of_every_verdict_and_each_name_once() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS) >= 100
    for status in EXITS:
        assert len([pair for pair in PAIRS if pair.status == status]) >= 20, status


@pytest.mark.parametrize("pair", READABLE, ids=lambda pair: pair.name)
def test_a_pair_is_judged_as_it_is(pair: Pair, directory: Path) -> None:
    left, right = pair.make(directory)
    truth = truth_of(left, right)
    assert truth.status == pair.status, "the zoo and the oracle disagree"
    report_file = directory / "report.json"

    done = run("diff", left, right, "--report-file", report_file)

    report = read_report(report_file, done.returncode)
    assert report["status"] == pair.status, (done.stdout, done.stderr)
    assert done.returncode == EXITS[pair.status]
    assert "Traceback" not in done.stdout + done.stderr
    if pair.status == "error":
        assert report["error"]["message"] in done.stderr
        assert "comparison" not in report
    else:
        _require_true_differences(pair, report, truth.differences)
        _require_reproducible_hashes(report["comparison"], left, right)
    _require_mirrored(report, _judged_in_process(right, left))


@pytest.mark.parametrize("pair", UNREADABLE, ids=lambda pair: pair.name)
def test_what_cannot_be_read_is_an_error(pair: Pair, directory: Path) -> None:
    left, right = pair.make(directory)
    sealed = next(path for path in left.rglob("*") if not path.stat().st_mode & 0o777)
    refused = subprocess.run(
        [*UNPRIVILEGED, "ls" if sealed.is_dir() else "cat", sealed], capture_output=True, check=False
    )
    assert b"Permission denied" in refused.stderr, "the file can be read, so the test would show nothing"
    for one, other in ((left, right), (right, left)):
        report_file = directory / "report.json"
        done = run("diff", one, other, "--report-file", report_file, before=UNPRIVILEGED)
        report = read_report(report_file, done.returncode)
        assert report["status"] == "error", report
        assert "Permission denied" in report["error"]["message"]
        assert "permissions" in report["error"]["remedy"]


@pytest.mark.parametrize("name", ["run-id", "registered-model-meta", "run-id-of-a-flavor", "loader-module"])
def test_what_mlflow_rewrites_passes_only_where_equivalent_is_enough(name: str, directory: Path) -> None:
    (pair,) = (pair for pair in PAIRS if pair.name == f"different-{name}")
    left, right = pair.make(directory)
    for require, is_enough in (("identical", False), ("equivalent", pair.is_equivalent)):
        done = run("diff", left, right, "--report-file", directory / "report.json", "--require", require)
        report = read_report(directory / "report.json", done.returncode)
        assert (report["status"], report["passed"]) == ("different", is_enough), done.stdout


def test_two_names_of_one_directory_are_equal_without_a_look(directory: Path) -> None:
    left, _ = PAIRS[0].make(directory)
    (directory / "name").symlink_to(left)
    for other in (left, directory / "name", Path(f"{left}/../left/"), Path(f"file://{left}")):
        done = run("diff", left, other, "--report-file", directory / "report.json")
        report = read_report(directory / "report.json", done.returncode)
        assert (report["status"], report["comparison"]["same_location"]) == ("equal", True), (other, done.stderr)


def test_one_empty_directory_under_two_names_is_no_model(directory: Path) -> None:
    (directory / "empty").mkdir()
    done = run("diff", directory / "empty", directory / "empty", "--report-file", directory / "report.json")
    assert read_report(directory / "report.json", done.returncode)["status"] == "error"


def test_directories_may_have_any_name(directory: Path) -> None:
    names = [b"-r", b"with blank", b"new\nline", b"not utf-8 \xff", b"a:", "modèle ✓".encode()]
    for name in names:
        path = directory / os.fsdecode(name)
        (path / "sub").mkdir(parents=True)
        (path / "sub" / "f").write_bytes(b"1")
    for name in names[1:]:
        one, other = os.fsdecode(names[0]), os.fsdecode(name)
        done = run("diff", "--report-file", "report.json", "--", one, other, cwd=directory)
        assert read_report(directory / "report.json", done.returncode)["status"] == "equal", (name, done.stderr)
    done = run("diff", directory / "a:" / "sub", "with blank/sub", "--report-file", "report.json", cwd=directory)
    assert read_report(directory / "report.json", done.returncode)["status"] == "equal", done.stderr


def _judged_in_process(left: Path, right: Path) -> Json:
    request = DiffRequest(str(left), str(right))
    report = build_report(CommandName.DIFF, gate.run(request, {}, NoProgress()), {}, Redactor(), system_facts())
    require_valid(report)
    return report


def _require_true_differences(pair: Pair, report: Json, differences: frozenset[tuple[bytes, str, int | None]]) -> None:
    comparison = report["comparison"]
    found = differences_of(comparison)
    assert comparison["differences_count"] == len(differences)
    if len(differences) <= MAX_DIFFERENCES:
        assert found == differences
    else:
        assert len(found) == MAX_DIFFERENCES
        assert found < differences
    if pair.differences is not None:
        assert found == {(os.fsencode(each.path), each.kind, each.offset) for each in pair.differences}
    assert comparison["not_compared"] == 0
    assert report["equals"] is (pair.status == "equal")
    assert report["equivalent"] is (pair.status == "equal" or pair.is_equivalent)


def _require_reproducible_hashes(comparison: Json, left: Path, right: Path) -> None:
    documented = re.search(r"`(find .*)`", digest.__doc__ or "")
    assert documented, "the command that reproduces a tree's hash is not documented"
    # Below a directory that is a file on the other side nothing is read, so there is no hash.
    is_whole = all(each["kind"] != "type" for each in comparison["differences"])
    for name, path in (("left", left), ("right", right)):
        expected = tree_hash(path, documented[1]) if is_whole else None
        assert comparison[name]["local_path"]["hash"] == expected


def _require_mirrored(report: Json, swapped: Json) -> None:
    assert swapped["status"] == report["status"]
    if "comparison" not in report:
        return
    plain = [
        {name: value for name, value in each.items() if name not in {"explanation", "identity"}}
        for each in swapped["comparison"]["differences"]
    ]
    assert plain == mirrored(report["comparison"])
    for one, other in (("left", "right"), ("right", "left")):
        assert swapped["comparison"][one]["local_path"]["hash"] == report["comparison"][other]["local_path"]["hash"]
    assert swapped["equivalent"] is report["equivalent"]
