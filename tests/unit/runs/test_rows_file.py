"""The rows of a run: they survive the process, and only whole rows of an interrupted run are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from model_gate.errors import InternalError, StorageError
from model_gate.runs.roster import Roster, RosterGate
from model_gate.runs.rows_file import RowsFile, ShardRows, rows_path
from model_gate.runs.shards import Shard
from tests.support.action_outcomes import check, comparison, difference
from tests.support.rows import gate, row

EQUAL = check(comparison())
DIFFERENT = check(comparison(difference("model.pkl")))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "report.rows.jsonl"


def roster(*names: str) -> Roster:
    return Roster(Shard(1, 1), tuple(RosterGate(name, "gates.yml", 2) for name in names), names)


def fill(path: Path, *names: str, resumes: bool = False) -> None:
    with RowsFile(path, resumes=resumes) as rows:
        rows.begin(roster(*names))
        for name in names:
            rows.add(row(EQUAL, gate(name)))


def kept(path: Path, *names: str) -> list[str]:
    """Return which of the names have a row of an earlier run."""
    with RowsFile(path, resumes=True) as rows:
        return [name for name in names or ("a", "b", "c") if rows.earlier_row(name) is not None]


def test_rows_are_read_in_the_order_of_the_caller(path: Path) -> None:
    with RowsFile(path) as rows:
        rows.add(row(EQUAL, gate("b")))
        rows.add(row(DIFFERENT, gate("a")))
        found = list(rows.rows(["a", "missing", "b"]))
    assert [each.name for each in found] == ["a", "b"]
    assert found[0] == row(DIFFERENT, gate("a"))


def test_rows_of_an_interrupted_run_are_kept(path: Path) -> None:
    fill(path, "a", "b")
    assert kept(path) == ["a", "b"]


def test_rows_are_removed_without_resume(path: Path) -> None:
    fill(path, "a", "b")
    fill(path, "c")
    assert kept(path) == ["c"]


def test_rows_of_a_complete_run_are_not_kept(path: Path) -> None:
    with RowsFile(path) as rows:
        rows.add(row(EQUAL, gate("a")))
        rows.complete()
    assert kept(path) == []
    assert kept(path) == []


def test_newest_row_of_a_gate_is_kept(path: Path) -> None:
    fill(path, "a")
    with RowsFile(path, resumes=True) as rows:
        rows.begin(roster("a"))
        rows.add(row(DIFFERENT, gate("a")))
    with RowsFile(path, resumes=True) as rows:
        assert rows.earlier_row("a") == row(DIFFERENT, gate("a"))


def test_row_of_an_earlier_run_is_no_row_of_the_run_that_resumes_it(path: Path) -> None:
    fill(path, "a", "b")
    with RowsFile(path, resumes=True) as rows:
        rows.begin(roster("a", "b"))
        assert rows.names == []
        rows.add(row(DIFFERENT, gate("b")))
        assert [each.name for each in rows.rows(["a", "b"])] == ["b"]
    with ShardRows(path) as shard:
        assert shard.names == ["b"]
        assert shard.row("b") == row(DIFFERENT, gate("b"))


def test_second_row_of_a_gate_is_an_error(path: Path) -> None:
    with RowsFile(path) as rows:
        rows.add(row(EQUAL, gate("a")))
        with pytest.raises(InternalError, match="'a'"):
            rows.add(row(DIFFERENT, gate("a")))


def test_file_without_a_roster_is_no_result_of_a_shard(path: Path) -> None:
    with RowsFile(path):
        pass
    with pytest.raises(StorageError, match="does not say which gates"):
        ShardRows(path)


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_row_that_was_not_written_to_its_end_is_left_out(path: Path, cut: int) -> None:
    fill(path, "a", "b")
    os.truncate(path, path.stat().st_size - cut)
    assert kept(path) == ["a"]
    with RowsFile(path, resumes=True) as rows:
        rows.begin(roster("c"))
        rows.add(row(EQUAL, gate("c")))
    assert kept(path) == ["a", "c"]


@pytest.mark.parametrize("size", [0, 1, 10])
def test_file_that_ends_within_its_first_line_is_started_anew(path: Path, size: int) -> None:
    fill(path, "a")
    os.truncate(path, size)
    assert kept(path) == []
    fill(path, "b")
    assert kept(path) == ["b"]


@pytest.mark.parametrize("line", [b"{}\n", b"not JSON\n", b'{"model_gate_rows": "1.0"}\n', b"\n"])
def test_damaged_line_is_an_error(path: Path, line: bytes) -> None:
    fill(path, "a")
    with open(path, "ab") as file:
        file.write(line)
    with pytest.raises(StorageError, match="line 4"):
        kept(path)


@pytest.mark.parametrize("resumes", [True, False])
def test_another_file_in_the_place_of_the_rows_is_not_replaced(path: Path, resumes: bool) -> None:
    path.write_text("precious\n")
    with pytest.raises(StorageError, match="another file"):
        RowsFile(path, resumes=resumes)
    assert path.read_text() == "precious\n"


@pytest.mark.parametrize("resumes", [True, False])
def test_symbolic_link_in_the_place_of_the_rows_is_not_followed(path: Path, tmp_path: Path, resumes: bool) -> None:
    other = tmp_path / "other"
    fill(other, "a")
    content = other.read_bytes()
    path.symlink_to(other)
    with pytest.raises(StorageError):
        RowsFile(path, resumes=resumes)
    assert other.read_bytes() == content


def test_rows_of_a_run_that_has_not_ended_cannot_be_used(path: Path) -> None:
    with RowsFile(path), pytest.raises(StorageError, match="Another run"):
        RowsFile(path, resumes=True)


def test_rows_are_beside_the_report() -> None:
    assert rows_path(Path("reports/models.json")) == Path("reports/models.rows.jsonl")
    assert rows_path(Path("report")) == Path("report.rows.jsonl")
