"""The action against two emulated Databricks workspaces, their logins handed over as one secret.

A job in `act` shares this machine's network, so the workspaces are on the loopback device of the gate too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import Act, Run, docker, saved
from tests.databricks.workspaces import WINE, Blueprint, EmulatedWorkspace, changed

# The first one builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

OLD, NEW, TRAP, REVOKED = (f"dapi-{name}-0123456789abcdef" for name in ("old", "new", "trap", "revoked"))
TAMPERED = changed(model_dot_pkl=WINE["model.pkl"][:-1] + b"!")
RUN = "0a" * 16


def old(directory: Path, token: str, files: dict[str, bytes]) -> Blueprint:
    blueprint = Blueprint(directory, token)
    source = blueprint.run(RUN, files)
    blueprint.version("registry", "wine", "7", files, source=source, run_id=RUN, stage="Production")
    return blueprint


def new(directory: Path, token: str, files: dict[str, bytes]) -> Blueprint:
    blueprint = Blueprint(directory, token)
    source = blueprint.logged_model("m-" + "1b" * 16, files)
    location = "s3://ml-prod/models/7"
    blueprint.version("catalog", "ml.prod.wine", "7", files, ["champion"], source=source, storage_location=location)
    blueprint.version("catalog", "ml.prod.wine", "8", TAMPERED, source=source)
    return blueprint


def trap(directory: Path) -> Blueprint:
    """The same names, and another model: whoever reads here gets another verdict."""
    blueprint = new(directory, TRAP, {"MLmodel": b"trap"})
    source = blueprint.run(RUN, {"MLmodel": b"trap"})
    blueprint.version("registry", "wine", "7", {"MLmodel": b"trap"}, source=source, run_id=RUN)
    return blueprint


@dataclass(frozen=True)
class Migration:
    """The workflow that ran, the workspaces that it ran against, and the secret that it was given."""

    run: Run
    old: EmulatedWorkspace
    new: EmulatedWorkspace
    trap: EmulatedWorkspace
    secret: str
    directory: Path

    @property
    def steps(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run.workspace / "steps.json").read_text())
        return found

    def report(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run.workspace / f"reports/{name}.json").read_text())
        return found


def compare_file(number: int) -> str:
    first = {"host": "databricks://old_env", "model": "wine", "version_or_stage": "7"}
    second = {"host": "databricks-uc://new_env", "model": "ml.prod.wine", "version_or_stage": str(number)}
    return json.dumps({"tracking_server_1": first, "tracking_server_2": second}, indent=2)


@pytest.fixture(scope="module")
def migration(act: Act, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Migration]:
    directory = tmp_path_factory.mktemp("workspaces")
    with (
        EmulatedWorkspace(old(directory / "old", OLD, WINE)) as one,
        EmulatedWorkspace(new(directory / "new", NEW, WINE)) as other,
        EmulatedWorkspace(trap(directory / "trap")) as wrong,
    ):
        profiles = {"old_env": (one.url, OLD), "new_env": (other.url, NEW), "revoked_env": (one.url, REVOKED)}
        secret = "\n\n".join(f"[{name}]\nhost = {url}\ntoken = {token}" for name, (url, token) in profiles.items())
        run = act.run(
            "databricks",
            variables={"TRAP": wrong.url, "TRAP_TOKEN": TRAP},
            secrets={"DATABRICKS_PROFILES": secret},
            files={"migrated.yaml": compare_file(7), "tampered.yaml": compare_file(8)},
            masks=False,
        )
        assert (run.workspace / "steps.json").exists(), run.output[-6000:]
        yield Migration(run, one, other, wrong, secret, act.directory)


def test_a_migrated_version_is_equal_in_both_workspaces(migration: Migration) -> None:
    step = migration.steps["migrated"]
    assert step["outcome"] == "success", migration.run.of("migrated")
    assert step["outputs"] == {
        "status": "equal",
        "equals": "true",
        "equivalent": "true",
        "passed": "true",
        "run-model-equals": "true",
        "reg-model-equals": "true",
        "differences": "0",
        "report-file": "reports/migrated.json",
    }
    versions = migration.report("migrated")["model_versions"]
    origins = {side: each["resolved"]["download_uri"].partition("://")[0] for side, each in versions.items()}
    assert origins == {
        "tracking_server_1": "dbfs:/databricks/mlflow-registry/wine-7/models/model",
        "tracking_server_2": "s3",
    }
    kept = migration.run.workspace / "models/reg_model"
    for side in ("server_1", "server_2"):
        found = {file.relative_to(kept / side).as_posix(): file for file in (kept / side).rglob("*") if file.is_file()}
        assert {name: file.read_bytes() for name, file in found.items()} == WINE


def test_one_byte_of_the_migrated_copy_fails_the_step(migration: Migration) -> None:
    step = migration.steps["tampered"]
    assert step["outcome"] == "failure"
    outputs = step["outputs"]
    assert (outputs["status"], outputs["equals"], outputs["passed"]) == ("different", "false", "false")
    assert (outputs["run-model-equals"], outputs["reg-model-equals"], outputs["differences"]) == ("true", "false", "1")
    differences = migration.report("tampered")["reg_model_comparison"]["differences"]
    assert [each["path"] for each in differences] == ["model.pkl"]


def test_a_check_in_unity_catalog_takes_its_profile_too(migration: Migration) -> None:
    assert migration.steps["check"]["outputs"]["status"] == "equal", migration.run.of("check")
    assert migration.report("check")["model_version"]["resolved"]["version"] == "7"


def test_a_token_that_is_refused_is_an_error_that_does_not_show_it(migration: Migration) -> None:
    step = migration.steps["revoked"]
    assert (step["outcome"], step["outputs"]["status"]) == ("failure", "error")
    assert migration.report("revoked")["error"]["type"] == "AccessError"
    assert "What lies behind the error" in migration.run.of("revoked")


def test_each_workspace_is_asked_at_its_host_with_its_token_only(migration: Migration) -> None:
    assert not migration.trap.requests
    for workspace, tokens in ((migration.old, {OLD, REVOKED}), (migration.new, {NEW})):
        used = {each["authorization"].removeprefix("Bearer ") for each in workspace.requests}
        # Signed URLs, and what the host says about itself, take none.
        assert used == {*tokens, ""}
    assert [each for each in migration.old.requests if "list-artifacts" in each["path"]]
    assert [each for each in migration.new.requests if each["path"].startswith("/api/2.0/fs/directories/Models/ml/")]
    refused = [each["status"] for each in migration.old.requests if REVOKED in each["authorization"]]
    assert set(refused) == {401}


def secrets(migration: Migration) -> list[str]:
    """The secret as a whole, its lines, and its tokens. The names of profiles are in the workflow itself."""
    lines = [line for line in migration.secret.splitlines() if line and not line.startswith("[")]
    return [migration.secret, json.dumps(migration.secret)[1:-1], *lines, OLD, NEW, REVOKED]


def test_the_secret_is_in_nothing_that_is_logged_though_the_runner_masks_nothing(migration: Migration) -> None:
    run = migration.run
    masked = {each.data for each in run.commands("migrated", "add-mask")}
    assert {OLD, NEW, REVOKED} <= masked
    output = "\n".join(line for line in run.output.splitlines() if '"command":"add-mask"' not in line)
    assert run.commands("migrated", "summary"), "summaries are looked at"
    for secret in secrets(migration):
        assert secret not in output
        assert secret not in run.log


def test_the_secret_is_in_no_file_that_is_left(migration: Migration) -> None:
    # The test itself hands it to the runner in a file.
    given = migration.directory / "databricks settings"
    files = [file for file in migration.directory.rglob("*") if file.is_file() and given not in file.parents]
    assert {"migrated.json", "steps.json", "MLmodel"} <= {file.name for file in files}
    for file in files:
        content = file.read_bytes()
        for secret in secrets(migration):
            assert secret.encode() not in content, file


def test_the_secret_is_in_no_container_volume_or_image(migration: Migration, image: str) -> None:
    # The runner's names for what it made: nothing of this workflow is left that could hold anything.
    assert not docker("ps", "--all", "--quiet", "--filter", "name=act-Databricks").stdout
    volumes = docker("volume", "ls", "--quiet", "--filter", "name=act-Databricks").stdout
    assert not volumes
    told = docker("history", "--no-trunc", image).stdout + docker("inspect", image).stdout
    pattern = re.compile(b"|".join(re.escape(each.encode()) for each in secrets(migration)))
    for secret in secrets(migration):
        assert secret not in told
    layers = 0
    for layer in saved(image):
        layers += 1
        assert not pattern.search(layer)
    assert layers >= 3
