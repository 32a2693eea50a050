"""Tests of the Docker image: as a command line, and as GitHub's runner starts it for the action."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.container.engine import docker
from tests.container.registry import PASSWORD, USERNAME, Registry
from tests.support.signed_models import KeyFiles
from tests.support.sigstore_instance import Identity, SigstoreInstance

# The long timeout is for the first test, which builds the images.
pytestmark = [pytest.mark.container, pytest.mark.timeout(900)]

# User id of the runner, which owns the output file. The gate must run with this id, which no user of the image has.
RUNNER_USER = 41001
TOKEN = "dapi0123456789-token-of-a-profile"
LOGIN = {"MLFLOW_TRACKING_USERNAME": USERNAME, "MLFLOW_TRACKING_PASSWORD": PASSWORD}


class Step:
    """A step of the action, with the files, mounts and environment variables that GitHub's runner gives to it."""

    def __init__(self, directory: Path, image: str) -> None:
        self.image = image
        self.workspace = directory / "workspace"
        self.commands = directory / "file_commands"
        for path in (self.workspace, self.commands):
            path.mkdir()
            os.chown(path, RUNNER_USER, RUNNER_USER)
            path.chmod(0o755)
        for name in ("output", "summary"):
            (self.commands / name).touch()
            os.chown(self.commands / name, RUNNER_USER, RUNNER_USER)
        directory.chmod(0o755)

    def arguments(self, **environment: str) -> list[str]:
        """Return the `docker run` command of the step, without the image.

        Like the runner's command, it has only the names of the environment variables. Their values are in
        `self.environment`, which this method sets for the caller.
        """
        names = {
            "GITHUB_OUTPUT": "/github/file_commands/output",
            "GITHUB_STEP_SUMMARY": "/github/file_commands/summary",
            "GITHUB_WORKSPACE": "/github/workspace",
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "HOME": "/github/home",
            **environment,
        }
        self.environment = os.environ | names
        variables = [part for name in names for part in ("--env", name)]
        mounts = [
            "--volume",
            f"{self.workspace}:/github/workspace",
            "--volume",
            f"{self.commands}:/github/file_commands",
        ]
        return ["docker", "run", "--network", "host", "--workdir", "/github/workspace", *variables, *mounts]

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [*self.arguments(**environment), "--rm", self.image, "action"]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the step by name. If an output was written twice, the last value counts, as for the runner."""
        outputs: dict[str, str] = {}
        lines = iter((self.commands / "output").read_text().split("\n"))
        for line in lines:
            if line:
                name, _, delimiter = line.partition("<<")
                value = next(lines)
                assert next(lines) == delimiter
                outputs[name] = value
        return outputs

    @property
    def summary(self) -> str:
        return (self.commands / "summary").read_text()


@pytest.fixture
def step(tmp_path: Path, image: str) -> Step:
    return Step(tmp_path, image)


@dataclass(frozen=True)
class SilentServer:
    """A server that accepts connections and never responds."""

    port: int
    connections: list[socket.socket]

    def await_connection(self) -> None:
        """Wait until the gate has connected, which it does after it has read its inputs."""
        deadline = time.monotonic() + 60
        while not self.connections:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    """Run a server that accepts connections and never responds."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        server = SilentServer(int(listener.getsockname()[1]), [])

        def accept() -> None:
            try:
                while True:
                    server.connections.append(listener.accept()[0])
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        for connection in server.connections:
            connection.close()


def await_text(container: str, command: list[str]) -> str:
    """Repeat a command in the container until it prints something; return its output."""
    deadline = time.monotonic() + 60
    while True:
        completed = docker("exec", container, *command, check=False)
        if completed.returncode == 0 and completed.stdout.strip():
            return completed.stdout
        assert time.monotonic() < deadline, (completed, docker("logs", container, check=False))
        time.sleep(0.1)


def test_check_in_the_image_writes_a_report_that_belongs_to_the_directory_owner(
    image: str, server: Registry, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    os.chown(tmp_path, RUNNER_USER, RUNNER_USER)
    completed = subprocess.run(
        ["docker", "run", "--rm", "--network", "host", "--volume", f"{tmp_path}:/work", "--env", "MLFLOW_TRACKING_URI"]
        + [part for name in LOGIN for part in ("--env", name)]
        + [image, "check", "--model", "Wine", "--version-or-stage", "1"],
        env=os.environ | LOGIN | {"MLFLOW_TRACKING_URI": server.local},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    report = tmp_path / "model-gate-report.json"
    assert json.loads(report.read_text())["status"] == "equal"
    assert report.stat().st_uid == RUNNER_USER


def test_gate_without_a_mounted_directory_runs_as_nobody(image: str) -> None:
    completed = docker("run", "--rm", image, "check", "--model", "Wine", "--version-or-stage", "1", check=False)
    assert completed.returncode == 2
    assert "--host is missing" in completed.stderr
    assert docker("run", "--rm", "--entrypoint", "stat", image, "--format", "%U", "/work").stdout.strip() == "nobody"


def test_image_runs_under_a_user_id_without_an_account(image: str) -> None:
    completed = docker("run", "--rm", "--user", "1234:1234", image, "--version")
    assert completed.stdout.startswith("model-gate ")


def test_read_only_container_without_a_temporary_directory_is_an_error_with_a_remedy(
    image: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text(name)
    mount = ("--read-only", "--volume", f"{tmp_path}:/work:ro")
    # Docker mounts /dev/shm, where the report can be written.
    command = ("diff", "one", "two", "--report-file", "/dev/shm/report.json")  # noqa: S108  # in the container
    completed = docker("run", "--rm", *mount, image, *command, check=False)
    assert completed.returncode == 2
    assert "--tmpfs /tmp" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_files_that_a_step_writes_belong_to_the_owner_of_the_github_output_file(step: Step, server: Registry) -> None:
    completed = step.run(
        **LOGIN,
        **{
            "MLFLOW_TRACKING_URI": server.local,
            "INPUT_MODEL": "Wine",
            "INPUT_VERSION-OR-STAGE": "1",
            "INPUT_DOWNLOAD-DIR": "",
            "INPUT_REPORT-FILE": "reports/gate.json",
        },
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert step.outputs["status"] == "equal"
    assert step.outputs["report-file"] == "reports/gate.json"
    owners = {str(path.relative_to(step.workspace)): path.stat().st_uid for path in step.workspace.rglob("*")}
    assert owners == dict.fromkeys(("reports", "reports/gate.json", "reports/gate.md"), RUNNER_USER)
    assert PASSWORD not in step.summary
    assert PASSWORD not in (step.workspace / "reports/gate.json").read_text()
    assert PASSWORD not in "".join(line for line in completed.stdout.splitlines() if "::add-mask::" not in line)


def test_unknown_input_is_an_error_in_the_outputs_and_the_summary(step: Step) -> None:
    completed = step.run(INPUT_VERSION_OR_STAGE="1", INPUT_MODEL="Wine")
    assert completed.returncode == 2
    assert step.outputs["status"] == "error"
    assert "Did you mean 'version-or-stage'?" in completed.stdout
    assert "version-or-stage" in step.summary


def test_gate_ignores_environment_variables_of_earlier_steps(step: Step, server: Registry) -> None:
    # A program that loads this invalid library fails at once.
    (step.workspace / "lib").mkdir()
    (step.workspace / "lib/libssl.so.3").write_text("not a library")
    (step.workspace / "typing.py").write_text("raise SystemExit('leaked')")
    completed = step.run(
        **LOGIN,
        **{
            "LD_LIBRARY_PATH": "/github/workspace/lib",
            "PYTHONPATH": "/github/workspace",
            "PYTHONHOME": "/opt/hostedtoolcache/Python/3.9.0/x64",
            "PYTHONINSPECT": "1",
            "MLFLOW_REGISTRY_URI": "http://127.0.0.1:1",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:1",
            "DATABRICKS_HOST": "https://databricks.example.com",
            "TMPDIR": "/nowhere",
            "INPUT_HOST": server.local,
            "INPUT_MODEL": "Wine",
            "INPUT_VERSION-OR-STAGE": "1",
        },
    )
    # The gate fails, because it must not send the credentials of the server in MLFLOW_TRACKING_URI to the server in
    # the input `host`.
    assert completed.returncode == 2, completed.stdout + completed.stderr
    assert "leaked" not in completed.stdout + completed.stderr
    assert step.outputs["status"] == "error"
    assert json.loads((step.workspace / "model-gate-report.json").read_text())["error"]["type"] == "AccessError"


def test_stopped_step_reports_an_error_and_removes_its_private_files(step: Step) -> None:
    with silent_server() as server:
        profiles = f"[test]\nhost = https://databricks.example.com\ntoken = {TOKEN}\n"
        command = step.arguments(
            **{
                "INPUT_HOST": f"http://127.0.0.1:{server.port}",
                "INPUT_MODEL": "Wine",
                "INPUT_VERSION-OR-STAGE": "1",
                "INPUT_DATABRICKS-PROFILES": profiles,
            }
        )
        started = subprocess.run(
            [*command, "--detach", step.image, "action"],
            env=step.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        container = started.stdout.strip()
        try:
            server.await_connection()
            # The gate has read the profiles, from a file in memory that has no name.
            directories = ("/dev/shm", "/tmp", "/work", "/github")  # noqa: S108  # in the container
            files = docker("exec", container, "grep", "-rl", TOKEN, *directories, check=False).stdout
            assert files == ""
            # The gate first writes the outputs of an error, because the step may be killed before it can report one.
            assert step.outputs["status"] == "error"
            arguments = docker("inspect", container, "--format", "{{json .Path}} {{json .Args}}").stdout
            assert TOKEN not in arguments
            processes = docker("top", container, "-eo", "pid,args").stdout
            assert "model_gate.worker" in processes
            assert TOKEN not in processes
            docker("stop", "--time", "30", container)
            state = json.loads(docker("inspect", container, "--format", "{{json .State}}").stdout)
            assert state["ExitCode"] == 143
            changes = docker("diff", container).stdout
            assert "model-gate-" not in changes.replace("/model-gate-report.json", "")
            log = docker("logs", container)
        finally:
            docker("rm", "--force", container)
    assert "SIGTERM" in log.stdout
    masked = [line for line in log.stdout.splitlines() if TOKEN in line]
    assert masked == [f"::add-mask::{TOKEN}"]
    assert step.outputs["status"] == "error"
    assert TOKEN not in step.summary + (step.workspace / "model-gate-report.json").read_text()


def test_killing_the_gate_process_is_reported_as_an_error_and_leaves_no_files(step: Step) -> None:
    with silent_server() as server:
        command = step.arguments(
            **{"INPUT_HOST": f"http://127.0.0.1:{server.port}", "INPUT_MODEL": "Wine", "INPUT_VERSION-OR-STAGE": "1"}
        )
        container = subprocess.run(
            [*command, "--detach", step.image, "action"],
            env=step.environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        try:
            await_text(container, ["sh", "-c", "ls /tmp/model-gate-*/"])
            child = await_text(container, ["cat", "/proc/1/task/1/children"]).strip()
            docker("exec", container, "sh", "-c", f"kill -9 {child}")
            code = docker("wait", container).stdout.strip()
            changes = docker("diff", container).stdout
            log = docker("logs", container).stdout
        finally:
            docker("rm", "--force", container)
    assert code == "2"
    assert "::error title=Model Gate::The gate was ended by SIGKILL" in log
    assert step.outputs == dict.fromkeys(step.outputs, "") | {"status": "error", "passed": "false"}
    assert "model-gate-" not in changes


def test_image_has_no_build_tools_and_no_secrets(image: str) -> None:
    script = (
        "command -v pip pip3 gcc cc git curl apt-get dpkg perl mount su; "
        "ls -A /root; ls -Ad /build /tmp/* /var/lib/apt/lists/* 2>/dev/null; true"
    )
    completed = docker("run", "--rm", "--entrypoint", "sh", image, "-c", script)
    assert set(completed.stdout.split()) <= {".bashrc", ".profile"}
    history = docker("history", "--no-trunc", image).stdout.lower()
    inspected = docker("inspect", image).stdout.lower()
    for word in ("token", "password", "secret"):
        assert word not in history
        assert word not in inspected


def test_image_trusts_the_certificate_authorities_of_debian(image: str) -> None:
    script = "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])"
    completed = docker("run", "--rm", "--entrypoint", "/opt/model-gate/bin/python", image, "-I", "-c", script)
    assert int(completed.stdout) > 100


def test_image_has_all_libraries_of_its_programs(image: str) -> None:
    script = (
        "command -v ldd >/dev/null || echo 'ldd is missing';"
        " for file in $(find / -xdev -name '*.so*' -type f) /usr/bin/* /opt/model-gate/bin/python;"
        ' do ldd "$file" 2>/dev/null | grep "not found" && echo "$file"; done; echo done'
    )
    completed = docker("run", "--rm", "--entrypoint", "sh", image, "-c", script)
    assert completed.stdout.splitlines() == ["done"]


def test_image_records_its_debian_packages(image: str) -> None:
    completed = docker("run", "--rm", "--entrypoint", "cat", image, "/var/lib/dpkg/status")
    packages = {
        line.removeprefix("Package: ") for line in completed.stdout.splitlines() if line.startswith("Package: ")
    }
    assert {"libc6", "libssl3t64", "python3.13-minimal", "ca-certificates"} <= packages
    assert packages.isdisjoint({"apt", "perl-base", "mount"})


def test_image_has_title_and_license(image: str) -> None:
    labels = json.loads(docker("inspect", image, "--format", "{{json .Config.Labels}}").stdout)
    assert labels["org.opencontainers.image.title"] == "Model Gate"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def sealed_model(step: Step) -> Path:
    """Put a model and its seal into the workspace of a step; return the seal."""
    model = step.workspace / "model"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "model.pkl").write_bytes(b"model")
    completed = step.run(INPUT_COMMAND="seal", INPUT_URI="model", INPUT_OUTPUT="seal.json")
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return step.workspace / "seal.json"


def test_step_verifies_the_signature_of_a_seal_by_a_key(step: Step, tmp_path: Path) -> None:
    seal = sealed_model(step)
    signer, other = (KeyFiles.make(directory) for directory in (step.workspace, tmp_path))
    signer.sign_file(seal)
    (step.workspace / "other.pub").write_bytes(other.public.read_bytes())
    verify = {"INPUT_COMMAND": "verify", "INPUT_URI": "model", "INPUT_SEAL": "seal.json"}
    verify |= {"INPUT_BUNDLE": "seal.sigstore.json", "INPUT_PUBLIC-KEY": "key.pub"}
    completed = step.run(**verify)
    assert (completed.returncode, step.outputs["status"]) == (0, "equal"), completed.stdout + completed.stderr
    assert (step.outputs["seal-file"], bool(step.outputs["seal-digest"])) == ("", True)
    completed = step.run(**verify | {"INPUT_PUBLIC-KEY": "other.pub"})
    assert (completed.returncode, step.outputs["status"]) == (2, "error")
    assert json.loads((step.workspace / "model-gate-report.json").read_text())["error"]["type"] == "SignatureError"
    (step.workspace / "model/model.pkl").write_bytes(b"Model")
    completed = step.run(**verify)
    assert (completed.returncode, step.outputs["status"]) == (1, "different")
    assert "model.pkl" in completed.stdout


def test_image_verifies_the_signature_of_an_identity_without_a_network(step: Step) -> None:
    seal = sealed_model(step)
    instance, signer = SigstoreInstance(), Identity("ada@example.com", "https://issuer.example.com")
    for name, content in (
        ("seal.sigstore.json", instance.bundle(seal.read_bytes(), signer)),
        ("trusted_root.json", instance.trusted_root()),
    ):
        (step.workspace / name).write_text(json.dumps(content))
    run = ["run", "--rm", "--network", "none", "--volume", f"{step.workspace}:/work", step.image]
    verify = ["verify", "model", "--seal", "seal.json", "--bundle", "seal.sigstore.json"]
    verify += ["--issuer", signer.issuer, "--trust-config", "trusted_root.json"]
    completed = docker(*run, *verify, "--identity", signer.uri)
    assert "EQUAL" in completed.stdout
    completed = docker(*run, *verify, "--identity", "eve@example.com", check=False)
    assert completed.returncode == 2
    assert "seal.sigstore.json" in completed.stderr


@pytest.mark.parametrize(
    "module",
    [
        "boto3",
        "azure.storage.blob",
        "azure.storage.filedatalake",
        "azure.identity",
        "google.cloud.storage",
        "mlflow.store.artifact.azure_data_lake_artifact_repo",
        "mlflow.store.artifact.unity_catalog_models_artifact_repo",
    ],
)
def test_image_can_import_the_client_of_each_object_store(image: str, module: str) -> None:
    python = "/opt/model-gate/bin/python"
    docker("run", "--rm", "--entrypoint", python, image, "-I", "-W", "error::SyntaxWarning", "-c", f"import {module}")


def test_image_can_create_the_aws_clients_of_an_s3_login(image: str) -> None:
    script = (
        "import boto3; [boto3.client(name, region_name='us-east-1', aws_access_key_id='a', aws_secret_access_key='b')"
        " for name in ('s3', 'sts', 'sso', 'sso-oidc', 'signin')]"
    )
    docker("run", "--rm", "--entrypoint", "/opt/model-gate/bin/python", image, "-I", "-c", script)


def test_only_mlflow_and_model_gate_have_sources_in_the_image_and_all_are_compiled(image: str) -> None:
    script = (
        "import compileall, importlib.util, pathlib, sys; "
        "files = list(pathlib.Path('/opt/model-gate/lib').rglob('*.py')); "
        "packages = {f.parts[6] for f in files}; "
        "print(len(files) > 1000, sorted(packages), [str(f) for f in files if f.stat().st_size and not pathlib.Path("
        "importlib.util.cache_from_source(str(f))).exists()][:5])"
    )
    completed = docker("run", "--rm", "--entrypoint", "/opt/model-gate/bin/python", image, "-I", "-c", script)
    assert completed.stdout.strip() == "True ['mlflow', 'model_gate'] []"
