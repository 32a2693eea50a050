"""Emulated workspaces for the tests: their content, their processes, and gates that are run against them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_gate.access.hosts import find_host
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.paths import ROOT

MODEL_GATE = Path(sys.executable).parent / "model-gate"

# Empty and blank files, and one that says what a proxy says of itself, are what DBFS by REST corrupts.
WINE: dict[str, bytes] = {
    "MLmodel": b"flavors:\n  sklearn:\n    code: null\nrun_id: 1\n",
    "model.pkl": b"\x80\x05 not a real pickle " * 40,
    "conda.yaml": b"dependencies: [python]\n",
    "data/empty.bin": b"",
    "data/blank.txt": b"\n\n",
    "data/deep/down/ok.txt": b"200 OK",
    "data/__pycache__/a.pyc": b"counts too",
    "data/tags": b"and so does this",
}


def changed(**files: bytes | None) -> dict[str, bytes]:
    """The model with other bytes in some files, or (None) without them; `__` stands for `/`, `_dot_` for `.`."""
    result = dict(WINE)
    for name, content in files.items():
        path = name.replace("_dot_", ".").replace("__", "/")
        if content is None:
            del result[path]
        else:
            result[path] = content
    return result


# The four ways in which a copy can relate to its original.
VARIANTS: dict[str, dict[str, bytes]] = {
    "equal": WINE,
    "byte": changed(model_dot_pkl=WINE["model.pkl"][:-1] + b"!"),
    "missing": changed(conda_dot_yaml=None),
    "blank": changed(data__blank_dot_txt=b"{}"),
}
EXPECTED = {"equal": ("equal", 0), "byte": ("different", 1), "missing": ("different", 1), "blank": ("different", 1)}
DIFFERING = {"equal": [], "byte": ["model.pkl"], "missing": ["conda.yaml"], "blank": ["data/blank.txt"]}


@dataclass
class Blueprint:
    """A workspace before it is built: files are put into its directory as they are described."""

    directory: Path
    token: str
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        self.data = {"tokens": [self.token], "experiments": {"77": "/Shared/wine"}, **self.data}

    def files(self, name: str, files: Mapping[str, bytes]) -> str:
        """A directory with these files; its name relative to the workspace's directory."""
        for path, content in files.items():
            target = self.directory / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return name

    def run(self, run_id: str, files: Mapping[str, bytes], files_api: str = "") -> str:
        """A run with this model at `model`; the model's location."""
        self.files(f"runs/{run_id}/model", files)
        self.data.setdefault("runs", {})[run_id] = {
            "experiment_id": "77",
            "directory": f"runs/{run_id}",
            "files_api": files_api,
            "tags": {"mlflow.source.git.commit": "c0ffee" * 6},
        }
        return f"dbfs:/databricks/mlflow-tracking/77/{run_id}/artifacts/model"

    def logged_model(self, model_id: str, files: Mapping[str, bytes], run_id: str = "", files_api: str = "") -> str:
        """A logged model; how a version names it."""
        directory = self.files(f"logged/{model_id}", files)
        self.data.setdefault("logged_models", {})[model_id] = {
            "experiment_id": "77",
            "name": "model",
            "directory": directory,
            "run_id": run_id,
            "files_api": files_api,
        }
        return f"models:/{model_id}"

    def version(
        self, kind: str, name: str, number: str, files: Mapping[str, bytes], aliases: Sequence[str] = (), **more: str
    ) -> None:
        """A version in `registry` or `catalog`, with the registry's own copy."""
        directory = self.files(f"{kind}/{name}/{number}", files)
        model = self.data.setdefault(kind, {}).setdefault(name, {"versions": {}, "aliases": {}})
        model["versions"][number] = {"directory": directory, **more}
        model["aliases"] |= dict.fromkeys(aliases, number)

    def settings(self, **settings: Any) -> None:
        """How the workspace behaves."""
        self.data.setdefault("settings", {}).update(settings)

    def fault(self, request: str, **fault: Any) -> None:
        """Something that goes wrong."""
        self.data.setdefault("faults", []).append({"request": request, **fault})


def nothing(_: object) -> None:
    """Hears of progress."""


class Emulated:
    """A running workspace. Use it as a context manager."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.token = blueprint.token
        self.directory = blueprint.directory
        self.requests_file = blueprint.directory.with_suffix(".requests")
        (blueprint.directory / "workspace.json").write_text(json.dumps(blueprint.data), "utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.databricks.emulator", blueprint.directory, "--requests", self.requests_file],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> Emulated:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was asked so far."""
        if not self.requests_file.exists():
            return []
        return [json.loads(line) for line in self.requests_file.read_text("utf-8").splitlines()]


@dataclass
class Result:
    """How a gate ended, and what the workspaces were asked meanwhile."""

    code: int
    report: dict[str, Any]
    output: str
    asked: dict[str, list[dict[str, Any]]]

    def paths(self, workspace: str, containing: str = "") -> list[str]:
        """The paths that were asked of a workspace."""
        return [each["path"] for each in self.asked[workspace] if containing in each["path"]]

    @property
    def error(self) -> str:
        """The error's sentence and remedy."""
        told = self.report["error"]
        return f"{told['type']}: {told['message']} {told['remedy']}"


class Bench:
    """Workspaces by the names of their profiles, a config file for them, and an environment full of traps.

    The workspace `trap` has the same names as the others, and everything in the environment points to it.
    """

    def __init__(self, directory: Path, workspaces: Mapping[str, Emulated], trap: Emulated) -> None:
        self.directory = directory
        self.workspaces = dict(workspaces)
        self.trap = trap
        self._gates = 0
        self.config_file = directory / "profiles.cfg"
        self.write_profiles({name: {"host": each.url, "token": each.token} for name, each in workspaces.items()})
        home = directory / "home"
        home.mkdir()
        hosts = {each.url.partition("://")[2].partition(":")[0] for each in (*workspaces.values(), trap)}
        netrc = "".join(f"machine {host} login netrc-user password netrc-password\n" for host in hosts)
        (home / ".netrc").write_text(netrc, "utf-8")
        (home / ".netrc").chmod(0o600)
        (home / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {trap.url}\ntoken = {trap.token}\n", "utf-8")

    def write_profiles(self, profiles: Mapping[str, Mapping[str, str]]) -> None:
        """Write the config file, with the trap's profile in it."""
        everything = {**profiles, "trap": {"host": self.trap.url, "token": self.trap.token}}
        sections = (
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in fields.items())
            for name, fields in everything.items()
        )
        self.config_file.write_text("\n".join(sections), "utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """Everything in it but the config file is wrong."""
        home = self.directory / "home"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "NETRC": str(home / ".netrc"),
            "DATABRICKS_CONFIG_FILE": str(self.config_file),
            "DATABRICKS_HOST": self.trap.url,
            "DATABRICKS_TOKEN": self.trap.token,
            "DATABRICKS_CONFIG_PROFILE": "trap",
            "DATABRICKS_CLIENT_ID": "trap-client",
            "DATABRICKS_CLIENT_SECRET": "trap-client-secret",
            "ARM_CLIENT_ID": "trap-arm",
            "ARM_CLIENT_SECRET": "trap-arm-secret",
            "MLFLOW_TRACKING_URI": "databricks://trap",
            "MLFLOW_REGISTRY_URI": "databricks://trap",
            "MLFLOW_TRACKING_TOKEN": self.trap.token,
        }

    def gate(self, *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 100) -> Result:
        """Run Model Gate, and see to it that no credential went astray."""
        self._gates += 1
        everyone = {**self.workspaces, "trap": self.trap}
        before = {name: len(each.requests) for name, each in everyone.items()}
        report_file = self.directory / f"report-{self._gates}.json"
        done = subprocess.run(
            [str(MODEL_GATE), *arguments, "--report-file", str(report_file)],
            env=self.environment if environment is None else dict(environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.directory,
            check=False,
        )
        asked = {name: each.requests[before[name] :] for name, each in everyone.items()}
        result = Result(done.returncode, json.loads(report_file.read_text("utf-8")), done.stdout + done.stderr, asked)
        self._require_no_leak(result)
        return result

    def side(
        self, host: str, model: str = "", environment: Mapping[str, str] | None = None, home: Path | None = None
    ) -> TrackingServerClient:
        """The process for one host, to be asked without a gate around it. Use it as a context manager."""
        everything = self.environment if environment is None else dict(environment)
        home = home or Path(tempfile.mkdtemp(dir=self.directory))
        return TrackingServerClient(find_host(host, everything).for_model(model), everything, home)

    def check(self, host: str, model: str, version: str, **options: Any) -> Result:
        """Run `model-gate check`."""
        return self.gate("check", "--host", host, "--model", model, "--version-or-stage", version, **options)

    def compare(self, first: Mapping[str, str], second: Mapping[str, str], *arguments: str, **options: Any) -> Result:
        """Run `model-gate compare`."""
        config = self.directory / f"compare-{self._gates}.yaml"
        config.write_text(json.dumps({"tracking_server_1": first, "tracking_server_2": second}), "utf-8")
        return self.gate("compare", "--config-file", str(config), *arguments, **options)

    def _require_no_leak(self, result: Result) -> None:
        for name, requests in result.asked.items():
            own = {f"Bearer {self.workspaces[name].token}", ""} if name in self.workspaces else set()
            used = {each["authorization"] for each in requests if not _is_login(each)}
            foreign = {each for each in used - own if not each.startswith("Bearer eyJ-access-")}
            assert not foreign, f"{name} was asked with {foreign}"
            stores = {each["authorization"] for each in requests if each["path"].startswith("/signed/")}
            assert stores <= {""}, f"a store behind {name} was asked with {stores}"
        told = json.dumps(result.report) + result.output
        for each in (*self.workspaces.values(), self.trap):
            assert each.token not in told
        assert not re.search(r"signature=(?!\*\*\*)", told)


def _is_login(request: Mapping[str, Any]) -> bool:
    return str(request["path"]).startswith(("/oidc/", "/github/"))


def read(side: TrackingServerClient, uri: str, directory: Path) -> dict[str, bytes]:
    """The files at a physical URI, listed and fetched as a gate does it."""
    directory.mkdir()
    result = {}
    for number, (path, size) in enumerate(side.list(uri, nothing).files.items()):
        destination = directory / str(number)
        side.fetch(uri, path, size, destination)
        result[path] = destination.read_bytes()
        assert len(result[path]) == size, path
    return result


def listings(requests: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was listed, each as often as it was: a directory, or a further page of one."""
    kinds = ("/fs/directories/", "/list-artifacts", "/artifacts/list", "/artifacts/directories", "/dbfs/list")
    return [
        f"{each['path']} {each['query'].get('path') or each['query'].get('artifact_directory_path')}"
        f" {each['query'].get('page_token', '')}{each['body']}"
        for each in requests
        if each["method"] == "GET" and any(kind in each["path"] for kind in kinds)
    ]


def paths_of(differences: Iterable[Mapping[str, Any]]) -> list[str]:
    """The paths in a report's differences."""
    return [str(each["path"]) for each in differences]
