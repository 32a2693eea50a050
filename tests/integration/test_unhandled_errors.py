"""An error that no command handles ends with the exit code of an error, and with a line that says what failed."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

import pytest

from tests.support.commandline import BIN, clean_environment


def run(
    directory: Path, variables: dict[str, str], *arguments: str, files: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run `model-gate`, with a limit on open files if `files` is not 0."""

    def limit() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    return subprocess.run(
        [BIN / "model-gate", *arguments],
        cwd=directory,
        env=clean_environment() | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=limit,
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text("flavors: {}\n")
    return tmp_path


@pytest.mark.parametrize("is_verbose", [False, True])
def test_installation_that_is_broken_is_an_error(models: Path, is_verbose: bool) -> None:
    (models / "broken").mkdir()
    (models / "broken" / "typer.py").write_text("raise ImportError('broken: \\x1b[1m s3cret-of-a-server')\n")
    options = ["--verbose"] if is_verbose else []
    variables = {"PYTHONPATH": str(models / "broken"), "MLFLOW_TRACKING_TOKEN": "s3cret-of-a-server"}
    completed = run(models, variables, "diff", "left", "right", *options)
    assert completed.returncode == 2
    assert "s3cret" not in completed.stderr
    assert completed.stderr.splitlines()[0] == r"error: Model Gate failed: ImportError: broken: \x1b[1m ***"
    assert ("Traceback" in completed.stderr) == is_verbose


def test_working_directory_that_was_deleted_is_an_error(models: Path) -> None:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    completed = subprocess.run(
        ["bash", "-c", script, "bash", BIN / "model-gate", "diff", "left", "right"],
        cwd=models,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 2
    assert completed.stderr.startswith("error: ")


@pytest.mark.parametrize("files", range(5, 12))
def test_limit_on_open_files_never_makes_equal_models_different(models: Path, files: int) -> None:
    completed = run(models, {}, "diff", "left", "right", files=files)
    assert completed.returncode in {0, 2}
    assert completed.returncode == 0 or completed.stderr.startswith("error: ")
    assert "Traceback" not in completed.stderr


def test_name_that_is_too_long_is_an_error_with_a_report(models: Path) -> None:
    completed = run(models, {}, "merge", "x" * 300)
    assert completed.returncode == 2
    assert "File name too long" in completed.stdout
    assert (models / "model-gate-report.json").exists()
