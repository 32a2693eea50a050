"""Describe and start emulated Databricks workspaces, and run gates against them."""

from __future__ import annotations

import configparser
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from model_gate.access.hosts import find_host
from model_gate.domain.location import Location
from model_gate.domain.windows import Windows
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.sources.window_reader import WindowReader
from model_gate.sources.windowed_file import ServerFile
from tests.databricks.emulator.oidc import ENTRA_TOKEN_START, access_token_start
from tests.support.commandline import run_forked
from tests.support.destinations import Destinations
from tests.support.paths import ROOT
from tests.support.recording_proxy import VIA, shared_proxy

# A host of a workspace, or a URI of a model in one. The group is the name of the profile, if there is one.
_HOST = re.compile(
    r"databricks(?:-uc)?://([\w.-]+)|models://([\w.-]+)@databricks|(?<![\w/])databricks(?:-uc)?(?![\w/:])"
)

# MLflow's DBFS client corrupts empty files, blank files and files that look like a proxy's status line.
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
    """Return a copy of the model WINE in which these files have other contents. A file with None is removed.

    In the name of a keyword argument, `__` stands for `/` and `_dot_` for `.`: `model_dot_pkl` is `model.pkl`.
    """
    result = dict(WINE)
    for name, content in files.items():
        path = name.replace("_dot_", ".").replace("__", "/")
        if content is None:
            del result[path]
        else:
            result[path] = content
    return result


# Copies of WINE. In the changed one, a byte and a blank file differ and a file is missing.
VARIANTS: dict[str, dict[str, bytes]] = {
    "equal": WINE,
    "changed": changed(model_dot_pkl=WINE["model.pkl"][:-1] + b"!", conda_dot_yaml=None, data__blank_dot_txt=b"{}"),
}
EXPECTED = {"equal": ("equal", 0), "changed": ("different", 1)}
DIFFERING = {"equal": [], "changed": ["conda.yaml", "data/blank.txt", "model.pkl"]}


@dataclass
class Blueprint:
    """Builds the content of a workspace before the workspace starts. The methods write the files to its directory."""

    directory: Path
    token: str
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        self.data = {"tokens": [self.token], "experiments": {"77": "/Shared/wine"}, **self.data}

    def files(self, name: str, files: Mapping[str, bytes]) -> str:
        """Write a directory with these files and return its name."""
        for path, content in files.items():
            target = self.directory / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return name

    def run(self, run_id: str, files: Mapping[str, bytes], files_api: str = "") -> str:
        """Add a run with a model at the artifact path `model`, and return the physical URI of the model."""
        self.files(f"runs/{run_id}/model", files)
        self.data.setdefault("runs", {})[run_id] = {
            "experiment_id": "77",
            "directory": f"runs/{run_id}",
            "files_api": files_api,
            "tags": {"mlflow.source.git.commit": "c0ffee" * 6},
        }
        return f"dbfs:/databricks/mlflow-tracking/77/{run_id}/artifacts/model"

    def logged_model(
        self, model_id: str, files: Mapping[str, bytes], run_id: str = "", files_api: str = "", **more: str
    ) -> str:
        """Add a logged model, by default named `model`, and return its `models:/` URI."""
        directory = self.files(f"logged/{model_id}", files)
        self.data.setdefault("logged_models", {})[model_id] = {
            "experiment_id": "77",
            "name": "model",
            "directory": directory,
            "run_id": run_id,
            "files_api": files_api,
            **more,
        }
        return f"models:/{model_id}"

    def version(
        self, kind: str, name: str, number: str, files: Mapping[str, bytes], aliases: Sequence[str] = (), **more: str
    ) -> None:
        """Add a version with its own copy of the files.

        `kind` is the registry: `registry` for that of the workspace, `catalog` for Unity Catalog.
        """
        directory = self.files(f"{kind}/{name}/{number}", files)
        model = self.data.setdefault(kind, {}).setdefault(name, {"versions": {}, "aliases": {}})
        model["versions"][number] = {"directory": directory, **more}
        model["aliases"] |= dict.fromkeys(aliases, number)

    def settings(self, **settings: Any) -> None:
        """Set fields of `content.Settings`."""
        self.data.setdefault("settings", {}).update(settings)

    def fault(self, request: str, **fault: Any) -> None:
        """Add a `content.Fault` for requests that match `request`."""
        self.data.setdefault("faults", []).append({"request": request, **fault})


def ignore_progress(_: object) -> None:
    """Ignore progress messages."""


class EmulatedWorkspace:
    """A workspace that runs in an emulator process. Use it as a context manager."""

    def __init__(self, blueprint: Blueprint) -> None:
        self.token = blueprint.token
        self._settings: dict[str, Any] = blueprint.data.get("settings", {})
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

    def __enter__(self) -> EmulatedWorkspace:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def secrets(self) -> set[str]:
        """The token of the workspace, the beginning of its access tokens, and the credentials that it gives out."""
        vended = (*self._settings.get("aws", ()), self._settings.get("gcp", ""))
        signatures = parse_qs(self._settings.get("azure", "")).get("sig", [])
        return {self.token, access_token_start(urlsplit(self.url).port or 443), *vended, *signatures} - {"none", ""}

    @property
    def requests(self) -> list[dict[str, Any]]:
        """All requests received so far, as the emulator logged them."""
        if not self.requests_file.exists():
            return []
        return [json.loads(line) for line in self.requests_file.read_text("utf-8").splitlines()]


@dataclass
class Result:
    """The result of a gate, and the requests that each workspace received from it."""

    code: int
    report: dict[str, Any]
    output: str
    requests: dict[str, list[dict[str, Any]]]

    def paths(self, workspace: str, containing: str = "") -> list[str]:
        """Return the path of each request that a workspace received, if the path contains the text `containing`."""
        return [request["path"] for request in self.requests[workspace] if containing in request["path"]]

    @property
    def error(self) -> str:
        """Type, message and remedy of the reported error."""
        error = self.report["error"]
        return f"{error['type']}: {error['message']} {error['remedy']}"


class Workspaces:
    """Workspaces by profile name, their Databricks config file, and an environment that names a wrong workspace.

    The environment's other variables and credential files name the workspace `trap`, whose models have the same names.
    All requests of gates and workers go through the recording proxy. After each gate and each test, every request must
    have gone to a workspace that the gate or a client names, or to a declared origin, with credentials of that origin.
    """

    def __init__(self, directory: Path, workspaces: Mapping[str, EmulatedWorkspace], trap: EmulatedWorkspace) -> None:
        self.directory = directory
        self._workspaces = dict(workspaces)
        self.trap = trap
        self._gates = 0
        self._stores = Destinations()
        self._clients: list[Destinations] = []
        self.config_file = directory / "profiles.cfg"
        self.write_profiles({name: {"host": each.url, "token": each.token} for name, each in workspaces.items()})
        home = directory / "home"
        home.mkdir()
        hosts = {each.url.partition("://")[2].partition(":")[0] for each in (*workspaces.values(), trap)}
        netrc = "".join(f"machine {host} login netrc-user password netrc-password\n" for host in hosts)
        (home / ".netrc").write_text(netrc, "utf-8")
        (home / ".netrc").chmod(0o600)
        (home / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {trap.url}\ntoken = {trap.token}\n", "utf-8")

    def __getitem__(self, name: str) -> EmulatedWorkspace:
        return self._workspaces[name]

    def write_profiles(self, profiles: Mapping[str, Mapping[str, str]]) -> None:
        """Write the config file with these profiles and the trap's."""
        all_profiles = {**profiles, "trap": {"host": self.trap.url, "token": self.trap.token}}
        sections = (
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in fields.items())
            for name, fields in all_profiles.items()
        )
        self.config_file.write_text("\n".join(sections), "utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """An environment whose config file is correct, while all its other variables lead to the workspace `trap`."""
        return self.direct_environment | shared_proxy().environment

    @property
    def direct_environment(self) -> dict[str, str]:
        """The same environment without the recording proxy, for tests about connections."""
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
            # The emulator is a store too. It has neither https nor a public address.
            "MODEL_GATE_STORE_ENDPOINTS": ",".join(each.url for each in (*self._workspaces.values(), self.trap)),
        }

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 100) -> Result:
        """Run Model Gate and return its result.

        Assert that each workspace received only its own credentials, that each request went to an origin that the test
        declares, and that no output contains a credential.
        """
        self._gates += 1
        variables = self.environment if environment is None else dict(environment)
        self.require_declared()
        all_workspaces = {**self._workspaces, "trap": self.trap}
        before = {name: len(each.requests) for name, each in all_workspaces.items()}
        report_file = self.directory / f"report-{self._gates}.json"
        options = ("--report-file", str(report_file))
        completed = run_forked("model-gate", [*arguments, *options], self.directory, variables, timeout)
        requests = {name: each.requests[before[name] :] for name, each in all_workspaces.items()}
        report = json.loads(report_file.read_text("utf-8"))
        result = Result(completed.returncode, report, completed.stdout + completed.stderr, requests)
        self._require_no_leak(result)
        self.require_declared(self._destinations(" ".join((*arguments, *_compare_files(arguments))), variables))
        if shared_proxy().serves(variables):
            direct = [(name, each["path"]) for name, sent in requests.items() for each in sent if each["via"] != VIA]
            assert not direct, f"requests bypassed the proxy: {direct}"
        return result

    @contextmanager
    def client(
        self, host: str, model: str = "", environment: Mapping[str, str] | None = None, home: Path | None = None
    ) -> Iterator[TrackingServerClient]:
        """Run a worker for `host`, without a gate."""
        variables = self.environment if environment is None else dict(environment)
        home = home or Path(tempfile.mkdtemp(dir=self.directory))
        destinations = self._destinations(host, variables)
        self._clients.append(destinations)
        try:
            with TrackingServerClient(find_host(host, variables).for_model(model), variables, home) as client:
                yield client
            self.require_declared()
        finally:
            self._clients.remove(destinations)

    def declare(self, url: str, *secrets: str) -> None:
        """Declare a store or a login server, and the credentials that belong there."""
        self._stores.add(url, *secrets)

    def require_declared(self, *more: Destinations) -> None:
        """Assert that all requests since the last call went to the origins of running clients, of stores, or `more`."""
        allowed = Destinations()
        for each in (self._stores, *self._clients, *more):
            allowed.add_all(each)
        allowed.require(shared_proxy().take())

    def _destinations(self, text: str, environment: Mapping[str, str]) -> Destinations:
        """Return the workspaces that a text names, their logins, and the job's issuer of ID tokens."""
        result = Destinations()
        profiles = configparser.ConfigParser(interpolation=None)
        profiles.read(environment.get("DATABRICKS_CONFIG_FILE", ""), "utf-8")
        for profile in profiles.values():
            result.secrets |= {value for key, value in profile.items() if key.endswith(("token", "secret"))}
        result.secrets |= {value for name, value in environment.items() if name.endswith(("TOKEN", "SECRET"))}
        result.secrets |= {"netrc-password", ENTRA_TOKEN_START}
        for workspace in (*self._workspaces.values(), self.trap):
            result.secrets |= workspace.secrets
        names = {match[1] or match[2] or "" for match in _HOST.finditer(text)}
        for name in names & set(profiles):
            _add_profile(result, profiles[name], environment)
        if "" in names:
            result.add(environment["DATABRICKS_HOST"], environment["DATABRICKS_TOKEN"])
        return result

    def check(self, host: str, model: str, version: str, **options: Any) -> Result:
        """Run `model-gate check`."""
        return self.run("check", "--host", host, "--model", model, "--version-or-stage", version, **options)

    def compare(self, first: Mapping[str, str], second: Mapping[str, str], *arguments: str, **options: Any) -> Result:
        """Run `model-gate compare`."""
        config = self.directory / f"compare-{self._gates}.yaml"
        config.write_text(json.dumps({"tracking_server_1": first, "tracking_server_2": second}), "utf-8")
        return self.run("compare", "--config-file", str(config), *arguments, **options)

    def _require_no_leak(self, result: Result) -> None:
        for name, requests in result.requests.items():
            own_tokens = {f"Bearer {self._workspaces[name].token}", ""} if name in self._workspaces else set()
            sent = {request["authorization"] for request in requests if not _is_login(request)}
            foreign = {token for token in sent - own_tokens if not token.startswith("Bearer eyJ-access-")}
            assert not foreign, f"{name} received {foreign}"
            sent_to_store = {each["authorization"] for each in requests if each["path"].startswith("/signed/")}
            assert sent_to_store <= {""}, f"the store of {name} received {sent_to_store}"
        text = json.dumps(result.report) + result.output
        for each in (*self._workspaces.values(), self.trap):
            assert each.token not in text
        assert not re.search(r"signature=(?!\*\*\*)", text)


def _add_profile(result: Destinations, profile: Mapping[str, str], environment: Mapping[str, str]) -> None:
    """Add the workspace of a profile, with the logins that it may receive, and the issuer of the job's ID tokens."""
    url = profile.get("host", "")
    # A client secret of Entra goes to Entra only.
    token = ENTRA_TOKEN_START if "azure_client_secret" in profile else access_token_start(urlsplit(url).port or 443)
    result.add(url, profile.get("token", ""), profile.get("client_secret", ""), token)
    if profile.get("auth_type") == "env-oidc":
        result.add(url, environment.get("DATABRICKS_OIDC_TOKEN", ""))
    elif profile.get("auth_type") == "github-oidc":
        result.add(environment["ACTIONS_ID_TOKEN_REQUEST_URL"], environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])


def _compare_files(arguments: Sequence[str]) -> list[str]:
    """Return the texts of the compare files that arguments name."""
    options = itertools.pairwise(arguments)
    return [Path(value).read_text("utf-8") for option, value in options if option == "--config-file"]


def _is_login(request: Mapping[str, Any]) -> bool:
    return str(request["path"]).startswith(("/oidc/", "/github/"))


def read_files(client: TrackingServerClient, uri: str, directory: Path) -> dict[str, bytes]:
    """List and download the files at a physical URI as a gate does, and return their contents by path."""
    directory.mkdir()
    result = {}
    for number, (path, size) in enumerate(client.list(uri, ignore_progress).files.items()):
        destination = directory / str(number)
        destination.touch()
        client.fetch(uri, path, size, destination)
        result[path] = destination.read_bytes()
        assert len(result[path]) == size, path
    return result


def read_in_windows(client: TrackingServerClient, uri: str, window_bytes: int) -> dict[str, bytes]:
    """List the files at a physical URI and read them window by window, and return their contents by path."""
    listing = client.list(uri, ignore_progress)
    assert listing.has_parts
    result = {}
    windows = Windows(window_bytes=window_bytes, scratch_bytes=4 * window_bytes, first_bytes=2 * window_bytes)
    with Storage(None) as storage:
        for path, size in listing.files.items():
            file = ServerFile(client, Location(uri), path, size, storage, ignore_progress)
            with WindowReader([file], windows) as reader:
                result[path] = b"".join(Path(window.files[file]).read_bytes() for window in reader)
            file.close()
    return result


def listings(requests: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a text for each request of a listing, with the directory and the page token that it asks for."""
    kinds = ("/fs/directories/", "/list-artifacts", "/artifacts/list", "/artifacts/directories", "/dbfs/list")
    return [
        f"{request['path']} {request['query'].get('path') or request['query'].get('artifact_directory_path')}"
        f" {request['query'].get('page_token', '')}{request['body']}"
        for request in requests
        if request["method"] == "GET" and any(kind in request["path"] for kind in kinds)
    ]


def paths_of(differences: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths of a report's differences."""
    return [str(difference["path"]) for difference in differences]
