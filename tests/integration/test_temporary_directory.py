"""A machine on which no temporary file can be written gets an error with a remedy, not a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commandline import clean_environment, run
from tests.support.paths import ROOT, SUPPORT
from tests.support.reports import read_report

REMEDIES = ("Set TMPDIR to a directory that can be written", "--tmpfs /tmp")
# Makes /tmp read-only for one command, except for the directory in the first argument, and other such directories too.
READ_ONLY = """
writable=$1; shift
mount --bind /tmp /tmp && mount --bind "$writable" "$writable" && mount -o remount,bind,ro /tmp || exit 99
for directory in /var/tmp /usr/tmp /dev/shm; do test ! -d "$directory" || mount -t tmpfs -o ro none "$directory"; done
exec "$@"
"""
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
# With this limit, no file can be written. A pipe can.
NO_FILES = ("prlimit", "--fsize=0")


def may_mount() -> bool:
    """Return whether this user may change the mounts of a command."""
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="this user may not change mounts")
@pytest.mark.parametrize(
    "arguments",
    [("diff", "one", "two"), ("diff", "gs://models/a", "gs://models/b"), ("seal", "one", "--output", "{}/seal.json")],
    ids=["local", "store", "seal"],
)
@pytest.mark.parametrize("options", [(), ("--verbose",)], ids=["short", "verbose"])
def test_missing_temporary_directory_is_an_error_with_a_remedy(
    tmp_path: Path, arguments: tuple[str, ...], options: tuple[str, ...]
) -> None:
    directory = tmp_path / "read-only"
    for name in ("one", "two"):
        (directory / name).mkdir(parents=True)
        (directory / name / "MLmodel").write_text(name)
    directory.chmod(0o555)
    completed = run(
        *(argument.format(tmp_path) for argument in arguments),
        *options,
        "--report-file",
        tmp_path / "report.json",
        cwd=directory,
        environment={"TMPDIR": str(directory)},
        before=(*NAMESPACE, "sh", "-c", READ_ONLY, "sh", tmp_path, sys.executable, SUPPORT / "unprivileged.py"),
    )
    error = read_report(tmp_path / "report.json", completed.returncode)["error"]
    assert (completed.returncode, error["type"]) == (2, "StorageError"), completed
    assert all(text in completed.stderr and text in error["remedy"] for text in REMEDIES)
    assert "Traceback" not in completed.stderr


def test_missing_temporary_directory_is_no_defect() -> None:
    code = "import tempfile; from model_gate.runner import internal_error\n"
    code += "try: tempfile.mkdtemp()\nexcept OSError as error: print(internal_error(error).remedy)"
    assert all(text in run_without_files(sys.executable, "-c", code) for text in REMEDIES)


def test_scratch_directory_that_cannot_be_made_is_an_error_with_a_remedy() -> None:
    code = "from model_gate.sources.storage import Storage\n"
    code += "try: Storage(None)\nexcept Exception as error: print(error.remedy)"
    assert all(text in run_without_files(sys.executable, "-c", code) for text in REMEDIES)


def test_entry_point_of_the_image_starts_the_gate_without_a_temporary_directory(tmp_path: Path) -> None:
    entrypoint = tmp_path / "entrypoint"
    entrypoint.write_text((ROOT / "entrypoint").read_text().replace("/opt/model-gate/bin/python", sys.executable))
    assert "Usage" in run_without_files(sys.executable, "-I", entrypoint, "--help")


def run_without_files(*command: str | Path) -> str:
    """Run a command that can write no file, and return its output."""
    completed = subprocess.run(
        [*NO_FILES, *command], capture_output=True, text=True, check=False, env=clean_environment(), timeout=60
    )
    assert completed.returncode == 0, completed
    return completed.stdout
