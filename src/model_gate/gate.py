"""A gate from request to outcome: resolve, list, fetch, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from model_gate.access.environments import base_environment
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.models import ModelPairing, SelectedModel, compare_models
from model_gate.comparison.progress import Progress
from model_gate.domain.host import Host
from model_gate.domain.location import Location, is_local_uri
from model_gate.domain.request import CheckRequest, CompareRequest, DiffRequest, GateOptions, Request, VersionRequest
from model_gate.domain.result import Outcome
from model_gate.domain.verdict import Require
from model_gate.domain.version import ModelVersion
from model_gate.errors import ModelError, ModelGateError
from model_gate.sources.directory import local_path
from model_gate.sources.model_source import AccessContext, DirectorySource, ModelSource, ServerSource
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient, start_clients
from model_gate.sources.worker_process import WorkerProcess

# Schemes whose URIs mean something only on the server that gave them.
_SERVED_SCHEMES = frozenset({"mlflow-artifacts", "http", "https", "dbfs", "models"})

_UNNAMED = AccessContext()
_DANGLING = (
    "The version's source dangles, or this login may not read it: register the version again from a run that exists, or"
    " have the permission given."
)


def run(
    request: Request, environment: Mapping[str, str], progress: Progress, process: WorkerProcess | None = None
) -> Outcome:
    """Do what is asked. Errors that a user can meet become part of the outcome.

    `process` is one that was started before the request was known; it serves the request's tracking servers.
    """
    versions: dict[str, ModelVersion] = {}
    try:
        with Storage(request.options.download_dir) as storage, _Servers(environment, storage, process) as servers:
            wanted = _wanted(request, servers, storage, versions)
            comparisons = compare_models(wanted, progress, request.options.ignore, _enough(request.options))
    except ModelGateError as error:
        return Outcome(request, versions, {}, error)
    return Outcome(request, versions, comparisons)


def _enough(options: GateOptions) -> Callable[[FileComparison], bool]:
    """Which judgement settles that the requirement is not met, if that is all that is asked."""

    def is_enough(judgement: FileComparison) -> bool:
        difference = judgement.difference
        if not options.fail_fast or difference is None or not judgement.pair.decides:
            return False
        return options.require is Require.IDENTICAL or not difference.rewrite_reason

    return is_enough


def _wanted(
    request: Request, servers: _Servers, storage: Storage, versions: dict[str, ModelVersion]
) -> dict[str, ModelPairing]:
    """Enters the resolved versions into `versions` as they come, since an error may follow."""
    if isinstance(request, CheckRequest):
        return _check(request, servers, storage, versions)
    if isinstance(request, CompareRequest):
        return _compare_versions(request, servers, storage, versions)
    return _diff(request, servers, storage)


class _Servers:
    """The processes of the tracking servers that a gate needs: one each, however often a server is named."""

    def __init__(self, environment: Mapping[str, str], storage: Storage, process: WorkerProcess | None) -> None:
        self._environment = environment
        self._storage = storage
        self._process = process
        self._stack = ExitStack()

    def __enter__(self) -> _Servers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.close()
        self._stack.close()

    def start(self, *hosts: Host) -> list[TrackingServerClient]:
        """The servers with these hosts, in that order. To be called once."""
        distinct = list(dict.fromkeys(hosts))
        if not distinct:
            return []
        if self._process is None:
            self._process = WorkerProcess(base_environment(self._environment))
        servers = start_clients(distinct, self._environment, self._storage.home, self._process)
        for server in servers:
            self._stack.enter_context(server)
        return [servers[distinct.index(host)] for host in hosts]


def _check(
    request: CheckRequest, servers: _Servers, storage: Storage, versions: dict[str, ModelVersion]
) -> dict[str, ModelPairing]:
    asked = request.version
    (server,) = servers.start(asked.host)
    version = server.resolve(asked.model, asked.version_or_stage)
    versions["model_version"] = version
    found = _Found(server, version, asked.native_model)
    run_model, reg_model = (_version_side(role, role, found, storage) for role in ("run_model", "reg_model"))
    return {"comparison": (run_model, reg_model)}


def _compare_versions(
    request: CompareRequest, servers: _Servers, storage: Storage, versions: dict[str, ModelVersion]
) -> dict[str, ModelPairing]:
    asked = {"tracking_server_1": request.tracking_server_1, "tracking_server_2": request.tracking_server_2}
    started = dict(zip(asked, servers.start(*(each.host for each in asked.values())), strict=True))
    versions |= _resolve_all(asked, started)
    found = {name: _Found(started[name], versions[name], each.native_model) for name, each in asked.items()}
    wanted: dict[str, ModelPairing] = {}
    for role, is_wanted in (("run_model", request.compare_run_models), ("reg_model", request.compare_reg_models)):
        if is_wanted:
            without = f"Or leave it out: --no-compare-{role.replace('_', '-')}s."
            left, right = (
                _version_side(role, f"{role}/server_{number}", found[name], storage, without)
                for number, name in enumerate(asked, start=1)
            )
            wanted[f"{role}_comparison"] = (left, right)
    return wanted


def _resolve_all(
    asked: Mapping[str, VersionRequest], servers: Mapping[str, TrackingServerClient]
) -> dict[str, ModelVersion]:
    """Both versions, asked for at the same time; an error says which server it is about."""
    pool = ThreadPoolExecutor(len(asked))
    try:
        futures = {
            name: pool.submit(servers[name].resolve, each.model, each.version_or_stage) for name, each in asked.items()
        }
        return {name: future.result() for name, future in futures.items()}
    finally:
        # Not waited for: the other server may be dead, and its process is ended with the gate.
        pool.shutdown(wait=False, cancel_futures=True)


def _diff(request: DiffRequest, servers: _Servers, storage: Storage) -> dict[str, ModelPairing]:
    asked = {"left": (request.left, request.left_host), "right": (request.right, request.right_host)}
    hosts = [host for uri, host in asked.values() if host is not None and not is_local_uri(uri)]
    started = dict(zip(hosts, servers.start(*hosts), strict=True))
    left, right = (_diff_side(name, uri, host, started, storage) for name, (uri, host) in asked.items())
    return {"comparison": (left, right)}


def _diff_side(
    name: str, uri: str, host: Host | None, servers: Mapping[Host, TrackingServerClient], storage: Storage
) -> SelectedModel:
    if is_local_uri(uri):
        path = local_path(uri)
        location = Location(str(path), local_path=path)
        return SelectedModel(name, DirectorySource(path, location, name, storage), is_mlflow_model=False)
    if host is None:
        raise AssertionError("inputs names a host for every URI that is not local")
    server = servers[host]
    return SelectedModel(name, _artifacts(name, server.locate(uri), server, storage), is_mlflow_model=False)


@dataclass(frozen=True)
class _Found:
    """A version, on the server that has it."""

    server: TrackingServerClient
    version: ModelVersion
    native_model: str


def _version_side(role: str, name: str, found: _Found, storage: Storage, otherwise: str = "") -> SelectedModel:
    """The run model or the registry model of a version.

    Raises:
        ModelError: Its location could not be found out.
    """
    server, version = found.server, found.version
    is_run = role == "run_model"
    uri, source, reason, remedy = (
        (version.run_model_uri, version.source, version.run_model_reason, version.run_model_remedy)
        if is_run
        else (version.reg_model_uri, version.download_uri, version.reg_model_reason, version.reg_model_remedy)
    )
    what = "run model" if is_run else "registry model"
    model = f"The {what} of {version.name!r} version {version.version} on {server.host.address}"
    if not uri:
        raise ModelError(
            f"{model} should be at {source or 'an unknown place'}, but is not: {reason}",
            f"{remedy or _DANGLING} {otherwise}".rstrip(),
        )
    reach = AccessContext(model, version.lineage.reason if is_run else "", otherwise)
    return SelectedModel(name, _artifacts(name, uri, server, storage, reach), found.native_model)


def _artifacts(
    role: str, uri: str, server: TrackingServerClient, storage: Storage, reach: AccessContext = _UNNAMED
) -> ModelSource:
    if is_local_uri(uri):
        if not server.host.is_local:
            raise ModelError(
                f"The tracking server {server.host.address} says that the model is at {uri}, on its own machine.",
                "Let the server proxy its artifacts (mlflow server --serve-artifacts), or use a store that both reach.",
            )
        path = local_path(uri)
        return DirectorySource(path, Location(uri, local_path=path), role, storage)
    authority = server.host.authority(uri) if uri.partition(":")[0] in _SERVED_SCHEMES else ""
    return ServerSource(server, Location(uri, authority), role, storage, reach)
