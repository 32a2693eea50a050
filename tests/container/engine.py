"""Runs Docker commands, and runs GitHub workflows on this machine with the program `act`."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

WORKFLOWS = Path(__file__).parent / "workflows"
IMAGE = "model-gate:test"
RUNNER = "model-gate-runner:test"
# The `uses:` value with which a workflow of another repository names the action.
REPOSITORY = "model-gate/model-gate@v1"


def docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `docker` with `arguments` and return the completed process.

    Raises:
        AssertionError: The exit code is not 0, and `check` is true.
    """
    completed = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if check and completed.returncode != 0:
        raise AssertionError(f"docker {arguments[0]} failed:\n{completed.stdout[-4000:]}\n{completed.stderr[-4000:]}")
    return completed


def build(image: str, directory: Path, dockerfile: str = "Dockerfile") -> str:
    """Build `image` from a Dockerfile in `directory`, and return the name of the image."""
    docker("build", "--quiet", "--tag", image, "--file", str(directory / dockerfile), str(directory))
    return image


def saved_files(image: str) -> Iterator[bytes]:
    """Yield the content of each file that `docker save` writes for an image: its layers, manifest and configuration."""
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
    """Copy the project to `destination`, without the files that git ignores. Return `destination`."""
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
    """Edit `action.yml` in the directory `action`, so that the action uses `image` and not the Dockerfile.

    A release of the project makes the same edit. Return `action`.
    """
    manifest = action / "action.yml"
    text = manifest.read_text()
    assert text.count("image: Dockerfile\n") == 1
    manifest.write_text(text.replace("image: Dockerfile\n", f"image: docker://{image}\n"))
    return action


@dataclass(frozen=True)
class Message:
    """A line in the log of a workflow. The line may be a workflow command, such as `::error::text`.

    Attributes:
        step: Name of the step that printed the line.
        text: The line as `act` shows it in the log.
        command: Name of the workflow command, such as `error`. "" if `act` recognized no command in the line.
        data: Message of the workflow command.
        properties: Properties of the workflow command, such as `title` and `file`.
    """

    step: str
    text: str
    command: str = ""
    data: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A completed run of a workflow.

    Attributes:
        code: Exit code of `act`.
        messages: The lines of the log.
        workspace: The directory in which the workflow ran.
        output: Standard output and standard error of `act`.
    """

    code: int
    messages: Sequence[Message]
    workspace: Path
    output: str

    @property
    def log(self) -> str:
        """The log of all steps as one text."""
        return "\n".join(message.text for message in self.messages)

    def log_of(self, step: str) -> str:
        """Return the log of the step with the name `step` as one text."""
        return "\n".join(message.text for message in self.messages if message.step == step)

    def commands(self, step: str, *names: str) -> list[Message]:
        """Return the messages of a step that are workflow commands with one of `names`."""
        return [message for message in self.messages if message.step == step and message.command in names]

    def outputs_of(self, step: str) -> dict[str, str]:
        """Return the outputs of the step with the name `step`. Of values with several lines, it has the first line."""
        texts = (message.text.partition("::set-output:: ")[2] for message in self.commands(step, "set-output"))
        return {name: value for name, _, value in (text.partition("=") for text in texts)}


@dataclass(frozen=True)
class Act:
    """Runs workflows with `act`, each in the repository of a user of the action.

    Attributes:
        action: Directory with the repository of the action.
        directory: Directory in which each workflow gets its workspace.
    """

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
        """Run `workflows/<workflow>.yml` in a new workspace, and wait for its end.

        Args:
            workflow: Name of the workflow file without its suffix.
            variables: Variables of the user's repository.
            secrets: Secrets of the user's repository.
            files: Other files of the user's repository: the content for each path.
            masks: Whether `act` replaces secrets in the log by `***`. If false, a test can find a secret in the log.
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
        """Run a workflow whose file is already in `workspace`, and wait for its end."""
        _commit(workspace)
        return self.run_checkout(workspace, workflow, variables, secrets, options)

    def run_checkout(
        self,
        workspace: Path,
        workflow: str,
        variables: Mapping[str, str],
        secrets: Mapping[str, str],
        options: Sequence[str] = (),
        event: str = "push",
        payload: Mapping[str, Any] | None = None,
    ) -> Run:
        """Run a workflow in a workspace that is a git checkout, and wait for its end.

        Args:
            workspace: The checkout. Its commits stay as they are, since `act` replaces actions/checkout.
            workflow: Name of the workflow file without its suffix.
            variables: Variables of the user's repository.
            secrets: Secrets of the user's repository.
            options: Other options of `act`.
            event: Name of the event.
            payload: The event's payload; None for one that `act` makes.
        """
        # Secrets are passed in a file, because other processes can read the command line.
        settings = self.directory / f"{workspace.name} settings"
        settings.mkdir(exist_ok=True)
        for name, values in (("secrets", secrets), ("variables", variables)):
            (settings / name).write_text("".join(f"{key}={json.dumps(value)}\n" for key, value in values.items()))
        command = [
            str(Path(sys.executable).with_name("act")),
            event,
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
        if payload is not None:
            (settings / "event.json").write_text(json.dumps(payload))
            command += ["--eventpath", str(settings / "event.json")]
        for uses in _artifact_actions(self.action):
            stub = Path(__file__).parent / uses.partition("@")[0].removeprefix("actions/")
            command += ["--local-repository", f"{uses}={stub}"]
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        completed = subprocess.run(
            command,
            cwd=workspace,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
            env=os.environ | {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)},
        )
        output = completed.stdout + completed.stderr
        return Run(completed.returncode, list(_messages(completed.stdout)), workspace, output)


def _artifact_actions(action: Path) -> set[str]:
    """Return the `uses:` values of the actions for artifacts in the reusable workflows.

    The tests replace these actions by local ones.
    """
    texts = [(action / f".github/workflows/{name}.yml").read_text() for name in ("gate", "gates")]
    return {uses for text in texts for uses in re.findall(r"uses: (actions/(?:up|down)load-artifact@\S+)", text)}


def _commit(workspace: Path) -> None:
    for arguments in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "--message", "A change"],
    ):
        subprocess.run(["git", *arguments], cwd=workspace, check=True)


def _messages(output: str) -> list[Message]:
    messages = []
    for line in output.splitlines():
        try:
            data = json.loads(line)
        except json.JSONDecodeError:
            continue
        messages.append(
            Message(
                str(data.get("step", "")),
                str(data.get("msg", "")).rstrip("\n"),
                str(data.get("command", "")),
                str(data.get("arg", data.get("content", ""))),
                data.get("kvPairs", {}),
            )
        )
    return messages
