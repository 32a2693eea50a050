"""Tests of the action with two password-protected tracking servers, which a workflow declares by name."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import Act, Run
from tests.container.registry import PASSWORD, USERNAME, Registry, registry

# The long timeout is for the first test, which builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

PROD_PASSWORD = "An0ther:pass/word-2%"


def compare_file(left: dict[str, str], right: dict[str, str], versions: tuple[int, int] = (1, 1)) -> str:
    """Return a compare file. It names the servers, and contains no login."""
    entries = zip((left, right), versions, strict=True)
    return json.dumps(
        {
            f"tracking_server_{number}": {**server, "model": "Wine", "version_or_stage": str(version)}
            for number, (server, version) in enumerate(entries, start=1)
        }
    )


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, server: Registry) -> Iterator[Registry]:
    """A second server. It has the same models, but another password."""
    with registry(tmp_path_factory.mktemp("production"), PROD_PASSWORD, server.directory / "models") as production:
        yield production


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    """A socket that the compare file of a pull request names, and that nothing may connect to."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture(scope="module")
def workflow(act: Act, server: Registry, production: Registry, listener: socket.socket) -> Run:
    staging, prod = {"server": "staging"}, {"server": "prod"}
    host = f"http://127.0.0.1:{listener.getsockname()[1]}"
    variables = {"STAGING": server.local, "PROD": production.local}
    lines = [
        f"{name}_MLFLOW_TRACKING_{key}={value}"
        for name, url, password in (
            ("STAGING", server.local, PASSWORD),
            ("PROD", production.local, PROD_PASSWORD),
        )
        for key, value in (("URI", url), ("USERNAME", USERNAME), ("PASSWORD", password))
    ]
    return act.run(
        "two-servers",
        variables=variables,
        secrets={
            "USERNAME": USERNAME,
            "STAGING_PASSWORD": PASSWORD,
            "PROD_PASSWORD": PROD_PASSWORD,
            "CREDENTIALS": "\n".join(lines),
        },
        files={
            "promotion.yaml": compare_file(staging, prod),
            "worse.yaml": compare_file(staging, prod, (1, 3)),
            "undeclared.yaml": compare_file({"host": host}, prod),
        },
    )


@pytest.fixture(scope="module")
def steps(workflow: Run) -> dict[str, Any]:
    file = workflow.workspace / "steps.json"
    assert file.exists(), workflow.output[-6000:]
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def test_equal_models_on_two_servers_with_two_passwords_pass(workflow: Run, steps: dict[str, Any]) -> None:
    assert steps["equal"]["outcome"] == "success", workflow.log_of("equal")
    outputs = steps["equal"]["outputs"]
    assert (outputs["status"], outputs["passed"]) == ("equal", "true")
    report = json.loads((workflow.workspace / "equal.json").read_text())
    assert report["run_model_comparison"]["same_location"] is False
    assert report["run_model_comparison"]["compared"] > 0


def test_different_models_on_two_servers_fail(workflow: Run, steps: dict[str, Any]) -> None:
    assert steps["different"]["outcome"] == "failure"
    outputs = steps["different"]["outputs"]
    assert (outputs["status"], outputs["differences"]) == ("different", "2"), workflow.log_of("different")


def test_server_that_only_the_pull_request_names_is_an_error_and_gets_no_connection(
    workflow: Run, steps: dict[str, Any], listener: socket.socket
) -> None:
    assert steps["undeclared"]["outcome"] == "failure"
    outputs = steps["undeclared"]["outputs"]
    assert (outputs["status"], outputs["passed"]) == ("error", "false")
    (annotation,) = workflow.commands("undeclared", "error")
    assert f"127.0.0.1:{listener.getsockname()[1]}" in annotation.data
    assert "allow-hosts" in annotation.data
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_passwords_of_both_servers_are_in_no_output_and_no_report(workflow: Run) -> None:
    output = "\n".join(line for line in workflow.output.splitlines() if '"command":"add-mask"' not in line)
    reports = [Path(workflow.workspace, f"{name}.json").read_text() for name in ("equal", "different", "undeclared")]
    for password in (PASSWORD, PROD_PASSWORD):
        assert [text for text in (output, *reports) if password in text] == []
