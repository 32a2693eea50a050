"""Tests of the action with two emulated Databricks workspaces. One secret has the logins of both.

`act` runs jobs in the network of this machine, so the gate reaches the workspaces on the loopback interface.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import Act, Run, docker, saved_files
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, changed

# The long timeout is for the first test, which builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

OLD, NEW, TRAP, REVOKED = (f"dapi-{name}-0123456789abcdef" for name in ("old", "new", "trap", "revoked"))
TAMPERED = changed(model_dot_pkl=WINE["model.pkl"][:-1] + b"!")
RUN = "0a" * 16


def old_workspace(directory: Path, token: str, files: dict[str, bytes]) -> Blueprint:
    blueprint = Blueprint(directory, token)
    source = blueprint.run(RUN, files)
    blueprint.version("registry", "wine", "7", files, source=source, run_id=RUN, stage="Production")
    return blueprint


def new_workspace(directory: Path, token: str, files: dict[str, bytes]) -> Blueprint:
    blueprint = Blueprint(directory, token)
    source = blueprint.logged_model("m-" + "1b" * 16, files)
    location = "s3://ml-prod/models/7"
    blueprint.version("catalog", "ml.prod.wine", "7", files, ["champion"], source=source, storage_location=location)
    blueprint.version("catalog", "ml.prod.wine", "8", TAMPERED, source=source)
    return blueprint


def trap_workspace(directory: Path) -> Blueprint:
    """Return a workspace that the gate must not read. Its models have the same names but other files.

    A gate that reads this workspace has another verdict.
    """
    blueprint = new_workspace(directory, TRAP, {"MLmodel": b"trap"})
    source = blueprint.run(RUN, {"MLmodel": b"trap"})
    blueprint.version("registry", "wine", "7", {"MLmodel": b"trap"}, source=source, run_id=RUN)
    return blueprint


@dataclass(frozen=True)
class Migration:
    """The completed workflow run, the emulated workspaces, and the secret with their logins."""

    run: Run
    old: EmulatedWorkspace
    new: EmulatedWorkspace
    trap: EmulatedWorkspace
    secret: str
    directory: Path

    @property
    def steps(self) -> dict[str, Any]:
        steps: dict[str, Any] = json.loads((self.run.workspace / "steps.json").read_text())
        return steps

    def report(self, name: str) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.run.workspace / f"reports/{name}.json").read_text())
        return report


def compare_file(number: int) -> str:
    left = {"host": "databricks://old_env", "model": "wine", "version_or_stage": "7"}
    right = {"host": "databricks-uc://new_env", "model": "ml.prod.wine", "version_or_stage": str(number)}
    return json.dumps({"tracking_server_1": left, "tracking_server_2": right}, indent=2)


@pytest.fixture(scope="module")
def migration(act: Act, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Migration]:
    directory = tmp_path_factory.mktemp("workspaces")
    with (
        EmulatedWorkspace(old_workspace(directory / "old", OLD, WINE)) as old,
        EmulatedWorkspace(new_workspace(directory / "new", NEW, WINE)) as new,
        EmulatedWorkspace(trap_workspace(directory / "trap")) as trap,
    ):
        profiles = {"old_env": (old.url, OLD), "new_env": (new.url, NEW), "revoked_env": (old.url, REVOKED)}
        secret = "\n\n".join(f"[{name}]\nhost = {url}\ntoken = {token}" for name, (url, token) in profiles.items())
        run = act.run(
            "databricks",
            variables={"TRAP": trap.url, "TRAP_TOKEN": TRAP},
            secrets={"DATABRICKS_PROFILES": secret},
            files={"migrated.yaml": compare_file(7), "tampered.yaml": compare_file(8)},
            masks=False,
        )
        assert (run.workspace / "steps.json").exists(), run.output[-6000:]
        yield Migration(run, old, new, trap, secret, act.directory)


def test_version_migrated_to_another_workspace_is_equal_to_its_original(migration: Migration) -> None:
    step = migration.steps["migrated"]
    assert step["outcome"] == "success", migration.run.log_of("migrated")
    expected = {
        "status": "equal",
        "equals": "true",
        "equivalent": "true",
        "passed": "true",
        "run-model-equals": "true",
        "reg-model-equals": "true",
        "same-location": "false",
        "differences": "0",
        "report-file": "reports/migrated.json",
    }
    assert expected.items() <= step["outputs"].items()
    versions = migration.report("migrated")["model_versions"]
    origins = {role: version["resolved"]["download_uri"].partition("://")[0] for role, version in versions.items()}
    assert origins == {
        "tracking_server_1": "dbfs:/databricks/mlflow-registry/wine-7/models/model",
        "tracking_server_2": "s3",
    }
    kept = migration.run.workspace / "models/reg_model"
    for name in ("server_1", "server_2"):
        files = [file for file in (kept / name).rglob("*") if file.is_file()]
        assert {file.relative_to(kept / name).as_posix(): file.read_bytes() for file in files} == WINE


def test_changed_byte_in_the_migrated_version_fails_the_step(migration: Migration) -> None:
    step = migration.steps["tampered"]
    assert step["outcome"] == "failure"
    outputs = step["outputs"]
    assert (outputs["status"], outputs["equals"], outputs["passed"]) == ("different", "false", "false")
    assert (outputs["run-model-equals"], outputs["reg-model-equals"], outputs["differences"]) == ("true", "false", "1")
    differences = migration.report("tampered")["reg_model_comparison"]["differences"]
    assert [difference["path"] for difference in differences] == ["model.pkl"]


def test_check_of_a_unity_catalog_model_uses_the_login_of_its_profile(migration: Migration) -> None:
    assert migration.steps["check"]["outputs"]["status"] == "equal", migration.run.log_of("check")
    assert migration.report("check")["model_version"]["resolved"]["version"] == "7"


def test_step_with_a_revoked_token_fails_with_an_access_error(migration: Migration) -> None:
    step = migration.steps["revoked"]
    assert (step["outcome"], step["outputs"]["status"]) == ("failure", "error")
    assert migration.report("revoked")["error"]["type"] == "AccessError"
    assert "Error details" in migration.run.log_of("revoked")


def test_each_workspace_receives_only_its_own_token(migration: Migration) -> None:
    assert not migration.trap.requests
    for workspace, tokens in ((migration.old, {OLD, REVOKED}), (migration.new, {NEW})):
        used = {request["authorization"].removeprefix("Bearer ") for request in workspace.requests}
        # Requests to presigned URLs and to the discovery endpoint have no token.
        assert used == {*tokens, ""}
    old_paths = [request["path"] for request in migration.old.requests]
    assert [path for path in old_paths if "list-artifacts" in path]
    new_paths = [request["path"] for request in migration.new.requests]
    assert [path for path in new_paths if path.startswith("/api/2.0/fs/directories/Models/ml/")]
    revoked = [request["status"] for request in migration.old.requests if REVOKED in request["authorization"]]
    assert set(revoked) == {401}


def secrets(migration: Migration) -> list[str]:
    """Return the texts that must not leak: the whole secret, its lines and its tokens.

    The names of the profiles are not secret, because the workflow has them too.
    """
    lines = [line for line in migration.secret.splitlines() if line and not line.startswith("[")]
    return [migration.secret, json.dumps(migration.secret)[1:-1], *lines, OLD, NEW, REVOKED]


def test_log_contains_no_secret_outside_mask_commands(migration: Migration) -> None:
    run = migration.run
    masked = {command.data for command in run.commands("migrated", "add-mask")}
    assert {OLD, NEW, REVOKED} <= masked
    output = "\n".join(line for line in run.output.splitlines() if '"command":"add-mask"' not in line)
    assert run.commands("migrated", "summary"), "the output of act has the summary"
    for secret in secrets(migration):
        assert secret not in output
        assert secret not in run.log


def test_files_that_the_workflow_leaves_contain_no_secret(migration: Migration) -> None:
    # This directory has the file in which the test passes the secret to `act`.
    settings = migration.directory / "databricks settings"
    files = [file for file in migration.directory.rglob("*") if file.is_file() and settings not in file.parents]
    assert {"migrated.json", "steps.json", "MLmodel"} <= {file.name for file in files}
    for file in files:
        content = file.read_bytes()
        for secret in secrets(migration):
            assert secret.encode() not in content, file


def test_workflow_leaves_no_container_or_volume_and_its_image_contains_no_secret(
    migration: Migration, image: str
) -> None:
    # The names of act's containers and volumes include the name of the workflow.
    assert not docker("ps", "--all", "--quiet", "--filter", "name=act-Databricks").stdout
    volumes = docker("volume", "ls", "--quiet", "--filter", "name=act-Databricks").stdout
    assert not volumes
    metadata = docker("history", "--no-trunc", image).stdout + docker("inspect", image).stdout
    pattern = re.compile(b"|".join(re.escape(secret.encode()) for secret in secrets(migration)))
    for secret in secrets(migration):
        assert secret not in metadata
    layers = 0
    for layer in saved_files(image):
        layers += 1
        assert not pattern.search(layer)
    assert layers >= 3
