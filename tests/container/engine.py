"""The Docker engine, the images, and `act`, which plays the runner."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGE = "model-gate:test"
RUNNER = "model-gate-runner:test"
# The action as a workflow of another repository names it.
REPOSITORY = "model-gate/model-gate@v1"


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a docker command."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {arguments[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def build(image: str, directory: Path, dockerfile: str = "Dockerfile") -> str:
    """Build an image, and return its name."""
    docker("build", "--quiet", "--tag", image, "--file", str(directory / dockerfile), str(directory))
    return image


def export(destination: Path) -> Path:
    """The project's files as a checkout has them, without what was built and installed in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        file = destination / name
        if (ROOT / name).exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, file, follow_symlinks=False)
    return destination


@dataclass(frozen=True)
class Message:
    """A line of a workflow's log: the step that it belongs to, and what it says."""

    step: str
    text: str


@dataclass(frozen=True)
class Run:
    """A workflow that ran."""

    code: int
    messages: Sequence[Message]
    workspace: Path
    output: str

    @property
    def log(self) -> str:
        """All that was logged."""
        return "\n".join(each.text for each in self.messages)

    def of(self, step: str) -> str:
        """What that step logged."""
        return "\n".join(each.text for each in self.messages if each.step == step)


@dataclass(frozen=True)
class Act:
    """Runs workflows in a repository of a user's, with the action as another repository."""

    action: Path
    directory: Path

    def run(
        self, workflow: str, *, variables: Mapping[str, str], secrets: Mapping[str, str], files: Mapping[str, str]
    ) -> Run:
        """Run `workflows/<workflow>.yml`; `files` are the repository's other files."""
        workspace = self.directory / workflow
        workspace.mkdir()
        source = Path(__file__).parent / "workflows" / f"{workflow}.yml"
        for name, text in {f".github/workflows/{workflow}.yml": source.read_text(), **files}.items():
            file = workspace / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        _commit(workspace)
        # In files, since secrets have no place among a process's arguments.
        settings = self.directory / f"{workflow} settings"
        settings.mkdir()
        for name, values in (("secrets", secrets), ("variables", variables)):
            (settings / name).write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in values.items()))
        command = [str(Path(sys.executable).with_name("act")), "push", "--bind", "--rm", "--pull=false", "--json"]
        command += ["--platform", f"ubuntu-latest={RUNNER}", "--no-cache-server"]
        command += ["--secret-file", str(settings / "secrets"), "--var-file", str(settings / "variables")]
        command += ["--local-repository", f"{REPOSITORY}={self.action}"]
        stub = Path(__file__).parent / "upload-artifact"
        command += ["--local-repository", f"{_upload_artifact(self.action)}={stub}"]
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            command,
            cwd=workspace,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)},
        )
        return Run(done.returncode, list(_messages(done.stdout)), workspace, done.stdout + done.stderr)


def _upload_artifact(action: Path) -> str:
    """The action that stores artifacts, as the reusable workflow pins it: there is nowhere to store them here."""
    lines = (action / ".github/workflows/gate.yml").read_text().splitlines()
    return next(line.split("uses: ")[1].split()[0] for line in lines if "uses: actions/upload-artifact@" in line)


def _commit(workspace: Path) -> None:
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "A change"],
    ):
        subprocess.run(["git", *arguments], cwd=workspace, check=True)


def _messages(output: str) -> list[Message]:
    found = []
    for line in output.splitlines():
        try:
            data = json.loads(line)
        except json.JSONDecodeError:
            continue
        found.append(Message(str(data.get("step", "")), str(data.get("msg", "")).rstrip("\n")))
    return found
