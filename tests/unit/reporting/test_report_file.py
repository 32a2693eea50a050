"""A report is written completely or not at all, and never replaces an input."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from model_gate.errors import StorageError
from model_gate.reporting.output_files import OutputFile, ReportFile, SealFile, StatementFile
from tests.support.commandline import BIN, clean_environment, run
from tests.support.reports import read_report


def test_report_is_readable_by_everyone(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    mask = os.umask(0o022)
    try:
        ReportFile(file).write({"a": "é"})
    finally:
        os.umask(mask)
    assert json.loads(file.read_bytes()) == {"a": "é"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["report.json"]


def test_report_with_text_that_is_not_valid_unicode_is_written(tmp_path: Path) -> None:
    ReportFile(tmp_path / "r").write({"a": "\udcff"})
    assert json.loads((tmp_path / "r").read_bytes()) == {"a": "\udcff"}


@pytest.mark.parametrize("output", [ReportFile, StatementFile, SealFile])
def test_output_that_is_written_as_a_uri_is_an_error(
    output: type[OutputFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="is a URI, but is written to a file on this machine"):
        output(Path("s3://bucket/file.json"))
    assert os.listdir(tmp_path) == []
    (tmp_path / "s3:").mkdir()
    output(Path("s3:/file.json"))


def test_failed_write_of_the_report_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left") as caught:
        ReportFile(tmp_path / "r").write({})
    assert "Free some disk space" in caught.value.remedy
    assert os.listdir(tmp_path) == []


def test_missing_directories_of_the_report_path_are_created(tmp_path: Path) -> None:
    report_file = ReportFile(tmp_path / "a" / "b" / "r")
    assert os.listdir(tmp_path) == []
    report_file.write({})
    assert os.listdir(tmp_path / "a" / "b") == ["r"]


def test_old_report_that_model_gate_wrote_is_removed(tmp_path: Path) -> None:
    report_file = ReportFile(tmp_path / "r")
    report_file.write({"schema_version": "1.0"})
    report_file.remove_old()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", ["", "old", '{"schema_version": "1.0"}', "SQLite format 3\0"])
def test_file_not_written_by_model_gate_remains_until_the_report_replaces_it(content: str, tmp_path: Path) -> None:
    (tmp_path / "r").write_text(content)
    report_file = ReportFile(tmp_path / "r")
    report_file.remove_old()
    assert (tmp_path / "r").read_text() == content
    report_file.write({})
    assert json.loads((tmp_path / "r").read_bytes()) == {}


@pytest.mark.parametrize("target", ["there", "nothing", "link", "/dev/null"])
def test_symbolic_link_as_report_path_is_rejected_and_unchanged(target: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StorageError, match="is a symbolic link") as caught:
        ReportFile(tmp_path / "link")
    assert caught.value.remedy
    assert os.readlink(tmp_path / "link") == target
    assert sorted(os.listdir(tmp_path)) == ["link", "there"]
    assert (tmp_path / "there").read_text() == "mine"


def test_symlink_created_at_the_report_path_during_the_gate_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    report_file = ReportFile(tmp_path / "r")
    (tmp_path / "r").symlink_to("victim")
    report_file.remove_old()
    with pytest.raises(StorageError, match="is a symbolic link"):
        report_file.write({})
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize(
    "name, message", [("d", "is a directory"), ("fifo", "not a regular file"), ("f/r", "f/r")], ids=str
)
def test_report_path_that_is_no_regular_file_is_rejected_and_unchanged(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("1")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StorageError, match=message) as caught:
        ReportFile(tmp_path / name)
    assert caught.value.remedy
    assert sorted(os.listdir(tmp_path)) == ["d", "f", "fifo"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/dev/null"])
def test_device_or_standard_stream_as_report_path_is_rejected(name: str, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {}")
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.run(
            [BIN / "model-gate", "diff", tmp_path, tmp_path, "--report-file", name],
            stdout=output,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            cwd=tmp_path,
            check=False,
        )
    assert process.returncode == 2
    assert b"Name a regular file or a new one" in process.stderr
    assert (tmp_path / "output").read_bytes() == b""


@pytest.mark.parametrize("name", ["compare.yaml", "../{}/compare.yaml", "hard-link", "compare.yaml-wal"])
def test_report_path_that_would_overwrite_an_input_file_is_rejected(name: str, tmp_path: Path) -> None:
    config = tmp_path / "compare.yaml"
    config.write_text("x")
    os.link(config, tmp_path / "hard-link")
    report_file = ReportFile(tmp_path / name.format(tmp_path.name))
    with pytest.raises(StorageError, match="would change an input"):
        report_file.require_outside([config])
    # The error report must not replace the input either.
    with pytest.raises(StorageError, match="would change an input"):
        report_file.write({})
    assert config.read_text() == "x"


@pytest.mark.parametrize("report", ["left/f", "left/sub/new.json", "right/MLmodel", "right/../left/f"])
def test_report_inside_a_compared_model_is_rejected(report: str, tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text("1")
    # If Model Gate removed this file as an old report, the two models would be equal.
    (tmp_path / "left" / "f").write_text("only left")
    process = run("diff", "left", "right", "--report-file", report, cwd=tmp_path)
    assert process.returncode == 2
    assert "would change an input" in process.stderr
    assert (tmp_path / "left" / "f").read_text() == "only left"
    assert sorted(os.listdir(tmp_path / "left")) == ["MLmodel", "f"]


@pytest.mark.parametrize("directory", ["left/kept", "right/a/b", "left/../right/kept", "link/kept"])
def test_download_directory_inside_a_compared_model_is_rejected(directory: str, tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text("1")
    (tmp_path / "link").symlink_to("left")
    process = run("diff", "left", "right", "--download-dir", tmp_path / directory, cwd=tmp_path)
    assert process.returncode == 2
    assert "would change an input" in process.stderr or "is a symbolic link" in process.stderr
    for name in ("left", "right"):
        assert os.listdir(tmp_path / name) == ["MLmodel"]


def test_command_creates_the_directory_of_its_report(tmp_path: Path) -> None:
    process = run("diff", "nothing", "nowhere", "--report-file", "new/sub/r.json", cwd=tmp_path)
    assert read_report(tmp_path / "new" / "sub" / "r.json", process.returncode)["status"] == "error"


def test_command_that_fails_replaces_the_old_report_with_an_error_report(tmp_path: Path) -> None:
    report = tmp_path / "r.json"
    report.write_text('{"status": "equal"}')
    process = run("check", "--report-file", report, cwd=tmp_path)
    assert read_report(report, process.returncode)["status"] == "error"


def test_unusable_report_path_is_an_error_before_the_gate_runs(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    process = run("diff", tmp_path, tmp_path, "--report-file", "d", cwd=tmp_path)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == "error: The report file d is a directory.\n  Name a regular file or a new one.\n"


def test_report_has_no_control_character_and_no_command_to_a_ci_system(tmp_path: Path) -> None:
    text = "a\x1b[31m\x7f\r\n\u202e\u200b\x9b\u2028\udcff ##[error]x ##vso[task.x]y 模型 \U000e0041"
    file = ReportFile(tmp_path / "report.json")
    file.write({"schema_version": "1", text: [text]})
    written = (tmp_path / "report.json").read_text("utf-8")
    assert json.loads(written) == {"schema_version": "1", text: [text]}
    assert written.replace("\n", "").isprintable()
    assert "模型" in written
    assert "##[" not in written
    assert "##vso[" not in written
