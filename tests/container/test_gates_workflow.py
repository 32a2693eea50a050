"""Tests of runs of many gates in workflows: what a change alters, the reusable workflow, and its shards."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.engine import IMAGE, WORKFLOWS, Act, Run, docker
from tests.support.checkouts import Checkout
from tests.support.faulty_server import MODEL, Call, FaultyServer, never_respond
from tests.support.seals import write_seal

# The long timeout is for the first test, which builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

SEAL = "seals/wine.json"
OTHERS = ("different", "missing", "untouched")


@pytest.fixture(scope="module")
def open_server() -> Iterator[FaultyServer]:
    """A tracking server without a login. The version 2 of its model is not that of the seal."""
    with FaultyServer() as server:
        server.add("Wine", MODEL)
        server.add("Wine", MODEL | {"model.pkl": b"other"}, "2")
        yield server


def gates_file(server: FaultyServer, **versions: int) -> str:
    """Return a gates file with an entry for each name: a check of this version of the model with its seal."""
    entries = {
        name: {"check": {"host": server.url, "model": "Wine", "version_or_stage": version}, "seal": SEAL}
        for name, version in versions.items()
    }
    return json.dumps({"gates": entries}, indent=1)


@dataclass(frozen=True)
class Change:
    """A pull request on GitHub: the repository, and the payload of its event."""

    repository: Checkout
    payload: dict[str, Any]

    def checkout(self, path: Path, depth: int) -> Path:
        """Fetch the merge commit with this depth, as actions/checkout does. Return the path of the checkout."""
        return self.repository.clone(path, f"--depth={depth}", ref="merged").path


def change(path: Path, workflow: str, before: str, after: str) -> Change:
    """Return a pull request from a fork that changes the gates file. GitHub has merged it with a newer base branch."""
    repository = Checkout.init(path)
    write_seal(path / SEAL, "Wine", MODEL)
    workflow_file = f".github/workflows/{workflow}.yml"
    files = {"gates.yaml": before, workflow_file: (WORKFLOWS / f"{workflow}.yml").read_text()}
    start = repository.commit(dict(files))
    repository.git("checkout", "--quiet", "-b", "topic")
    tip = repository.commit({"gates.yaml": after})
    repository.git("checkout", "--quiet", "main")
    repository.commit({"README.md": "The base branch goes on.\n"})
    repository.git("checkout", "--quiet", "-b", "merged")
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
    fork = {"full_name": "somebody/models", "fork": True}
    payload = {
        "number": 1,
        "pull_request": {
            "number": 1,
            # GitHub does not update this commit when the base branch goes on.
            "base": {"sha": start, "ref": "main", "repo": {"full_name": "team/models", "fork": False}},
            "head": {"sha": tip, "ref": "topic", "repo": fork},
        },
    }
    return Change(repository, payload)


@pytest.fixture(scope="module")
def five_entries(open_server: FaultyServer, tmp_path_factory: pytest.TempPathFactory) -> Change:
    """A change of 2 of 5 entries. Of the other three, two would fail."""
    others = {"different": 2, "missing": 99, "untouched": 1}
    return change(
        tmp_path_factory.mktemp("repository") / "five",
        "gates",
        gates_file(open_server, wine=2, **others),
        gates_file(open_server, **others, wine=1, added=1),
    )


def run_gates(act: Act, server: FaultyServer, workspace: Path, payload: dict[str, Any]) -> Run:
    """Run the reusable workflow for a pull request of a fork, which has no secrets."""
    return act.run_checkout(workspace, "gates", {"REGISTRY": server.url}, {}, event="pull_request", payload=payload)


def report_of(run: Run) -> dict[str, Any]:
    file = run.workspace / ".artifacts/model-gate-report/model-gate-report.json"
    assert file.exists(), run.output[-8000:]
    content: dict[str, Any] = json.loads(file.read_text())
    return content


@pytest.fixture(scope="module")
def two_of_five(
    act: Act, open_server: FaultyServer, five_entries: Change, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    workspace = five_entries.checkout(tmp_path_factory.mktemp("checkouts") / "depth-2", 2)
    return run_gates(act, open_server, workspace, five_entries.payload)


def test_pull_request_of_a_fork_gates_the_two_entries_that_it_changes_without_secrets(two_of_five: Run) -> None:
    assert two_of_five.code == 0, two_of_five.output[-8000:]
    report = report_of(two_of_five)
    assert [(gate["name"], gate["status"]) for gate in report["gates"]] == [("wine", "equal"), ("added", "equal")]
    assert sorted(entry["name"] for entry in report["left_out"]) == sorted(OTHERS)
    assert "result=success status=equal passed=true" in two_of_five.log_of("result")
    gates = json.loads((two_of_five.workspace / "gates-output.json").read_text())
    assert {name: gate["passed"] for name, gate in gates.items()} == {"wine": True, "added": True}


def test_two_shards_have_one_summary_and_one_artifact_with_all_views(two_of_five: Run) -> None:
    artifacts = sorted(path.name for path in (two_of_five.workspace / ".artifacts").iterdir())
    name = "model-gate-report"
    assert artifacts == [name, f"{name}-plan-1", f"{name}-rows-1-1", f"{name}-rows-1-2"]
    files = sorted(path.name for path in (two_of_five.workspace / ".artifacts" / name).iterdir())
    views = ["model-gate-badge.svg", "model-gate-junit.xml"]
    assert files == [*views, *(f"{name}.{suffix}" for suffix in ("html", "json", "md"))]
    summaries = [message for message in two_of_five.messages if message.command == "summary"]
    assert [message.step for message in summaries] == ["Merge"]
    assert "All 2 gates passed" in summaries[0].data


def test_checkout_of_depth_1_is_an_error_that_names_the_line_to_add(
    act: Act, open_server: FaultyServer, five_entries: Change, tmp_path: Path
) -> None:
    workspace = five_entries.checkout(tmp_path / "depth-1", 1)
    run = run_gates(act, open_server, workspace, five_entries.payload)
    assert run.code != 0
    (annotation,) = run.commands("Plan", "error")
    assert "`fetch-depth: 2`" in annotation.data
    # Without a plan there are no shards, and the job of the verdict runs nevertheless.
    report = report_of(run)
    assert (report["status"], report["passed"], report["gates"]) == ("error", False, [])
    assert_error_of_the_verdict(run)


def assert_error_of_the_verdict(run: Run) -> None:
    """Verify the outputs and the exit code of the merge.

    `act` runs no job that needs a reusable workflow after this has failed, so it has no outputs of the workflow.
    """
    outputs = run.outputs_of("Merge")
    assert (outputs["status"], outputs["passed"]) == ("error", "false")
    assert "exit with `FAILURE`: 2" in run.log_of("Merge")


def changes_run(act: Act, server: FaultyServer, workspace: Path, event: str, payload: dict[str, Any]) -> Run:
    return act.run_checkout(workspace, "changes", {"REGISTRY": server.url}, {}, event=event, payload=payload)


def test_pull_request_that_only_formats_the_gates_file_passes_with_0_gates(
    act: Act, open_server: FaultyServer, tmp_path: Path
) -> None:
    text = gates_file(open_server, different=2, missing=99)
    formatted = json.dumps(json.loads(text), indent=4) + "\n# A comment\n"
    pull_request = change(tmp_path / "repository", "changes", text, formatted)
    workspace = pull_request.checkout(tmp_path / "formatted", 2)
    run = changes_run(act, open_server, workspace, "pull_request", pull_request.payload)
    assert run.code == 0, run.output[-8000:]
    (summary,) = run.commands("gates", "summary")
    assert "0 gates concern this change" in summary.data
    assert "passed=true" in run.log_of("result")


def test_merge_group_gates_what_it_changes(act: Act, open_server: FaultyServer, tmp_path: Path) -> None:
    before = gates_file(open_server, wine=2, different=2, missing=99)
    after = gates_file(open_server, wine=1, different=2, missing=99)
    repository = change(tmp_path / "repository", "changes", before, after).repository
    workspace = repository.clone(tmp_path / "group", "--depth=2", ref="merged")
    commits = {name: workspace.git("rev-parse", name) for name in ("HEAD", "HEAD^1")}
    group = {"head_sha": commits["HEAD"], "base_sha": commits["HEAD^1"], "head_ref": "refs/heads/gh-readonly-queue/1"}
    run = changes_run(act, open_server, workspace.path, "merge_group", {"merge_group": group})
    assert run.code == 0, run.output[-8000:]
    report = json.loads((workspace.path / "model-gate-report.json").read_text())
    assert [(gate["name"], gate["passed"]) for gate in report["gates"]] == [("wine", True)]


class Killer:
    """Kills the container of a shard as soon as its gate asks for the model `Slow`."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.killed: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> None:
        with self._lock:
            for container in self._containers():
                if container not in self.killed:
                    docker("kill", container)
                    self.killed.append(container)
        if self.killed:
            never_respond(call)
        call.server.respond(call)

    def _containers(self) -> Iterator[str]:
        """Yield the containers of the shard with the gate `slow`."""
        plan_file = self.workspace / "model-gate-plan.json"
        if not plan_file.exists():
            return
        shards = json.loads(plan_file.read_text())["shards"]
        (index,) = (index for index, names in enumerate(shards, 1) if "slow" in names)
        for container in docker("ps", "--quiet", "--no-trunc", "--filter", f"ancestor={IMAGE}").stdout.split():
            described = docker("inspect", container, check=False).stdout
            if f"INPUT_SHARD={index}/2" in described and str(self.workspace) in described:
                yield container


def test_killed_shard_is_an_error_of_the_verdict_and_keeps_the_results_of_the_others(
    act: Act, open_server: FaultyServer, tmp_path: Path
) -> None:
    workspace = Checkout.init(tmp_path / "killed")
    write_seal(workspace.path / SEAL, "Wine", MODEL)
    gates = json.loads(gates_file(open_server, wine=1, slow=1))
    gates["gates"]["slow"]["check"]["model"] = "Slow"
    gates["gates"]["slow"]["seal_model"] = "Wine"
    (workspace.path / ".github/workflows").mkdir(parents=True)
    shutil.copy(WORKFLOWS / "gates.yml", workspace.path / ".github/workflows/gates.yml")
    workspace.commit({"gates.yaml": json.dumps(gates)})
    killer = Killer(workspace.path)
    open_server.faults["Slow"] = killer
    try:
        run = act.run_checkout(workspace.path, "gates", {"REGISTRY": open_server.url}, {})
    finally:
        del open_server.faults["Slow"]
    assert len(killer.killed) == 1, run.output[-8000:]
    assert run.code != 0
    report = report_of(run)
    statuses = {gate["name"]: gate["status"] for gate in report["gates"]}
    assert (report["status"], report["passed"]) == ("error", False)
    assert statuses == {"wine": "equal", "slow": "error"}
    assert "exit with `FAILURE`: 137" in run.log_of("Shard")
    assert_error_of_the_verdict(run)
