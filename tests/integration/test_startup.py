"""Commands start without importing MLflow and report invalid input quickly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.commandline import clean_environment, run
from tests.support.reports import read_report

# Runs a command line in this interpreter and prints the imported packages.
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
        # These servers refuse connections. Only the workers import MLflow.
        (["compare", "--config-file", "good.yaml"], 2),
        (["check", "--model", "M", "--version-or-stage", "1", "--host", "http://127.0.0.1:9"], 2),
    ],
)
def test_command_line_process_never_imports_mlflow(arguments: list[str], exit_code: int, directory: Path) -> None:
    completed = _python("-c", PROBE, *arguments, cwd=directory)
    assert completed.returncode == exit_code, completed.stderr
    assert completed.stdout.splitlines()[-1] == "imported:", completed.stdout


def _seconds_to_import(modules: str) -> float:
    """Return the seconds that a Python process takes to import these modules."""
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
def test_invalid_input_is_reported_quickly(arguments: list[str], directory: Path) -> None:
    attempts = []
    for _ in range(8):
        # The limit is half a second. If the machine is slow, it is 2.5 times the time that the command's libraries now
        # take to import; if the machine is busy, 4 times, because the worker imports MLflow meanwhile.
        is_busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
        limit = max(0.5, (4 if is_busy else 2.5) * _seconds_to_import("typer._adapters, yaml, jsonschema"))
        started = time.perf_counter()
        run(*arguments, cwd=directory, is_forked=False)
        seconds = time.perf_counter() - started
        if seconds < limit:
            break
        attempts.append(f"{seconds:.2f} s of {limit:.2f} s")
    else:
        pytest.fail("; ".join(attempts))
    completed = run(*arguments, cwd=directory)
    assert completed.stderr.startswith("error: ")
    assert len(completed.stderr.splitlines()) <= 3
    assert read_report(directory / "model-gate-report.json", completed.returncode)["status"] == "error"


@pytest.mark.parametrize("command", ["", "check", "compare", "diff"])
def test_help_text_lists_options_and_shows_an_example(command: str, tmp_path: Path) -> None:
    completed = run(*filter(None, [command]), "--help", cwd=tmp_path, environment={"COLUMNS": "200"})
    assert completed.returncode == 0
    if command:
        assert f"Example:\n  model-gate {command}" in completed.stdout
        assert "--report-file" in completed.stdout
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
def test_commands_with_earlier_names_accept_their_earlier_options(
    program: str, options: list[str], tmp_path: Path
) -> None:
    completed = run("--help", program=program, cwd=tmp_path, environment={"COLUMNS": "200"})
    assert completed.returncode == 0
    assert all(option in completed.stdout for option in options)
    rejected = run(program=program, cwd=tmp_path)
    assert read_report(tmp_path / "model-gate-report.json", rejected.returncode)["error"]["type"] == "InputError"


# Replaces the worker process. Prints whether the command line starts the process early and for which stores, and
# whether the gate uses the process.
EARLY_START = """
import sys
from model_gate import __main__
from model_gate.sources import worker_process

class Process:
    can_fork = False
    def __init__(self, environment, schemes=()):
        print("started before typer:", "typer" not in sys.modules)
        print("schemes:", *schemes)
    def open(self, count):
        print("used")
        raise OSError("stopped")
    def __enter__(self):
        return self
    def close(self, *_):
        print("closed")
    __exit__ = close

worker_process.WorkerProcess = Process
del sys.argv[0]
getattr(__main__, sys.argv[0])()
"""


@pytest.mark.parametrize(
    "arguments, is_early",
    [
        (["main", "compare", "--config-file", "bad.yaml"], True),
        (["main", "check", "--no-such-option"], True),
        (["check_model_version"], True),
        (["main", "action"], True),
        (["main", "check", "--help"], False),
        (["main", "--help"], False),
        (["main", "diff", "left", "right"], False),
        (["main", "diff", "left", "file:///right"], False),
        (["main", "diff", "s3://bucket/left", "--no-such-option"], True),
        (["main", "diff", "left", "--right-host=http://127.0.0.1:1", "--no-such-option"], True),
        (["main", "seal", "left"], False),
        (["main", "seal", "models:/wine/1", "--no-such-option"], True),
        (["main", "verify", "gs://bucket/left", "--no-such-option"], True),
        (["main", "verify", "left", "--identity", "https://a/b", "--issuer=https://c", "--no-such-option"], False),
        (["check_model_version", "--help"], False),
    ],
)
def test_worker_process_starts_early_only_if_a_command_may_need_it(
    arguments: list[str], is_early: bool, directory: Path
) -> None:
    completed = _python("-c", EARLY_START, *arguments, cwd=directory, seconds=60)
    lines = completed.stdout.splitlines()
    assert lines.count("started before typer: True") == int(is_early), completed.stderr
    assert ("closed" in lines) is is_early


@pytest.mark.parametrize(
    "arguments, schemes",
    [
        (["diff", "s3://bucket/left", "S3://bucket/right"], "s3"),
        (["diff", "s3://bucket/left", "gs://bucket/right"], "gs s3"),
        (["diff", "left", "wasbs://models@acct.blob.core.windows.net/right"], "wasbs"),
        (["seal", "s3://bucket/left", "--output", "seal.json"], "s3"),
        # The worker needs MLflow for these: a name, an unknown scheme, a tracking server.
        (["diff", "s3://bucket/left", "runs:/1/model"], "other s3"),
        (["diff", "left", "token=secret:/x"], "other"),
        (["diff", "s3://bucket/left", "s3://bucket/right", "--right-host=http://127.0.0.1:1"], "other s3"),
        (["seal", "--model", "wine", "--run", "s3://bucket/left"], ""),
        (["compare", "--config-file", "bad.yaml"], ""),
    ],
)
def test_worker_process_gets_the_schemes_of_all_uris(arguments: list[str], schemes: str, directory: Path) -> None:
    completed = _python("-c", EARLY_START, "main", *arguments, "--no-such-option", cwd=directory, seconds=60)
    assert f"schemes: {schemes}".rstrip() in [line.rstrip() for line in completed.stdout.splitlines()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["diff", "s3://bucket/left", "s3://bucket/right"],
        ["seal", "s3://bucket/left"],
        ["verify", "s3://bucket/left", "--seal", "model.seal.json"],
        ["check", "--model", "wine", "--version-or-stage", "1", "--host", "http://127.0.0.1:1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_gate_uses_the_worker_process_that_started_early(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/MLmodel").touch()
    assert run("seal", "model", "--output", "model.seal.json", cwd=tmp_path).returncode == 0
    completed = _python("-c", EARLY_START, "main", *arguments, cwd=tmp_path, seconds=60)
    lines = completed.stdout.splitlines()
    assert lines.count("started before typer: True") == 1, completed.stderr
    assert "used" in lines, completed.stderr
    assert not [line for line in lines if line.startswith("started before typer: False")]


# Imports MLflow as a worker does, without the given modules, and prints the imported packages.
WORKER_IMPORTS = """
import sys
from model_gate.worker import mlflow_import

mlflow_import._BLOCKED_PACKAGES += tuple(sys.argv[1:])
mlflow_import.block_packages()
mlflow_import.import_mlflow()
imported = {name for name, module in sys.modules.items() if module}
print(*sorted({"fastapi", "mlflow.genai", "numpy", "pandas"} & imported))
import mlflow
from mlflow.genai.scorers import Scorer
print(hasattr(mlflow.genai, "evaluate"), isinstance(mlflow.MlflowClient, type), "mlflow.gateway" in sys.modules)
"""


@pytest.mark.parametrize(
    "excluded, output",
    [
        # Excluded modules are still importable later; database servers need them.
        ([], ["", "True True True"]),
        # If MLflow needs an excluded module, the worker imports everything.
        (["mlflow.store"], ["fastapi mlflow.genai numpy pandas", "True True True"]),
    ],
)
def test_worker_imports_no_unneeded_mlflow_modules(excluded: list[str], output: list[str], tmp_path: Path) -> None:
    completed = _python("-I", "-c", WORKER_IMPORTS, *excluded, cwd=tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines() == output
