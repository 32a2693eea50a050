"""Run a gate against tracking servers, and verify its report, its scratch files and its output after every run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import commandline
from tests.support.reports import Json, read_report
from tests.support.servers import Server

_NO_ERROR = re.compile(r"warning: |No files are listed yet\.|.* files? (?:done|listed)[;.]")
# Passwords of the test users. They must not appear in any output or report.
_PASSWORDS = ("staging-pass-word-1", "p@ss/w:rd#100%-&? +2", "p%40ss%2Fw", "guest-pass-word-1", "secret-of-the-test")


@dataclass(frozen=True)
class GateResult:
    """What a gate printed and reported, and its exit code."""

    exit_code: int
    stdout: str
    stderr: str
    report: Json

    @property
    def status(self) -> str:
        return str(self.report["status"])

    @property
    def errors(self) -> str:
        """Standard error without warnings, such as one about an undeclared server, and without progress."""
        return "".join(line for line in self.stderr.splitlines(keepends=True) if not _NO_ERROR.match(line))

    def require_error(self, kind: str, *texts: str) -> None:
        """Assert that the run failed with this error type and printed every one of `texts`."""
        assert (self.exit_code, self.status) == (2, "error"), self
        error = self.report["error"]
        assert error["type"] == kind, error
        assert error["message"], error
        assert error["remedy"], error
        assert self.stdout == "", self.stdout
        sentence, _, undecided = self.errors.partition("  Not decided: ")
        assert sentence == f"error: {error['message']}\n  {error['remedy']}\n"
        assert undecided.count("\n") <= 1, undecided
        for text in texts:
            assert text in self.stderr, (text, self.stderr)


def host_of(server: Server | str) -> str:
    return server if isinstance(server, str) else server.host


def version(server: Server | str, model: str, version_or_stage: str = "1", **more: str) -> dict[str, str]:
    """Return the entry of one tracking server in a compare file."""
    return {"host": host_of(server), "model": model, "version_or_stage": version_or_stage, **more}


def compare(
    directory: Path, first: dict[str, str], second: dict[str, str], *options: str | Path, **settings: Any
) -> GateResult:
    """Run `compare` on two versions; `settings` are passed to `commandline.run`."""
    config = directory / "compare.yaml"
    # JSON is valid YAML.
    config.write_text(json.dumps({"tracking_server_1": first, "tracking_server_2": second}), "utf-8")
    command = () if settings.get("program") else ("compare",)
    return run(directory, *command, "--config-file", config, *options, **settings)


def check(
    directory: Path,
    server: Server | str,
    model: str,
    version_or_stage: str = "1",
    *options: str | Path,
    **settings: Any,
) -> GateResult:
    """Run `check` on a version. The host may contain a password, so it is passed as an environment variable."""
    command = () if settings.get("program") else ("check",)
    environment = {"MLFLOW_TRACKING_URI": host_of(server)} | settings.pop("environment", {})
    selection = ("--model", model, "--version-or-stage", version_or_stage)
    return run(directory, *command, *selection, *options, environment=environment, **settings)


def run(
    directory: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None, **settings: Any
) -> GateResult:
    """Run a command in `directory` and read its report.

    Asserts for every run: the report is valid, no scratch file is left, no password is in any output, and a traceback
    is printed only with `--verbose`.
    """
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    report_file = directory / "report.json"
    completed = commandline.run(
        *arguments,
        "--report-file",
        report_file,
        cwd=directory,
        environment={"TMPDIR": str(scratch), **(environment or {})},
        **settings,
    )
    text = completed.stdout + completed.stderr + report_file.read_text("utf-8")
    assert [password for password in _PASSWORDS if password in text] == []
    assert "--verbose" in arguments or "Traceback" not in text, text
    assert list(scratch.iterdir()) == []
    report = read_report(report_file, completed.returncode)
    return GateResult(completed.returncode, completed.stdout, completed.stderr, report)
