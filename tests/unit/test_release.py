"""A released commit names every image and action by digest or commit, and only a tag on main is released."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import ROOT

IMAGE = f"ghcr.io/model-gate/model-gate@sha256:{'1' * 64}"
BASE = f"debian:trixie-slim@sha256:{'2' * 64}"
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
EXAMPLES = sorted((ROOT / "examples").glob("*.yml"))
GATE, GATES = (f".github/workflows/{name}.yml" for name in ("gate", "gates"))
_COMMIT = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")


def git(repository: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments]
    return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the files that a release changes."""
    for name in ("action.yml", "Dockerfile", GATE, GATES):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, file)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    for name, value in (("name", "Test"), ("email", "test@example.com")):
        git(tmp_path, "config", f"user.{name}", value)
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "A commit")
    return tmp_path


def release(repository: Path, *arguments: str) -> int:
    command = [str(ROOT / ".github/scripts/release-commits"), *arguments]
    return subprocess.run(command, cwd=repository, check=False, capture_output=True).returncode


def uses(workflow: str) -> list[str]:
    return re.findall(r"uses: (\S+)", workflow)


def test_released_files_name_images_and_actions_by_digest_or_commit(repository: Path) -> None:
    assert release(repository, "v1.2.3", IMAGE, BASE) == 0
    assert git(repository, "status", "--porcelain") == ""
    runs = yaml.safe_load((repository / "action.yml").read_text())["runs"]
    assert runs["image"] == f"docker://{IMAGE}"
    assert runs["env"] == {"MODEL_GATE_IMAGE_DIGEST": IMAGE.partition("@")[2]}
    bases = re.findall(r"^(?:ARG BASE=|FROM )(\S+)", (repository / "Dockerfile").read_text(), re.MULTILINE)
    assert set(bases) <= {BASE, "${BASE}", "python", "scratch"}
    names = uses((repository / GATE).read_text() + (repository / GATES).read_text())
    assert [name for name in names if not _COMMIT.fullmatch(name)] == []


@pytest.mark.parametrize("workflow, count", [(GATE, 1), (GATES, 3)])
def test_reusable_workflow_of_a_release_calls_the_action_of_the_same_release(
    repository: Path, workflow: str, count: int
) -> None:
    release(repository, "v1.2.3", IMAGE, BASE)
    names = [name for name in uses((repository / workflow).read_text()) if name.startswith("model-gate/")]
    assert len(names) == count
    (commit,) = {name.partition("@")[2] for name in names}
    assert commit == git(repository, "rev-parse", "HEAD~1")
    assert git(repository, "show", f"{commit}:action.yml") == git(repository, "show", "HEAD:action.yml")


@pytest.mark.parametrize(
    "arguments",
    [
        ("v1", IMAGE, BASE),
        ("v1.2.3", "ghcr.io/model-gate/model-gate:v1", BASE),
        ("v1.2.3", IMAGE, "debian:trixie-slim"),
    ],
    ids=["a moving tag", "an image without a digest", "a base image without a digest"],
)
def test_release_needs_a_full_version_and_image_digests(repository: Path, arguments: tuple[str, ...]) -> None:
    assert release(repository, *arguments) != 0
    assert git(repository, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize("file", ["action.yml", "Dockerfile", GATE, GATES])
def test_release_fails_if_a_line_that_it_replaces_is_missing(repository: Path, file: str) -> None:
    (repository / file).write_text("changed: true\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Another commit")
    assert release(repository, "v1.2.3", IMAGE, BASE) != 0


def steps_of(workflow: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text()).get("jobs", {})
    return [step for job in jobs.values() for step in job.get("steps", [])]


def test_tag_that_is_not_on_main_is_not_released(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    steps = steps_of(ROOT / ".github/workflows/release.yml")
    (check,) = (step for step in steps if "merge-base" in step.get("run", ""))
    published = [number for number, step in enumerate(steps) if "login-action" in step.get("uses", "")]
    assert steps.index(check) < min(published)
    clone = tmp_path_factory.mktemp("clones") / "clone"
    git(repository, "clone", "--quiet", str(repository), str(clone))
    run = ["bash", "-e", "-c", check["run"]]
    assert subprocess.run(run, cwd=clone, check=False).returncode == 0
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "A commit that is not on main")
    assert subprocess.run(run, cwd=clone, check=False).returncode == 1


@pytest.mark.parametrize("workflow", [*WORKFLOWS, *EXAMPLES], ids=lambda path: str(path.relative_to(ROOT)))
def test_checkout_step_does_not_keep_the_github_token(workflow: Path) -> None:
    checkouts = [step for step in steps_of(workflow) if "actions/checkout@" in step.get("uses", "")]
    assert [step for step in checkouts if step["with"]["persist-credentials"] is not False] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_pins_third_party_actions_to_a_commit(workflow: Path) -> None:
    names = [name for name in uses(workflow.read_text()) if not name.startswith(("./", "model-gate/"))]
    assert [name for name in names if not _COMMIT.fullmatch(name)] == []


def test_dependabot_updates_actions_and_images_and_packages() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert {(update["package-ecosystem"], update["directory"]) for update in updates} == {
        ("github-actions", "/"),
        ("docker", "/"),
        ("pip", "/requirements"),
        ("npm", "/requirements/browser"),
        ("npm", "/requirements/stores"),
        ("pip", "/requirements/stores"),
    }


@pytest.mark.parametrize("directory", ["browser", "stores"])
def test_packages_of_npm_are_pinned_by_hashes_and_without_an_address(directory: str) -> None:
    lock = json.loads((ROOT / "requirements" / directory / "package-lock.json").read_text())
    packages = [package for name, package in lock["packages"].items() if name]
    assert [package for package in packages if not package["integrity"].startswith("sha512-")] == []
    assert [package for package in packages if "resolved" in package] == []
