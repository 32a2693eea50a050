"""Text of a hostile server reaches terminals and logs without control characters and workflow commands."""

from __future__ import annotations

import json
import re
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from model_gate.reporting.output import print_command, print_line
from tests.support import commandline
from tests.support.faulty_server import ARTIFACTS, MODEL, Call, FaultyServer

pytestmark = pytest.mark.usefixtures("proxied")

TEXT = (
    "x\x1b[31m\r\u202e\u200b\x9b2J\x07\x00\u2028::error::owned\n::warning::owned\r\n  ::add-mask::owned\n"
    "##[error]owned ##vso[task.setvariable]owned\n::stop-commands::owned\nerror: owned\nEQUAL"
)
# Control characters (Cc) but line breaks, format characters (Cf), separators of lines and paragraphs (Zl, Zp).
_UNSAFE = {"Cc", "Cf", "Zl", "Zp"}
_OWN_COMMANDS = (
    "::error title=Model Gate",
    "::warning title=Model Gate",
    "::notice title=Model Gate",
    "::group::More differences",
    "::group::Error details",
    "::endgroup::",
)


def _refuse(status: int, code: str) -> Callable[[Call], None]:
    return lambda call: call.send_json({"error_code": code, "message": TEXT}, status)


def _refuse_with_text(status: int) -> Callable[[Call], None]:
    return lambda call: call.send(TEXT.encode(), status, content_type="text/plain")


def _name_aliases(call: Call) -> None:
    aliases = [{"alias": f"{number}{TEXT}", "version": "7"} for number in range(3)]
    call.send_json({"registered_model": {"name": "Wine", "aliases": aliases}})


def _list_versions(call: Call) -> None:
    call.send_json({"model_versions": [{"name": "Wine", "version": "7", "current_stage": TEXT, "status": "READY"}]})


def _describe(call: Call, name: str = "Wine") -> None:
    """Respond with a version whose texts, except its source and its name, are all hostile."""
    aliases = [TEXT]
    tags = [{"key": TEXT, "value": TEXT}]
    more = {"run_id": TEXT, "current_stage": TEXT, "status": "READY", "description": TEXT, "user_id": TEXT}
    source = call.server.sources["Wine", "1"]
    data = {"name": name, "version": "1", "source": source, "aliases": aliases, "tags": tags, **more}
    call.send_json({"model_version": data})


def _name_source(call: Call) -> None:
    source = f"s3x://bucket/{TEXT}"
    call.send_json({"model_version": {"name": "Wine", "version": "1", "source": source, "status": "READY"}})


def _describe_run(call: Call) -> None:
    tags = [{"key": "mlflow.source.git.commit", "value": TEXT}, {"key": "mlflow.source.name", "value": TEXT}]
    call.send_json({"run": {"info": {"run_id": TEXT, "artifact_uri": TEXT, "status": TEXT}, "data": {"tags": tags}}})


def _list_file(call: Call) -> None:
    call.send_json({"files": [{"path": TEXT, "is_dir": False, "file_size": 3}]})


_FAULTS: dict[str, dict[str, Callable[[Call], None]]] = {
    "401": {"registered-models/get": _refuse(401, "UNAUTHENTICATED")},
    "403": {"registered-models/get": _refuse(403, "PERMISSION_DENIED")},
    # MLflow retries most other errors of a server, and then hides the body of the response.
    "501": {"registered-models/get": _refuse_with_text(501)},
    "403 of a file": {"/model.pkl": _refuse_with_text(403)},
    "alias": {"registered-models/get": _name_aliases, "model-versions/search": _list_versions},
    "version": {"model-versions/get?": _describe, "runs/get": _describe_run},
    "name": {"model-versions/get?": lambda call: _describe(call, TEXT)},
    "source": {"model-versions/get?": _name_source},
    "file": {ARTIFACTS + "?": _list_file},
}


def _check(directory: Path, server: FaultyServer, version: str) -> subprocess.CompletedProcess[str]:
    selection = ("--model", "Wine", "--version-or-stage", version, "--verbose")
    return commandline.run("check", *selection, cwd=directory, environment={"MLFLOW_TRACKING_URI": server.url})


def _action(directory: Path, server: FaultyServer, version: str) -> subprocess.CompletedProcess[str]:
    files = {name: str(directory / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    inputs = {"command": "check", "host": server.url, "model": "Wine", "version-or-stage": version, "verbose": "true"}
    variables = {f"INPUT_{name.upper()}": value for name, value in inputs.items()}
    environment = {"GITHUB_ACTIONS": "true", **variables, **files}
    return commandline.run("action", cwd=directory, environment=environment)


@pytest.mark.parametrize(
    "case, run", [*((case, _check) for case in _FAULTS), *((case, _action) for case in ("403", "alias", "version"))]
)
def test_hostile_text_is_escaped_in_every_output(
    tmp_path: Path, case: str, run: Callable[[Path, FaultyServer, str], subprocess.CompletedProcess[str]]
) -> None:
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("copies", MODEL | {"model.pkl": b"other"})
        server.downloads["Wine", "1"] = server.sources["copies", "1"]
        server.faults |= _FAULTS[case]
        completed = run(tmp_path, server, "@missing" if case == "alias" else "1")
    texts = {"standard output": completed.stdout, "standard error": completed.stderr}
    texts |= {file.name: file.read_text("utf-8") for file in tmp_path.iterdir() if file.is_file()}
    report = json.loads(texts["model-gate-report.json"])
    assert report["status"] == ("different" if case == "version" else "error"), texts
    assert "owned" in completed.stdout + completed.stderr, texts
    for name, text in texts.items():
        assert [char for char in text if char != "\n" and unicodedata.category(char) in _UNSAFE] == [], name
        assert re.findall(r"##\w*\[", text) == [], name
        commands = [line for line in text.split("\n") if line.strip().startswith("::")]
        assert [line for line in commands if not line.startswith(_OWN_COMMANDS)] == [], name
        # A line break in a name or message starts no line that looks like a verdict.
        assert re.findall(r"(?m)^(?:EQUAL|error: owned)", text if "Traceback" not in text else "") == [], name


@pytest.mark.parametrize(
    "arguments",
    [("check", f"--{TEXT}"), ("check", f"--require={TEXT}"), ("check", TEXT), (TEXT,), ("diff", "a", "b", TEXT)],
    ids=["option", "value", "argument", "command", "third argument"],
)
def test_usage_error_escapes_a_hostile_argument(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    completed = commandline.run(*(argument.replace("\0", "") for argument in arguments), cwd=tmp_path)
    assert completed.returncode == 2
    text = completed.stdout + completed.stderr
    assert "owned" in text
    assert [char for char in text if char != "\n" and unicodedata.category(char) in _UNSAFE] == []
    assert re.findall(r"##\w*\[", text) == []
    assert [line for line in text.splitlines() if line.strip().startswith("::")] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "http://ann:s3cret@mlflow.example.com"),
        ("check", "--x=http://ann:s3cret@a"),
        ("http://ann:s3cret@mlflow.example.com",),
    ],
    ids=["argument", "option", "command"],
)
def test_usage_error_does_not_show_the_password_in_a_url(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    completed = commandline.run(*arguments, cwd=tmp_path)
    assert completed.returncode == 2
    # An unknown command has no report.
    report = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "s3cret" not in completed.stdout + completed.stderr + report


def test_line_break_in_a_text_starts_no_workflow_command(capfd: pytest.CaptureFixture[str]) -> None:
    print_command("::add-mask::a\n::error::b\r::error::c")
    print_line("::add-mask::a\n::error::b")
    assert capfd.readouterr().out == "::add-mask::a%0A::error::b%0D::error::c\n\\::add-mask::a\n\\::error::b\n"
