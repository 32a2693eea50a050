"""How a command starts: without MLflow, and so soon that a mistake is told at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commandline import clean_environment, run
from tests.support.reports import read_report

# A command line in this interpreter, and what it has imported when it is done.
PROBE = """
import sys
from model_gate import cli
try:
    cli.app(sys.argv[1:], prog_name="model-gate")
finally:
    parts = {name.partition(".")[0] for name in sys.modules}
    print("imported:", *sorted(parts & {"mlflow", "databricks", "sqlalchemy", "requests", "numpy", "pandas"}))
"""
SERVER = "{host: http://127.0.0.1:9, model: Wine, version_or_stage: 1}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(f"run_id: {name}\n")
    (tmp_path / "good.yaml").write_text(f"tracking_server_1: {SERVER}\ntracking_server_2: {SERVER}\n")
    (tmp_path / "bad.yaml").write_text(f"tracking_server_1: {SERVER}\ntracking_server_1: {SERVER}\n")
    return tmp_path


def _python(*arguments: str, cwd: Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=clean_environment() | {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


@pytest.mark.parametrize(
    "arguments, exit_code",
    [
        (["--help"], 0),
        (["diff", "left", "right"], 1),
        (["diff", "left", "left"], 0),
        (["diff", "left", "nothing"], 2),
        (["diff", "left", "right", "--download-dir", "kept"], 1),
        (["compare", "--config-file", "bad.yaml"], 2),
        # The servers of these are refused: their processes import MLflow, this one does not.
        (["compare", "--config-file", "good.yaml"], 2),
        (["check", "--model", "M", "--version-or-stage", "1", "--host", "http://127.0.0.1:9"], 2),
    ],
)
def test_the_command_line_never_imports_mlflow(arguments: list[str], exit_code: int, directory: Path) -> None:
    done = _python("-c", PROBE, *arguments, cwd=directory)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout.splitlines()[-1] == "imported:", done.stdout


def _seconds_to_import(modules: str) -> float:
    """What an interpreter takes that does no more than that."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", f"import {modules}"], env=clean_environment(), check=True)
    return time.perf_counter() - started


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--config-file", "nothing.yaml"],
        ["compare", "--config-file", "bad.yaml"],
        ["compare"],
        ["check"],
        ["check", "--model", "M", "--version-or-stage", "1", "--host", "ftp://x"],
        ["diff", "nothing", "right"],
    ],
    ids=" ".join,
)
def test_bad_input_is_told_at_once(arguments: list[str], directory: Path) -> None:
    tries = []
    for _ in range(8):
        # Half a second. On a slow machine, what its own libraries take to import there at this moment, which is most of
        # it, and as much again and a half; on a busy one MLflow, which is imported meanwhile, takes its share too.
        is_busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
        limit = max(0.5, (4 if is_busy else 2.5) * _seconds_to_import("typer._adapters, yaml, jsonschema"))
        started = time.perf_counter()
        run(*arguments, cwd=directory)
        seconds = time.perf_counter() - started
        if seconds < limit:
            break
        tries.append(f"{seconds:.2f} s of {limit:.2f} s")
    else:
        pytest.fail("; ".join(tries))
    done = run(*arguments, cwd=directory)
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 2
    assert read_report(directory / "model-gate-report.json", done.returncode)["status"] == "error"


@pytest.mark.parametrize("command", ["", "check", "compare", "diff"])
def test_help_names_the_options_and_gives_an_example(command: str, tmp_path: Path) -> None:
    done = run(*filter(None, [command]), "--help", cwd=tmp_path, environment={"COLUMNS": "200"})
    assert done.returncode == 0
    if command:
        assert f"Example: model-gate {command}" in done.stdout.replace("`", "")
        assert "--report-file" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "program, options",
    [
        ("check-model-version", ["--model", "--version-or-stage", "--download-dir", "--report-file"]),
        (
            "compare-model-versions",
            [
                "--config-file",
                "--download-dir",
                "--compare-run-models",
                "--compare-reg-models",
                "--report-file",
                "--verbose",
            ],
        ),
    ],
)
def test_the_historical_names_take_the_historical_options(program: str, options: list[str], tmp_path: Path) -> None:
    done = run("--help", program=program, cwd=tmp_path, environment={"COLUMNS": "200"})
    assert done.returncode == 0
    assert all(option in done.stdout for option in options)
    refused = run(program=program, cwd=tmp_path)
    assert read_report(tmp_path / "model-gate-report.json", refused.returncode)["error"]["type"] == "InputError"


# What a command line starts ahead, and what was imported by then; nothing of it is started really.
AHEAD = """
import sys
from model_gate import __main__

class Process:
    def __init__(self, environment):
        print("started before typer:", "typer" not in sys.modules)
    def __enter__(self):
        return self
    def close(self, *_):
        print("closed")
    __exit__ = close

__main__.WorkerProcess = Process
del sys.argv[0]
getattr(__main__, sys.argv[0])()
"""


@pytest.mark.parametrize(
    "arguments, is_ahead",
    [
        (["main", "compare", "--config-file", "bad.yaml"], True),
        (["main", "check", "--no-such-option"], True),
        (["check_model_version"], True),
        (["main", "action"], True),
        (["main", "check", "--help"], False),
        (["main", "--help"], False),
        (["main", "diff", "left", "right"], False),
        (["check_model_version", "--help"], False),
    ],
)
def test_mlflow_is_imported_while_the_command_line_is_read(
    arguments: list[str], is_ahead: bool, directory: Path
) -> None:
    done = _python("-c", AHEAD, *arguments, cwd=directory, seconds=60)
    lines = done.stdout.splitlines()
    assert lines.count("started before typer: True") == int(is_ahead), done.stderr
    assert ("closed" in lines) is is_ahead


# MLflow as a side imports it, if these are left out beside what it leaves out anyway.
IMPORTED = """
import sys
from model_gate.worker import __main__ as side

side._BLOCKED_PACKAGES += tuple(sys.argv[1:])
opened = side._import_mlflow()
print(opened.__module__, opened.__name__)
imported = {name for name, module in sys.modules.items() if module}
print(*sorted({"fastapi", "mlflow.genai", "numpy", "pandas"} & imported))
import mlflow
from mlflow.genai.scorers import Scorer
print(hasattr(mlflow.genai, "evaluate"), isinstance(mlflow.MlflowClient, type), "mlflow.gateway" in sys.modules)
"""


@pytest.mark.parametrize(
    "needed, told",
    [
        # What is left out for the time being is there when it is needed, as it is by a server that is a database.
        ([], ["", "True True True"]),
        # Another MLflow may need what this one does not: it gets all, and takes longer.
        (["mlflow.store"], ["fastapi mlflow.genai numpy pandas", "True True True"]),
    ],
)
def test_a_side_imports_no_more_of_mlflow_than_there_must_be(
    needed: list[str], told: list[str], tmp_path: Path
) -> None:
    done = _python("-I", "-c", IMPORTED, *needed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["model_gate.worker.startup open_session", *told]
