"""Report files: written completely or not at all, and never over an input."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from model_gate.errors import StorageError
from model_gate.reporting.report_file import prepare_report, write_report
from tests.support.commandline import run
from tests.support.reports import read_report


def test_report_is_readable_by_everyone(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    mask = os.umask(0o022)
    try:
        write_report({"a": "é"}, file)
    finally:
        os.umask(mask)
    assert json.loads(file.read_bytes()) == {"a": "é"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["report.json"]


def test_text_that_is_not_valid_unicode_is_written(tmp_path: Path) -> None:
    write_report({"a": "\udcff"}, tmp_path / "r")
    assert json.loads((tmp_path / "r").read_bytes()) == {"a": "\udcff"}


def test_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_report({}, tmp_path / "r")
    assert "Free some disk space" in caught.value.remedy
    assert os.listdir(tmp_path) == []


def test_missing_directories_are_created(tmp_path: Path) -> None:
    prepare_report(tmp_path / "a" / "b" / "r")
    write_report({}, tmp_path / "a" / "b" / "r")
    assert os.listdir(tmp_path / "a" / "b") == ["r"]


def test_old_report_is_removed_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("old")
    prepare_report(tmp_path / "r")
    assert os.listdir(tmp_path) == []


def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "r").write_text("old")
    (tmp_path / "link").symlink_to("there/r")
    prepare_report(tmp_path / "link")
    assert not (tmp_path / "there" / "r").exists()
    write_report({}, tmp_path / "link")
    assert json.loads((tmp_path / "there" / "r").read_bytes()) == {}
    assert (tmp_path / "link").is_symlink()


def test_symbolic_link_to_itself_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "r").symlink_to("r")
    prepare_report(tmp_path / "r")
    write_report({}, tmp_path / "r")
    assert json.loads((tmp_path / "r").read_bytes()) == {}


@pytest.mark.parametrize(
    "name, message", [("d", "is a directory"), ("fifo", "not a regular file"), ("f/r", "f/r")], ids=str
)
def test_path_that_is_not_a_regular_file_is_rejected_and_unchanged(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("1")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match=message) as caught:
        prepare_report(tmp_path / name)
    assert caught.value.remedy or name == "f/r"
    assert sorted(os.listdir(tmp_path)) == ["d", "f", "fifo"]


def test_symbolic_link_to_a_special_file_is_rejected(tmp_path: Path) -> None:
    # /dev/stdout is such a link. The FIFO stands for the device, which root could replace.
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    with pytest.raises(StorageError, match="not a regular file"):
        prepare_report(tmp_path / "link")
    assert (tmp_path / "fifo").is_fifo()


def test_report_does_not_overwrite_an_input(tmp_path: Path) -> None:
    config = tmp_path / "compare.yaml"
    config.write_text("x")
    (tmp_path / "link").symlink_to("compare.yaml")
    for name in ("compare.yaml", "link", "../" + tmp_path.name + "/compare.yaml"):
        with pytest.raises(StorageError, match="would change an input"):
            prepare_report(tmp_path / name, (config,))
    assert config.read_text() == "x"


@pytest.mark.parametrize("report", ["left/f", "left/sub/new.json", "right/MLmodel", "right/../left/f"])
def test_report_inside_a_compared_model_is_rejected(report: str, tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text("1")
    # If this file were removed as an old report, the two models would be equal.
    (tmp_path / "left" / "f").write_text("only left")
    process = run("diff", "left", "right", "--report-file", report, cwd=tmp_path)
    assert process.returncode == 2
    assert "would change an input" in process.stderr
    assert (tmp_path / "left" / "f").read_text() == "only left"
    assert sorted(os.listdir(tmp_path / "left")) == ["MLmodel", "f"]


def test_command_creates_the_directory_of_its_report(tmp_path: Path) -> None:
    process = run("diff", "nothing", "nowhere", "--report-file", "new/sub/r.json", cwd=tmp_path)
    assert read_report(tmp_path / "new" / "sub" / "r.json", process.returncode)["status"] == "error"


def test_command_that_fails_replaces_the_old_report(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    report.write_text('{"status": "equal"}')
    process = run("check", "--report-file", report, cwd=tmp_path)
    assert read_report(report, process.returncode)["status"] == "error"


def test_unusable_report_file_is_an_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    process = run("diff", tmp_path, tmp_path, "--report-file", "d", cwd=tmp_path)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == "error: The report file d is a directory.\n  Name a file.\n"
