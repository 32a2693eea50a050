"""The output, reports, files and errors of `model-gate demo`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import psutil
import pytest

from model_gate.demo.demonstration import run_steps
from model_gate.demo.layout import Layout
from model_gate.demo.program import Program
from model_gate.demo.steps import Step, steps_at
from model_gate.runner import run_without_report
from tests.support.commandline import BIN, await_idle, clean_environment, run
from tests.support.demo import Demo, demo_in
from tests.support.reports import read_report

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]  # the demo is slow on a busy machine

EXITS = {"check": 0, "promoted": 0, "tampered": 1, "logged-again": 0}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return demo_in(tmp_path_factory.getbasetemp())


def _comparisons(report: Json) -> list[Json]:
    return [report["run_model_comparison"], report["reg_model_comparison"]]


def _files(uri: str) -> dict[str, bytes]:
    root = Path(url2pathname(urlsplit(uri).path))
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _both(report: Json) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the content of each file by path, for both compared versions. The files are read without Model Gate."""
    left, right = (report["model_versions"][f"tracking_server_{number}"]["resolved"] for number in (1, 2))
    return _files(left["run_model_uri"]), _files(right["run_model_uri"])


def test_demo_ignores_mlflow_environment_variables_and_prints_no_mlflow_logs(demo: Demo) -> None:
    assert (demo.exit_code, demo.stderr) == (0, "")
    assert not {"INFO", "WARNING", "FutureWarning:"} & set(demo.stdout.split()), demo.stdout


def test_each_command_is_printed_before_its_outcome(demo: Demo) -> None:
    shown = [line for line in demo.stdout.splitlines() if line.startswith(("$ ", "Report: ", "(exit code "))]
    expected = []
    for command, (name, exit_code) in zip(demo.commands, EXITS.items(), strict=True):
        report = f"model-gate-demo/reports/{name}.json"
        assert command[-2:] == ["--report-file", report]
        expected += [f"Report: {report}", f"(exit code {exit_code})"]
    assert [line for line in shown if not line.startswith("$ ")] == expected
    assert [line.startswith("$ ") for line in shown] == [True, False, False] * 4


def test_demo_leaves_no_files_outside_its_directory(demo: Demo) -> None:
    assert demo.left == (["model-gate-demo"], [])
    assert "The reports are in model-gate-demo/reports" in demo.stdout
    assert sorted(os.listdir(demo.directory / "reports")) == sorted(f"{name}.json" for name in EXITS)


def test_demo_checks_a_version_whose_two_models_are_at_the_same_location(demo: Demo) -> None:
    report = read_report(demo.report("check"), 0)
    assert (report["command"], report["status"]) == ("check", "equal")
    assert report["comparison"]["same_location"] is True
    assert report["model_version"]["resolved"]["aliases"] == ["champion"]
    assert report["model_version"]["resolved"]["run"]["reachable"] is True


def test_promoted_model_is_equal_to_the_staging_model_and_has_its_own_location(demo: Demo) -> None:
    report = read_report(demo.report("promoted"), 0)
    staging, production = _both(report)
    assert staging == production
    assert "model.pkl" in staging
    assert report["status"] == "equal"
    for comparison in _comparisons(report):
        assert comparison["same_location"] is False
        assert comparison["tracking_server_1"]["hash"] == comparison["tracking_server_2"]["hash"] is not None
        assert comparison["compared"] == len(staging)


def test_tampered_model_differs_from_the_staging_model_in_the_changed_byte(demo: Demo) -> None:
    report = read_report(demo.report("tampered"), 1)
    staging, production = _both(report)
    pairs = zip(staging["model.pkl"], production["model.pkl"], strict=True)
    [changed] = [offset for offset, (left, right) in enumerate(pairs) if left != right]
    assert {**staging, "model.pkl": b""} == {**production, "model.pkl": b""}
    assert (report["status"], report["equivalent"]) == ("different", False)
    for comparison in _comparisons(report):
        [difference] = comparison["differences"]
        assert (difference["path"], difference["kind"], difference["offset"]) == ("model.pkl", "content", changed)


def test_model_logged_again_is_equivalent_to_the_first_model_and_passes_the_gate(demo: Demo) -> None:
    report = read_report(demo.report("logged-again"), 0)
    staging, production = _both(report)
    assert {name for name in staging | production if staging.get(name) != production.get(name)} == {"MLmodel"}
    assert (report["status"], report["equivalent"], report["require"]) == ("different", True, "equivalent")
    for comparison in _comparisons(report):
        [difference] = comparison["differences"]
        fields = difference["explanation"]["fields"]
        assert {"run_id", "model_id", "utc_time_created"} <= {field["field"] for field in fields}
        assert all(field["identity"] for field in fields)


# One command without and one with a compare file and an option. The demo itself runs the printed commands.
@pytest.mark.parametrize("name", ["check", "logged-again"])
def test_command_printed_by_the_demo_can_be_run_again(demo: Demo, name: str) -> None:
    [line] = [line for line in demo.stdout.splitlines() if line.startswith("$ ") and f"/{name}.json" in line]
    before = json.loads(demo.report(name).read_bytes())
    demo.report(name).unlink()
    completed = subprocess.run(
        ["bash", "-c", line.removeprefix("$ ")],
        cwd=demo.cwd,
        env=clean_environment(),
        check=False,
        capture_output=True,
        timeout=120,
    )
    after = read_report(demo.report(name), completed.returncode)
    assert completed.returncode == EXITS[name], completed.stderr
    assert {**after, "system": None} == {**before, "system": None}


def _steps(demo: Demo, tampered: str = "") -> dict[str, Step]:
    return dict(zip(EXITS, steps_at(Layout(demo.directory.relative_to(demo.cwd)), Path(tampered)), strict=True))


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("wrong", ["exit_code", "status", "equivalent", "passed", "differences", "same_location"])
def test_demo_detects_each_wrong_value_in_a_report(demo: Demo, name: str, wrong: str) -> None:
    expected = _steps(demo)[name].expected
    report = json.loads(demo.report(name).read_bytes())
    exit_code = EXITS[name]
    assert expected.mismatch(exit_code, report) == ""
    if wrong == "exit_code":
        exit_code = 1 - exit_code
    elif wrong == "differences":
        _last_comparison(report)["differences"] = [{"path": "conda.yaml"}]
    elif wrong == "same_location":
        _last_comparison(report)["same_location"] ^= True
    else:
        report[wrong] = "error" if wrong == "status" else not report[wrong]
    assert wrong.replace("exit_code", "exit code") in expected.mismatch(exit_code, report)


def _last_comparison(report: Json) -> Json:
    comparison: Json = report.get("reg_model_comparison") or report["comparison"]
    return comparison


def test_demo_fails_on_an_unexpected_verdict(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo.cwd)
    step = _steps(demo)["promoted"]
    step = replace(step, arguments=(*step.arguments[:-1], "again.json"), report=Path("again.json"))
    promoted = json.loads(demo.report("promoted").read_bytes())["model_versions"]["tracking_server_2"]["resolved"]
    added = Path(url2pathname(urlsplit(promoted["run_model_uri"]).path)) / "added.txt"
    added.write_text("not in staging")
    try:
        exit_code = run_without_report(
            lambda print_line: run_steps([step], Program.find(), print_line), is_verbose=False
        )
    finally:
        added.unlink()
        Path("again.json").unlink()
    captured = capfd.readouterr()
    assert exit_code == 2
    assert "error: The demo failed. 1. the exit code is 1, not 0; status is different, not equal" in captured.err
    assert "$ " in captured.out


def test_demo_fails_if_a_command_writes_no_report(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo.cwd)
    step = replace(_steps(demo)["check"], arguments=("--version",), report=Path("none.json"))
    assert run_without_report(lambda print_line: run_steps([step], Program.find(), print_line), is_verbose=False) == 2
    assert "status is None, not equal" in capfd.readouterr().err


@pytest.mark.parametrize("is_verbose", [False, True])
def test_unexpected_exception_is_reported_without_a_traceback_unless_verbose(
    is_verbose: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise subprocess.TimeoutExpired("model-gate", 300)

    assert run_without_report(fail, is_verbose=is_verbose) == 2
    stderr = capfd.readouterr().err
    assert stderr.startswith("error: Model Gate failed: TimeoutExpired: ")
    assert ("Traceback" in stderr) is is_verbose


@pytest.mark.parametrize(
    "package, missing",
    [("mlflow", ("mlflow-3", "sqlalchemy", "alembic")), ("scikit-learn", ("sklearn", "scikit_learn"))],
)
def test_error_for_a_missing_package_names_the_extra_to_install(
    package: str, missing: tuple[str, ...], tmp_path: Path
) -> None:
    python = _environment_without(missing, tmp_path / "venv")
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    completed = subprocess.run(
        [python, "-m", "model_gate", "demo"],
        cwd=cwd,
        env=clean_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (completed.returncode, completed.stdout) == (2, "")
    assert f"error: The demo needs the package {package}, which is not installed." in completed.stderr
    assert "pip install 'model-gate[demo]'" in completed.stderr
    assert os.listdir(cwd) == []


def _environment_without(missing: tuple[str, ...], directory: Path) -> Path:
    """Make a virtual environment without the packages whose names start with a prefix in `missing`.

    It has all other packages of this environment. Return the path of its Python.
    """
    venv.create(directory, symlinks=True)
    site_packages = Path(sysconfig.get_path("purelib", vars={"base": str(directory)}))
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(missing) and not (site_packages / package.name).exists():
            (site_packages / package.name).symlink_to(package)
    return directory / "bin" / "python"


def test_demo_directory_with_files_of_the_user_is_rejected_and_unchanged(tmp_path: Path) -> None:
    kept = tmp_path / "staging" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    completed = run("demo", "--directory", tmp_path)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "is not empty and was not made by the demo" in completed.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_demo_directory_with_a_question_mark_in_its_path_is_rejected(tmp_path: Path) -> None:
    completed = run("demo", "--directory", "what?", cwd=tmp_path)
    assert completed.returncode == 2
    assert "has a ? or a # in its path" in completed.stderr
    assert os.listdir(tmp_path) == []


def test_demo_replaces_only_its_own_files(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "demo")
    layout.prepare()
    other = layout.directory / "other.txt"
    for file in (other, layout.staging.database, layout.production.artifacts / "old", layout.reports / "old.json"):
        file.write_text("old")
    layout.prepare()
    assert other.read_text() == "old"
    assert not layout.staging.database.exists()
    assert [*layout.production.artifacts.iterdir(), *layout.reports.iterdir()] == []


def test_signal_ends_the_demo_and_its_child_processes(tmp_path: Path) -> None:
    with subprocess.Popen(
        [BIN / "model-gate", "demo"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "Making two MLflow registries" in process.stdout.readline()
        children = _children(process.pid)
        await_idle(process.pid)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by SIGTERM" in stderr
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert gone


def _children(pid: int) -> list[psutil.Process]:
    """Wait until a process has child processes, and return them."""
    parent = psutil.Process(pid)
    while parent.is_running():
        if children := parent.children(recursive=True):
            return children  # type: ignore[no-any-return]  # psutil has no types
    raise AssertionError("the process ended without child processes")


def test_demo_prints_the_shortest_command_that_runs_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Path(sys.executable).parent / "model-gate"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    assert Program.find().prefix == (str(script),)
    monkeypatch.chdir(script.parent.parent)
    assert Program.find().prefix == ("bin/model-gate",)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.defpath}")
    assert Program.find().prefix == ("model-gate",)
