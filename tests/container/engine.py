"""The Docker engine, the images, and `act`, which plays the runner."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.paths import ROOT

WORKFLOWS = Path(__file__).parent / "workflows"
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


def saved(image: str) -> Iterator[bytes]:
    """The image's layers and descriptions, as they would be handed to others, one after the other."""
    with tempfile.TemporaryFile() as archive:
        subprocess.run(["docker", "save", image], stdout=archive, check=True)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as members:
            for member in members:
                content = members.extractfile(member)
                if content is not None:
                    data = content.read()
                    yield gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


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


def release(action: Path, image: str) -> Path:
    """Turn a checkout into a release: the action names its image instead of building it."""
    manifest = action / "action.yml"
    text = manifest.read_text()
    assert text.count("image: Dockerfile\n") == 1
    manifest.write_text(text.replace("image: Dockerfile\n", f"image: docker://{image}\n"))
    return action


@dataclass(frozen=True)
class Message:
    """A line of a workflow's log, or a command that the runner understood.

    Attributes:
        step: The step that it belongs to.
        text: What the log shows.
        command: The workflow command, such as `error`; "" for a line.
        data: The command's message.
        properties: The command's properties.
    """

    step: str
    text: str
    command: str = ""
    data: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


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

    def commands(self, step: str, *names: str) -> list[Message]:
        """The workflow commands of these names that the runner understood in that step."""
        return [each for each in self.messages if each.step == step and each.command in names]


@dataclass(frozen=True)
class Act:
    """Runs workflows in a repository of a user's, with the action as another repository."""

    action: Path
    directory: Path

    def run(
        self,
        workflow: str,
        *,
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        files: Mapping[str, str],
        masks: bool = True,
    ) -> Run:
        """Run `workflows/<workflow>.yml`; `files` are the repository's other files.

        Without `masks` the runner shows secrets that reach its log, so that one which does can be seen.
        """
        workspace = self.directory / workflow
        workspace.mkdir()
        source = (WORKFLOWS / f"{workflow}.yml").read_text()
        for name, text in {f".github/workflows/{workflow}.yml": source, **files}.items():
            file = workspace / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return self.run_in(workspace, workflow, variables, secrets, () if masks else ("--insecure-secrets",))

    def run_in(
        self,
        workspace: Path,
        workflow: str,
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        options: Sequence[str] = (),
    ) -> Run:
        """Run the workflow of that name that is in the workspace."""
        _commit(workspace)
        # In files, since secrets have no place among a process's arguments.
        settings = self.directory / f"{workflow} settings"
        settings.mkdir()
        for name, values in (("secrets", secrets), ("variables", variables)):
            (settings / name).write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in values.items()))
        command = [
            str(Path(sys.executable).with_name("act")),
            "push",
            "--bind",
            "--workflows",
            f".github/workflows/{workflow}.yml",
            "--rm",
            "--pull=false",
            "--json",
            *options,
        ]
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
            timeout=600,
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
        found.append(
            Message(
                str(data.get("step", "")),
                str(data.get("msg", "")).rstrip("\n"),
                str(data.get("command", "")),
                str(data.get("arg", data.get("content", ""))),
                data.get("kvPairs", {}),
            )
        )
    return found
