"""Tests of the action with two tracking servers in networks without a route to each other. Only a seal gets across."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import WORKFLOWS, Act, Run, docker
from tests.container.registry import PASSWORD, USERNAME, Registry, contained_registry
from tests.support.seals import root_of_digests

# The long timeout is for the first test, which builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

PROD_PASSWORD = "An0ther:pass/word-2%"
SEAL = "seals/Wine.json"
COMPARE_FILE = {
    "tracking_server_1": {"seal": SEAL},
    "tracking_server_2": {"server": "prod", "model": "Wine", "version_or_stage": "2"},
}


@contextmanager
def internal_network(name: str) -> Iterator[str]:
    """Make a Docker network whose containers can only reach each other and this machine. Remove it at the exit."""
    network = f"model-gate-{name}-{os.getpid()}"
    docker("network", "create", "--internal", network)
    try:
        yield network
    finally:
        docker("network", "rm", network)


@dataclass(frozen=True)
class World:
    """A tracking server and the network that only this server and the jobs beside it belong to."""

    server: Registry
    network: str


@pytest.fixture(scope="module")
def staging(image: str, server: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory, models = tmp_path_factory.mktemp("staging"), server.directory / "models"
    with (
        internal_network("staging") as network,
        contained_registry(directory, image, network, PASSWORD, models) as staging,
    ):
        yield World(staging, network)


@pytest.fixture(scope="module")
def production(image: str, server: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory, models = tmp_path_factory.mktemp("production"), server.directory / "models"
    with (
        internal_network("production") as network,
        contained_registry(directory, image, network, PROD_PASSWORD, models) as production,
    ):
        yield World(production, network)


@dataclass(frozen=True)
class Job:
    """A job that has ended: its run, and its steps by id."""

    run: Run
    steps: dict[str, Any]

    @property
    def workspace(self) -> Path:
        return self.run.workspace

    def outputs(self, step: str) -> dict[str, str]:
        outputs: dict[str, str] = self.steps[step]["outputs"]
        return outputs


@dataclass(frozen=True)
class Runners:
    """Runs a workflow in one of the two networks, with the login of its server."""

    act: Act
    variables: dict[str, str]
    directory: Path

    def run(self, workflow: str, name: str, world: World, password: str, files: dict[str, str]) -> Job:
        """Run `workflows/<workflow>.yml` in the new workspace `name`, which has only `files`."""
        workspace = self.directory / name
        for path, text in {
            f".github/workflows/{workflow}.yml": (WORKFLOWS / f"{workflow}.yml").read_text(),
            **files,
        }.items():
            file = workspace / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        secrets = {"USERNAME": USERNAME, "PASSWORD": password}
        run = self.act.run_in(workspace, workflow, self.variables, secrets, ("--network", world.network))
        steps = workspace / "steps.json"
        assert steps.exists(), run.output[-6000:]
        return Job(run, json.loads(steps.read_text()))


@pytest.fixture(scope="module")
def runners(act: Act, staging: World, production: World, tmp_path_factory: pytest.TempPathFactory) -> Runners:
    # Addresses and not names: a name that does not resolve says nothing about a route.
    variables = {"STAGING": staging.server.address, "PRODUCTION": production.server.address}
    return Runners(act, variables, tmp_path_factory.mktemp("worlds"))


@pytest.fixture(scope="module")
def approval(runners: Runners, staging: World) -> Job:
    """A job beside the staging server, which seals version 1."""
    return runners.run("approval", "approval", staging, PASSWORD, {})


def promote(runners: Runners, production: World, approval: Job, name: str) -> Job:
    """Run a job beside the production server, which gets the seal and nothing else of the approval."""
    files = {SEAL: (approval.workspace / SEAL).read_text(), "promotion.yaml": json.dumps(COMPARE_FILE)}
    return runners.run("promotion", name, production, PROD_PASSWORD, files)


@pytest.fixture(scope="module")
def promotion(runners: Runners, production: World, approval: Job) -> Job:
    """The gates of production's version 2, which has the bytes of staging's version 1."""
    return promote(runners, production, approval, "promotion")


@pytest.fixture(scope="module")
def changed(runners: Runners, production: World, approval: Job, promotion: Job) -> Job:
    """The same gates after one byte was changed on the disk of the production server."""
    assert promotion.steps["verify"]["outcome"] == "success"
    file = model_on_disk(production.server, 2) / "model.pkl"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    return promote(runners, production, approval, "changed")


def model_on_disk(server: Registry, version: int) -> Path:
    """Return the directory of a version of Wine in the artifact store of a server."""
    with closing(sqlite3.connect(server.directory / "mlflow.db")) as database:
        query = "SELECT source FROM model_versions WHERE name = 'Wine' AND version = ?"
        ((source,),) = database.execute(query, (version,))
    return server.directory / "artifacts" / str(source).partition(":")[2].strip("/")


def digests_on_disk(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a model."""
    files = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}


def read(job: Job, file: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((job.workspace / file).read_text())
    return content


def test_job_beside_one_server_has_no_route_to_the_other(approval: Job, promotion: Job) -> None:
    assert approval.outputs("routes") == {"staging": "yes", "production": "no"}
    assert promotion.outputs("routes") == {"staging": "no", "production": "yes"}
    # The gate, which runs in a container of its own, has none either.
    assert promotion.steps["staging"]["outcome"] == "failure"
    outputs = promotion.outputs("staging")
    assert (outputs["status"], outputs["passed"], outputs["seal-digest"]) == ("error", "false", "")
    assert read(promotion, "staging-report.json")["error"]["type"] == "UnreachableError"


def test_seal_of_staging_has_the_digests_of_the_files_on_its_disk(approval: Job, staging: World) -> None:
    assert approval.steps["seal"]["outcome"] == "success", approval.run.log_of("seal")
    seal = read(approval, SEAL)
    digests = digests_on_disk(model_on_disk(staging.server, 1))
    assert {resource["name"]: resource["digest"] for resource in seal["predicate"]["resources"]} == digests
    outputs = approval.outputs("seal")
    assert (outputs["status"], outputs["seal-file"]) == ("sealed", SEAL)
    assert outputs["seal-digest"] == seal["subject"][0]["digest"]["sha256"] == root_of_digests(digests)


@pytest.mark.parametrize("step, statement", [("verify", "statement.json"), ("compare", "compare-statement.json")])
def test_production_passes_by_the_seal_alone(approval: Job, promotion: Job, step: str, statement: str) -> None:
    assert promotion.steps[step]["outcome"] == "success", promotion.run.log_of(step)
    outputs = promotion.outputs(step)
    assert (outputs["status"], outputs["passed"]) == ("equal", "true")
    assert outputs["seal-file"] == ""
    version = outputs["version"] if step == "verify" else outputs["version-2"]
    assert (outputs["model"], version) == ("Wine", "2")
    assert outputs["seal-digest"] == approval.outputs("seal")["seal-digest"]
    assert outputs["statement-file"] == statement
    assert outputs["subject-digest"] == f"sha256:{outputs['seal-digest']}"
    written = read(promotion, statement)
    assert [subject["digest"] for subject in written["subject"]] == [{"sha256": outputs["seal-digest"]}]


@pytest.mark.parametrize("step, statement", [("verify", "statement.json"), ("compare", "compare-statement.json")])
def test_changed_byte_on_the_disk_of_production_fails_with_its_path(changed: Job, step: str, statement: str) -> None:
    assert changed.steps[step]["outcome"] == "failure", changed.run.log_of(step)
    outputs = changed.outputs(step)
    assert (outputs["status"], outputs["passed"], outputs["differences"]) == ("different", "false", "1")
    (annotation,) = changed.run.commands(step, "error")
    assert "model.pkl" in annotation.data
    assert (outputs["statement-file"], outputs["subject-digest"]) == ("", "")
    assert not (changed.workspace / statement).exists()


def test_check_without_a_seal_misses_the_changed_byte_and_says_that_nothing_was_compared(changed: Job) -> None:
    outputs = changed.outputs("check")
    assert (outputs["status"], outputs["same-location"]) == ("equal", "true")
    (annotation,) = changed.run.commands("check", "warning")
    assert "nothing compared" in annotation.data
