"""Gates on tracking servers, run as a user runs them, with what must hold after every single one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import commandline
from tests.support.reports import Json, read_report
from tests.support.servers import Server

# Of the users on the servers: they must not appear in anything a gate leaves behind.
_PASSWORDS = ("staging-pass-word-1", "p@ss/w:rd#100%-&? +2", "p%40ss%2Fw", "guest-pass-word-1", "secret-of-the-test")


@dataclass(frozen=True)
class Ran:
    """A gate that has ended."""

    exit_code: int
    stdout: str
    stderr: str
    report: Json

    @property
    def status(self) -> str:
        return str(self.report["status"])

    def require_error(self, kind: str, *texts: str) -> None:
        """It ended as an error of that type, which says all of `texts` to the user and in the report."""
        assert (self.exit_code, self.status) == (2, "error"), self
        error = self.report["error"]
        assert error["type"] == kind, error
        assert error["message"], error
        assert error["remedy"], error
        assert self.stdout == "", self.stdout
        assert self.stderr == f"error: {error['message']}\n  {error['remedy']}\n"
        for text in texts:
            assert text in self.stderr, (text, self.stderr)


def host_of(server: Server | str) -> str:
    return server if isinstance(server, str) else server.host


def version(server: Server | str, model: str, version_or_stage: str = "1", **more: str) -> dict[str, str]:
    """One side of a compare file."""
    return {"host": host_of(server), "model": model, "version_or_stage": version_or_stage, **more}


def compare(directory: Path, first: dict[str, str], second: dict[str, str], *options: str | Path, **how: Any) -> Ran:
    """Run `compare` on two versions; `how` is as in `run`."""
    config = directory / "compare.yaml"
    # JSON is YAML.
    config.write_text(json.dumps({"tracking_server_1": first, "tracking_server_2": second}), "utf-8")
    command = () if how.get("program") else ("compare",)
    return run(directory, *command, "--config-file", config, *options, **how)


def check(
    directory: Path, server: Server | str, model: str, version_or_stage: str = "1", *options: str | Path, **how: Any
) -> Ran:
    """Run `check` on a version; the host is in the environment, since it may hold a password."""
    command = () if how.get("program") else ("check",)
    given = {"MLFLOW_TRACKING_URI": host_of(server)} | how.pop("environment", {})
    asked = ("--model", model, "--version-or-stage", version_or_stage)
    return run(directory, *command, *asked, *options, environment=given, **how)


def run(directory: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None, **how: Any) -> Ran:
    """Run a command. Whatever its end: a valid report, no scratch files left, no password anywhere, no traceback."""
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    report_file = directory / "report.json"
    ended = commandline.run(
        *arguments,
        "--report-file",
        report_file,
        cwd=directory,
        environment={"TMPDIR": str(scratch), **(environment or {})},
        **how,
    )
    text = ended.stdout + ended.stderr + report_file.read_text("utf-8")
    assert [password for password in _PASSWORDS if password in text] == []
    assert "--verbose" in arguments or "Traceback" not in text, text
    assert list(scratch.iterdir()) == []
    return Ran(ended.returncode, ended.stdout, ended.stderr, read_report(report_file, ended.returncode))
