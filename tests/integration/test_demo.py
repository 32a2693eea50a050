"""`model-gate demo`, run for real: what it shows, what it leaves, and that it can fail."""

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

from model_gate.demo.demonstration import show
from model_gate.demo.layout import Layout
from model_gate.demo.program import Program
from model_gate.demo.steps import Step, steps_at
from model_gate.runner import run_without_report
from tests.support.commandline import BIN, await_idle, clean_environment, run
from tests.support.demo import Demo, demo_in
from tests.support.reports import read_report

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(600)]  # the demo takes its time on a busy machine

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
    """The files of the two versions that were compared, read without Model Gate."""
    first, second = (report["model_versions"][f"tracking_server_{number}"]["resolved"] for number in (1, 2))
    return _files(first["run_model_uri"]), _files(second["run_model_uri"])


def test_it_succeeds_in_spite_of_what_the_environment_says_and_mlflow_stays_silent(demo: Demo) -> None:
    assert (demo.exit_code, demo.stderr) == (0, "")
    assert not {"INFO", "WARNING", "FutureWarning:"} & set(demo.stdout.split()), demo.stdout


def test_each_command_stands_before_its_outcome(demo: Demo) -> None:
    shown = [line for line in demo.stdout.splitlines() if line.startswith(("$ ", "Report: ", "(exit code "))]
    expected = []
    for command, (name, exit_code) in zip(demo.commands, EXITS.items(), strict=True):
        report = f"model-gate-demo/reports/{name}.json"
        assert command[-2:] == ["--report-file", report]
        expected += [f"Report: {report}", f"(exit code {exit_code})"]
    assert [line for line in shown if not line.startswith("$ ")] == expected
    assert [line.startswith("$ ") for line in shown] == [True, False, False] * 4


def test_it_leaves_nothing_but_the_directory_that_it_names(demo: Demo) -> None:
    assert demo.left == (["model-gate-demo"], [])
    assert "The reports are in model-gate-demo/reports" in demo.stdout
    assert sorted(os.listdir(demo.directory / "reports")) == sorted(f"{name}.json" for name in EXITS)


def test_the_check_is_of_one_location(demo: Demo) -> None:
    report = read_report(demo.report("check"), 0)
    assert (report["command"], report["status"]) == ("check", "equal")
    assert report["comparison"]["same_location"] is True
    assert report["model_version"]["resolved"]["aliases"] == ["champion"]
    assert report["model_version"]["resolved"]["run"]["reachable"] is True


def test_the_promoted_model_is_equal_and_not_the_same_files(demo: Demo) -> None:
    report = read_report(demo.report("promoted"), 0)
    staging, production = _both(report)
    assert staging == production
    assert "model.pkl" in staging
    assert report["status"] == "equal"
    for comparison in _comparisons(report):
        assert comparison["same_location"] is False
        assert comparison["tracking_server_1"]["hash"] == comparison["tracking_server_2"]["hash"] is not None
        assert comparison["compared"] == len(staging)


def test_the_tampered_model_differs_in_the_one_byte_that_was_changed(demo: Demo) -> None:
    report = read_report(demo.report("tampered"), 1)
    staging, production = _both(report)
    pairs = zip(staging["model.pkl"], production["model.pkl"], strict=True)
    [changed] = [offset for offset, (left, right) in enumerate(pairs) if left != right]
    assert {**staging, "model.pkl": b""} == {**production, "model.pkl": b""}
    assert (report["status"], report["equivalent"]) == ("different", False)
    for comparison in _comparisons(report):
        [difference] = comparison["differences"]
        assert (difference["path"], difference["kind"], difference["offset"]) == ("model.pkl", "content", changed)


def test_the_model_that_was_logged_again_differs_in_identity_only_and_passes(demo: Demo) -> None:
    report = read_report(demo.report("logged-again"), 0)
    staging, production = _both(report)
    assert {name for name in staging | production if staging.get(name) != production.get(name)} == {"MLmodel"}
    assert (report["status"], report["equivalent"], report["require"]) == ("different", True, "equivalent")
    for comparison in _comparisons(report):
        [difference] = comparison["differences"]
        fields = difference["explanation"]["fields"]
        assert {"run_id", "model_id", "utc_time_created"} <= {field["field"] for field in fields}
        assert all(field["identity"] for field in fields)


@pytest.mark.parametrize("name", EXITS)
def test_its_commands_can_be_repeated_as_printed(demo: Demo, name: str) -> None:
    [line] = [line for line in demo.stdout.splitlines() if line.startswith("$ ") and f"/{name}.json" in line]
    before = json.loads(demo.report(name).read_bytes())
    demo.report(name).unlink()
    done = subprocess.run(
        ["bash", "-c", line.removeprefix("$ ")],
        cwd=demo.cwd,
        env=clean_environment(),
        check=False,
        capture_output=True,
        timeout=120,
    )
    after = read_report(demo.report(name), done.returncode)
    assert done.returncode == EXITS[name], done.stderr
    assert {**after, "system": None} == {**before, "system": None}


def _steps(demo: Demo, tampered: str = "") -> dict[str, Step]:
    return dict(zip(EXITS, steps_at(Layout(demo.directory.relative_to(demo.cwd)), Path(tampered)), strict=True))


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("wrong", ["exit_code", "status", "equivalent", "passed", "differences", "same_location"])
def test_nothing_of_an_outcome_may_be_wrong(demo: Demo, name: str, wrong: str) -> None:
    expected = _steps(demo)[name].expected
    report = json.loads(demo.report(name).read_bytes())
    exit_code = EXITS[name]
    assert expected.fault(exit_code, report) == ""
    if wrong == "exit_code":
        exit_code = 1 - exit_code
    elif wrong == "differences":
        _last_comparison(report)["differences"] = [{"path": "conda.yaml"}]
    elif wrong == "same_location":
        _last_comparison(report)["same_location"] ^= True
    else:
        report[wrong] = "error" if wrong == "status" else not report[wrong]
    assert wrong.replace("exit_code", "exit code") in expected.fault(exit_code, report)


def _last_comparison(report: Json) -> Json:
    comparison: Json = report.get("reg_model_comparison") or report["comparison"]
    return comparison


def test_a_wrong_verdict_makes_it_fail(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo.cwd)
    step = _steps(demo)["promoted"]
    step = replace(step, arguments=(*step.arguments[:-1], "again.json"), report=Path("again.json"))
    promoted = json.loads(demo.report("promoted").read_bytes())["model_versions"]["tracking_server_2"]["resolved"]
    added = Path(url2pathname(urlsplit(promoted["run_model_uri"]).path)) / "added.txt"
    added.write_text("not in staging")
    try:
        exit_code = run_without_report(lambda say: show([step], Program.found(), say), is_verbose=False)
    finally:
        added.unlink()
        Path("again.json").unlink()
    captured = capfd.readouterr()
    assert exit_code == 2
    assert "error: The demo went wrong. 1. the exit code is 1, not 0; status is different, not equal" in captured.err
    assert "$ " in captured.out


def test_a_command_that_leaves_no_report_makes_it_fail(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo.cwd)
    step = replace(_steps(demo)["check"], arguments=("--version",), report=Path("none.json"))
    assert run_without_report(lambda say: show([step], Program.found(), say), is_verbose=False) == 2
    assert "status is None, not equal" in capfd.readouterr().err


@pytest.mark.parametrize("is_verbose", [False, True])
def test_a_defect_ends_it_with_a_sentence(is_verbose: bool, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> None:
        raise subprocess.TimeoutExpired("model-gate", 300)

    assert run_without_report(fail, is_verbose=is_verbose) == 2
    stderr = capfd.readouterr().err
    assert stderr.startswith("error: Model Gate failed: TimeoutExpired: ")
    assert ("Traceback" in stderr) is is_verbose


@pytest.mark.parametrize(
    "package, lacking",
    [("mlflow", ("mlflow-3", "sqlalchemy", "alembic")), ("scikit-learn", ("sklearn", "scikit_learn"))],
)
def test_without_its_extra_it_says_what_to_install(package: str, lacking: tuple[str, ...], tmp_path: Path) -> None:
    python = _environment_without(lacking, tmp_path / "venv")
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    done = subprocess.run(
        [python, "-m", "model_gate", "demo"],
        cwd=cwd,
        env=clean_environment(),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: The demo needs the package {package}, which is not installed." in done.stderr
    assert "pip install 'model-gate[demo]'" in done.stderr
    assert os.listdir(cwd) == []


def _environment_without(lacking: tuple[str, ...], directory: Path) -> Path:
    """A virtual environment with the packages of this one, but for those whose names begin like this."""
    venv.create(directory, symlinks=True)
    there = Path(sysconfig.get_path("purelib", vars={"base": str(directory)}))
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if not each.name.startswith(lacking) and not (there / each.name).exists():
            (there / each.name).symlink_to(each)
    return directory / "bin" / "python"


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "staging" / "kept.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    done = run("demo", "--directory", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not empty, and no demo made what is in it" in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_a_directory_that_no_database_uri_can_name_is_refused(tmp_path: Path) -> None:
    done = run("demo", "--directory", "what?", cwd=tmp_path)
    assert done.returncode == 2
    assert "has a ? or a # in its path" in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_place_can_be_prepared_again_and_only_its_own_is_replaced(tmp_path: Path) -> None:
    place = Layout(tmp_path / "demo")
    place.prepare()
    mine = place.directory / "mine.txt"
    for each in (mine, place.staging.database, place.production.artifacts / "old", place.reports / "old.json"):
        each.write_text("old")
    place.prepare()
    assert mine.read_text() == "old"
    assert not place.staging.database.exists()
    assert [*place.production.artifacts.iterdir(), *place.reports.iterdir()] == []


def test_a_signal_ends_it_with_all_its_processes(tmp_path: Path) -> None:
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
    """The processes below it, as soon as there are any."""
    parent = psutil.Process(pid)
    while parent.is_running():
        if children := parent.children(recursive=True):
            return children  # type: ignore[no-any-return]  # psutil has no types
    raise AssertionError("it ended before it had any")


def test_the_program_is_called_by_a_name_that_works_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(sys.executable).parent / "model-gate"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    assert Program.found().words == (str(script),)
    monkeypatch.chdir(script.parent.parent)
    assert Program.found().words == ("bin/model-gate",)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.defpath}")
    assert Program.found().words == ("model-gate",)
