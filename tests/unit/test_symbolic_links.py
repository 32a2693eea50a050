"""No link in the checked-out files redirects what the gate reads or writes beneath the working directory."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from model_gate.access.hosts import parse_host
from model_gate.action.inputs import Inputs
from model_gate.domain.host import Host
from model_gate.errors import ConfigError, ModelGateError, StorageError
from model_gate.inputs.compare_file import read_config
from model_gate.reporting.output_files import ReportFile
from model_gate.sources.storage import Storage
from model_gate.symbolic_links import PathBeneath, open_input
from tests.support.commandline import run

HOST: Host = parse_host("http://127.0.0.1:9")
CONFIG = f"""
tracking_server_1: {{host: {HOST.address}, model: Wine, version_or_stage: 1}}
tracking_server_2: {{host: {HOST.address}, model: Wine, version_or_stage: 2}}
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a directory and with links that a pull request could check in."""
    checkout = tmp_path / "work" / "checkout"
    (checkout / "inside").mkdir(parents=True)
    (checkout / "inside" / "victim").write_text(CONFIG)
    (tmp_path / "victim").write_text(CONFIG)
    (tmp_path / "empty").mkdir()
    targets = {
        "out": "../..",
        "in": "inside",
        "proc": "/proc/self",
        "dev": "/dev",
        "loop": "loop",
        "dangling": "../nothing",
        "far": "inside/../in",
        "file": "../../victim",
        "near": "inside/victim",
    }
    for name, target in targets.items():
        (checkout / name).symlink_to(target)
    monkeypatch.chdir(checkout)
    return checkout


def snapshot(directory: Path) -> dict[str, str]:
    """Return the content of each file and the target of each link below a directory."""
    files = [Path(parent, name) for parent, names, more in os.walk(directory) for name in (*names, *more)]
    return {
        str(file): os.readlink(file) if file.is_symlink() else "" if file.is_dir() else file.read_text()
        for file in files
    }


# Constants of Linux' renameat2.
_CWD, _EXCHANGE = -100, 2
# Paths that lead through a link, and paths that are links themselves.
THROUGH = [
    "out/victim",
    "in/victim",
    "in/new",
    "far/new",
    "dangling/new",
    "loop/new",
    "proc/new",
    "dev/null",
    "out/a/b",
]
LINKS = ["file", "near", "dangling", "loop"]


@pytest.mark.parametrize("path", [*THROUGH, *LINKS, "./in/../in/new", "inside/../in/new"])
def test_report_is_not_written_through_a_link(path: str, checkout: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    for spelling in (Path(path), checkout / path):
        with pytest.raises(StorageError, match="symbolic link") as caught:
            ReportFile(spelling)
        assert caught.value.remedy
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "path", ["out", "in", "file", "dangling", "loop", "out/empty", "in/new", "dev/shm/new", "a/b/../../in"]
)
def test_download_directory_at_or_below_a_link_is_rejected(path: str, checkout: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(StorageError, match="symbolic link") as caught:
        Storage(Path(path))
    assert caught.value.remedy
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("path", ["out/victim", "in/victim", "file", "near", "dangling", "loop", "proc/environ"])
def test_compare_file_is_not_read_through_a_link(path: str, checkout: Path) -> None:
    with pytest.raises(ConfigError, match="is a symbolic link") as caught:
        read_config(Path(path), {})
    assert "Name the path without" in caught.value.remedy


@pytest.mark.parametrize("name", ["report-file", "download-dir", "config-file"])
@pytest.mark.parametrize("link", ["out", "proc", "dev", "dangling"])
def test_input_path_through_a_link_out_of_the_workspace_is_an_error(name: str, link: str, checkout: Path) -> None:
    values = Inputs({"INPUT_CONFIG": CONFIG, f"INPUT_{name.upper()}": f"{link}/x", "GITHUB_WORKSPACE": str(checkout)})
    if name == "config-file":
        values = Inputs({"INPUT_CONFIG-FILE": f"{link}/x", "GITHUB_WORKSPACE": str(checkout)})
    with pytest.raises(ModelGateError, match="outside the workspace"):
        values.request()


@pytest.mark.parametrize("target", ["../victim", "/proc/self/environ"])
def test_checked_in_link_at_the_default_report_path_fails_the_step(target: str, checkout: Path, tmp_path: Path) -> None:
    (checkout / "model-gate-report.json").symlink_to(target)
    before = snapshot(tmp_path)
    outputs = tmp_path / "outputs"
    process = run(
        "action",
        cwd=checkout,
        environment={
            "INPUT_CONFIG": CONFIG,
            "GITHUB_WORKSPACE": str(checkout),
            "GITHUB_OUTPUT": str(outputs),
        },
    )
    assert process.returncode == 2
    assert "is a symbolic link" in process.stdout
    assert "equal" not in outputs.read_text().split("status", 1)[1].split("\n", 2)[1]
    outputs.unlink()
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("option, path", [("--report-file", "in/r.json"), ("--download-dir", "in/new")])
def test_command_does_not_write_through_a_checked_in_link(option: str, path: str, checkout: Path) -> None:
    for name in ("left", "right"):
        (checkout / name).mkdir()
        (checkout / name / "MLmodel").write_text("1")
    process = run("diff", "left", "right", option, path, cwd=checkout)
    assert process.returncode == 2
    assert "is a symbolic link" in process.stderr
    assert os.listdir(checkout / "inside") == ["victim"]


def test_checked_in_link_is_not_followed_in_a_path_through_another_name_of_the_working_directory(
    tmp_path: Path, checkout: Path
) -> None:
    (tmp_path / "alias").symlink_to(checkout)
    before = snapshot(tmp_path)
    with pytest.raises(OSError, match="is a symbolic link"):
        PathBeneath.of_output(tmp_path / "alias" / "out" / "report.json").replace("{}")
    with pytest.raises(OSError, match="is a symbolic link"):
        PathBeneath.of_input(tmp_path / "alias" / "file").open_regular()
    assert snapshot(tmp_path) == before


def test_link_outside_the_working_directory_is_followed(tmp_path: Path, checkout: Path) -> None:
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "config").symlink_to("victim")
    ReportFile(tmp_path / "link" / "sub" / "r.json").write({})
    ReportFile(Path("../../link/r.json")).write({})
    with Storage(tmp_path / "link" / "models") as storage:
        storage.make_download_dir()
        assert storage.directory("run_model") == (tmp_path / "empty" / "models" / "run_model").resolve()
    assert sorted(os.listdir(tmp_path / "empty")) == ["models", "r.json", "sub"]
    assert read_config(tmp_path / "config", {}).versions[0].model == "Wine"


def test_path_without_a_link_is_usable(checkout: Path) -> None:
    ReportFile(Path("new/sub/r.json")).write({"a": 1})
    ReportFile(checkout / "inside/../new/r.json").write({"a": 2})
    assert json.loads((checkout / "new/sub/r.json").read_text()) == {"a": 1}
    assert json.loads((checkout / "new/r.json").read_text()) == {"a": 2}
    with Storage(Path("models/here")) as storage:
        storage.make_download_dir()
        assert (checkout / "models" / "here").is_dir()
    assert read_config(Path("inside/victim"), {}).versions[0].model == "Wine"


def test_report_with_a_file_name_of_255_characters_is_written(checkout: Path) -> None:
    ReportFile(Path("n" * 255)).write({})
    assert (checkout / ("n" * 255)).is_file()


@pytest.mark.parametrize("change", ["directory", "file"])
def test_link_created_during_the_gate_does_not_redirect_the_report(change: str, checkout: Path, tmp_path: Path) -> None:
    (checkout / "reports").mkdir()
    report_file = ReportFile(Path("reports/victim"))
    if change == "directory":
        (checkout / "reports").rmdir()
        (checkout / "reports").symlink_to("../..")
    else:
        (checkout / "reports" / "victim").symlink_to("../../../victim")
    before = snapshot(tmp_path)
    report_file.remove_old()
    with pytest.raises(StorageError, match="symbolic link"):
        report_file.write({})
    assert snapshot(tmp_path) == before


def _exchange(checkout: Path, stop: threading.Event) -> None:
    """Exchange a directory and a link out of the working directory, each time atomically, until the event is set."""
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    while not stop.is_set():
        assert rename(_CWD, bytes(checkout / "reports"), _CWD, bytes(checkout / "link"), _EXCHANGE) == 0


def test_concurrent_swap_of_a_directory_and_a_link_never_redirects_a_read_or_write(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / "reports").mkdir()
    (checkout / "link").symlink_to("../..")
    (checkout / "reports" / "victim").write_text("mine")
    stop = threading.Event()
    thread = threading.Thread(target=_exchange, args=(checkout, stop))
    thread.start()
    refused = 0
    try:
        for _ in range(500):
            for action in (_write, _read, _make):
                try:
                    action()
                except OSError:
                    refused += 1
    finally:
        stop.set()
        thread.join()
    assert refused
    assert (tmp_path / "victim").read_text() == CONFIG
    assert sorted(os.listdir(tmp_path)) == ["empty", "victim", "work"]


def _write() -> None:
    PathBeneath.of_output("reports/victim").replace("mine")


def _read() -> None:
    with open("reports/victim", encoding="utf-8", opener=open_input) as file:
        assert file.read() == "mine"


def _make() -> None:
    PathBeneath.of_input("reports/models").make_directory()


ACTIONS: list[Callable[[], None]] = [_write, _read, _make]


@pytest.mark.parametrize("action", ACTIONS)
def test_working_directory_itself_may_be_a_link(
    action: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real" / "reports").mkdir(parents=True)
    (tmp_path / "real" / "reports" / "victim").write_text("mine")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "link")
    action()
