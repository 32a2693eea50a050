"""Runs a gate from its request to its outcome: resolves versions, lists models, fetches and compares files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from model_gate.access.redaction import Redactor
from model_gate.comparison.fail_fast_pool import GRACE_SECONDS
from model_gate.comparison.file_comparison import FileComparison
from model_gate.comparison.model_pair import ModelKey, SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import Progress
from model_gate.comparison.transfer_slots import TransferSlots
from model_gate.domain.host import Host, HostKind
from model_gate.domain.location import LOCAL_REMEDY, Location, is_local_uri, other_machine, path_in_uri
from model_gate.domain.request import (
    CheckRequest,
    CompareRequest,
    DiffRequest,
    GateOptions,
    ModelRequest,
    Request,
    SealRequest,
    VerifyRequest,
    VersionRequest,
)
from model_gate.domain.result import Comparison, Outcome
from model_gate.domain.roles import ComparisonName, ModelRole, VersionRole
from model_gate.domain.seal import Seal, SealedVersion
from model_gate.domain.verdict import Require
from model_gate.domain.version import Hop, ModelVersion
from model_gate.domain.wording import printable
from model_gate.errors import AccessError, ModelError, ModelGateError, error_about, join_errors
from model_gate.sealing.facts import facts_of_uri, facts_of_version
from model_gate.sealing.seals import SealedPair, seal_model, verify_model
from model_gate.signals import Interrupted, uninterrupted
from model_gate.sources.directory import local_path
from model_gate.sources.model_source import AccessContext, DirectorySource, ModelSource, ServerSource
from model_gate.sources.server_pool import ServerPool
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient
from model_gate.sources.worker_process import WorkerProcess

# URIs with these schemes have a meaning only on the server that returned them.
_SERVER_SCHEMES = frozenset({"mlflow-artifacts", "http", "https", "dbfs", "models"})
_NO_CONTEXT = AccessContext()
# A gate can use a listing that began up to five seconds before the gate (`worker.early_listings`).
_EARLY_SECONDS = 6.0
# The name of the source of a model that `seal` or `verify` gets by its URI.
_MODEL = "model"

_DANGLING = (
    "The version's source dangles, or this login may not read it: register the version again from a run that exists, or"
    " give the login permission."
)
BeforeReading = Callable[[Iterable[Path]], None]
AnyPair = SelectedPair | SealedPair


@dataclass(frozen=True)
class Shared:
    """What gates share that run at the same time.

    Attributes:
        servers: The clients of their tracking servers.
        slots: Admits their transfers.
        storages: The storages of the gates that run.
        stopped: Set by `stop`.
    """

    servers: ServerPool
    slots: TransferSlots = field(default_factory=TransferSlots)
    storages: set[Storage] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self.stopped.is_set()

    @contextmanager
    def storage(self, download_dir: Path | None) -> Iterator[Storage]:
        """Yield the storage of a gate, which is removed at the end of the block or by `stop`."""
        with Storage(download_dir) as storage:
            self.storages.add(storage)
            try:
                yield storage
            finally:
                self.storages.discard(storage)

    def stop(self) -> None:
        """End all workers and remove all files of gates that still run, which then end with an error."""
        self.stopped.set()
        self.servers.close()
        for storage in list(self.storages):
            storage.remove()


def run(
    request: Request,
    environment: Mapping[str, str],
    progress: Progress,
    process: WorkerProcess | None = None,
    before_reading: BeforeReading = lambda _: None,
    shared: Shared | None = None,
) -> Outcome:
    """Run a gate and return its outcome. A ModelGateError is not raised, but becomes part of the outcome.

    Args:
        request: The gate to run.
        environment: The user's environment variables, from which each worker gets only those that it may see.
        progress: Receives the numbers of listed, fetched and compared files.
        process: A worker process that was started in advance, which the gate uses and closes; None to start one when
            it is needed.
        before_reading: Called with the local directories of the models and the file of the seal before any file of a
            model is read. A StorageError that it raises stops the gate.
        shared: What this gate shares with others that run at the same time; None for a gate on its own.
    """
    versions: dict[str, ModelVersion] = {}
    hops: dict[str, tuple[Hop, ...]] = {}
    clients: _Clients | None = None
    try:
        with ExitStack() as stack:
            with uninterrupted():
                download_dir = request.options.download_dir
                storage = stack.enter_context(shared.storage(download_dir) if shared else Storage(download_dir))
                if shared is None:
                    allow_local = request.options.allow_local_artifacts
                    own = ServerPool(environment, storage.home, process, allow_local_artifacts=allow_local)
                    shared = Shared(stack.enter_context(own))
                clients = _Clients(shared.servers)
            selection = _Selection(clients, storage, versions, hops)
            try:
                if isinstance(request, SealRequest):
                    made = _seal(request, selection, progress, before_reading)
                    clients.settle()
                    return Outcome(request, versions, hops=hops, seal=made, secrets=clients.secrets)
                pairs = selection.select(request)
                if request.options.fail_on_same_location:
                    _require_two_locations(request, pairs)
                directories = _local_directories(pairs.values())
                before_reading([*directories, *_seal_files(pairs.values())])
                storage.require_outside([*directories, *(path for host in request.hosts if (path := host.local_path))])
                storage.make_download_dir()
                comparisons = _compare(pairs, progress, request.options, shared.slots)
                clients.settle()
            except Interrupted as signal:
                # The name of a file can repeat a login that only this gate's workers know.
                signal.awaited = Redactor(clients.secrets).text(clients.awaited)
                raise
    except ModelGateError as error:
        return Outcome(request, versions, {}, error, secrets=frozenset() if clients is None else clients.secrets)
    seal = next((pair.sealed.seal for pair in pairs.values() if isinstance(pair, SealedPair)), None)
    return Outcome(request, versions, comparisons, hops=hops, seal=seal, secrets=clients.secrets)


def listed_bytes(request: CheckRequest | CompareRequest, shared: Shared) -> int:
    """Return how many bytes a gate reads if it compares all files of its models.

    Raises:
        ModelGateError: A version cannot be resolved, or a model cannot be listed.
    """
    with shared.storage(None) as storage:
        pairs = _Selection(_Clients(shared.servers), storage, {}, {}).select(request)
        sources = {
            model.key.location: model.source
            for pair in pairs.values()
            for model in ((pair.model,) if isinstance(pair, SealedPair) else (pair.left, pair.right))
            # Two models at one location are not compared.
            if isinstance(pair, SealedPair) or not pair.is_same_location
        }
        return sum(source.list(lambda _: None).size for source in sources.values())


def _compare(
    pairs: Mapping[str, AnyPair], progress: Progress, options: GateOptions, slots: TransferSlots
) -> dict[str, Comparison]:
    """Return the comparisons of models with models and of models with seals, in the order of `pairs`."""
    is_enough = _enough_for(options)
    selected = {name: pair for name, pair in pairs.items() if isinstance(pair, SelectedPair)}
    comparisons: dict[str, Comparison] = {}
    if selected:
        compared = compare_models(
            list(selected.values()),
            progress,
            options.ignore,
            is_enough,
            slots=slots,
            has_roots=options.writes_statement,
        )
        comparisons = dict(zip(selected, compared, strict=True))
    verified: dict[ModelKey, Comparison] = {}
    for name, pair in pairs.items():
        if isinstance(pair, SealedPair):
            # A run model and a registry model at one location are fetched once.
            if pair.model.key not in verified:
                verified[pair.model.key] = verify_model(
                    pair, progress, options.ignore, is_enough, slots, has_roots=options.writes_statement
                )
            comparisons[name] = verified[pair.model.key]
    return {name: comparisons[name] for name in pairs}


def _seal(request: SealRequest, selection: _Selection, progress: Progress, before_reading: BeforeReading) -> Seal:
    """Seal the model of a request.

    Raises:
        ModelGateError: The model cannot be read or sealed.
    """
    model = selection.select_model(request.model)
    before_reading([path for path in (model.source.location.local_path,) if path is not None])
    version, location = selection.version(VersionRole.MODEL_VERSION), model.source.location
    if version is None or request.model.version is None:
        name, facts = facts_of_uri(request.model, selection.hops, location)
    else:
        name, facts = facts_of_version(version, request.model.version.host.address, location)
    # Without a registered model in the facts, the subject's name is the name of the model.
    return seal_model(model, request.output, printable(name), facts, progress)


def _require_two_locations(request: Request, pairs: Mapping[str, AnyPair]) -> None:
    """Verify that the two models of each comparison are at different locations.

    If a model is also compared with a seal, there is something to compare, so one location is accepted.

    Raises:
        ModelError: The two models of a comparison are at the same location.
    """
    if any(isinstance(pair, SealedPair) for pair in pairs.values()):
        return
    same = {name: pair for name, pair in pairs.items() if isinstance(pair, SelectedPair) and pair.is_same_location}
    if not same:
        return
    uris = " and ".join(dict.fromkeys(printable(pair.left.source.location.uri) for pair in same.values()))
    if isinstance(request, CheckRequest):
        raise ModelError(
            f"This version of {request.version.model!r} has no copy of its own: its files are those that its run"
            f" logged, {uris}. So there are not two models to compare.",
            "Leave out --fail-on-same-location to accept this. To compare with a copy of the model on another server or"
            " in another version, use model-gate compare.",
        )
    models = " and ".join(request.model_names(name).title for name in same)
    raise ModelError(
        f"The two {models} are the same files, at {uris}. So there are not two models to compare.",
        "Name models that are stored apart, or leave out --fail-on-same-location to accept this.",
    )


def _local_directories(pairs: Iterable[AnyPair]) -> list[Path]:
    models = [
        model
        for pair in pairs
        for model in ((pair.model,) if isinstance(pair, SealedPair) else (pair.left, pair.right))
    ]
    return [path for model in models if (path := model.source.location.local_path) is not None]


def _seal_files(pairs: Iterable[AnyPair]) -> list[Path]:
    return [Path(pair.sealed.seal.file) for pair in pairs if isinstance(pair, SealedPair)]


def _enough_for(options: GateOptions) -> Callable[[FileComparison], bool] | None:
    """Return a function that returns whether the gate can stop after a file comparison.

    With the option `fail_fast`, the gate stops at the first difference that fails the requirement. Without the option,
    there is no such function.
    """
    if not options.fail_fast:
        return None

    def is_enough(comparison: FileComparison) -> bool:
        difference = comparison.difference
        if difference is None or not comparison.pair.decides:
            return False
        return options.require is Require.IDENTICAL or not difference.rewrite_reason

    return is_enough


class _Clients:
    """The clients of the tracking servers of a gate, one for each server."""

    def __init__(self, pool: ServerPool) -> None:
        self.allow_local_artifacts = pool.allow_local_artifacts
        self._pool = pool
        self._readers: list[Host] = []
        self._clients: list[TrackingServerClient] = []
        self._read: list[tuple[TrackingServerClient, str]] = []
        self._started_at = time.monotonic()

    def start(self, *hosts: Host) -> list[TrackingServerClient]:
        """Start the clients of these hosts and return them in the same order. Call this method only once.

        Raises:
            UnreachableError: A server has not answered any of several requests.
        """
        self._readers = list(dict.fromkeys(host.reader for host in hosts))
        if not hosts:
            return []
        with uninterrupted():
            self._clients = self._pool.clients(hosts)
        return self._clients

    def settle(self) -> None:
        """Require that the servers have sent no response to no request, since a response may then be of another file.

        Raises:
            TransferError: A server has sent such a response.
        """
        since = self._started_at - _EARLY_SECONDS
        for settled in [client.begin_settle(since) for client in self._clients]:
            settled.result()

    @property
    def awaited(self) -> str:
        """What the clients wait for, "" if they wait for nothing."""
        return " and ".join(dict.fromkeys(client.awaited for client in self._clients if client.awaited))

    def reads(self, client: TrackingServerClient, uri: str) -> None:
        """Record that the gate reads the model at `uri`."""
        self._read.append((client, uri))

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets that the workers have found for the models of this gate, besides those in variables."""
        return frozenset[str]().union(*(client.secrets_at(uri) for client, uri in self._read))

    def reader(self, host: Host) -> str:
        """Return a name such as `server 1` for the server and login of a host whose client was started.

        The name contains no credentials. Hosts with the same server and login have the same name.
        """
        return f"server {self._readers.index(host.reader) + 1}"


@dataclass(frozen=True)
class _ResolvedVersion:
    """A version of a registered model, the client of its server, and the native model to compare."""

    client: TrackingServerClient
    version: ModelVersion
    native_model: str


@dataclass(frozen=True)
class _ModelLocation:
    """Location of the run model or the registry model of a version, as the version's registry returns it.

    Attributes:
        uri: The physical URI, "" if it could not be resolved.
        source: The URI as the registry stores it.
        reason: Why `source` could not be resolved to a physical URI, "" if it could.
        remedy: What the user can do so that `source` can be resolved, "" if that is not known.
    """

    uri: str
    source: str
    reason: str
    remedy: str


class _Selection:
    """Finds the models that a request compares.

    Each version is added to `versions` as soon as it is resolved, so that the report has it even if a later step fails.
    For each URI of a diff, `hops` receives the versions, logged models and runs on the way from the URI to the files.
    """

    def __init__(
        self,
        clients: _Clients,
        storage: Storage,
        versions: dict[str, ModelVersion],
        hops: dict[str, tuple[Hop, ...]],
    ) -> None:
        self._clients = clients
        self._storage = storage
        self._versions = versions
        self._hops = hops

    def version(self, role: VersionRole) -> ModelVersion | None:
        """Return the resolved version with a role; None if there is none."""
        return self._versions.get(role)

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The names that were resolved to find the model of a `seal` or `verify` by its URI, in order."""
        return self._hops.get(_MODEL, ())

    def select(self, request: CheckRequest | CompareRequest | DiffRequest | VerifyRequest) -> Mapping[str, AnyPair]:
        """Return the pairs of models, or of a seal and a model, to compare, by the name of their comparison.

        Raises:
            ModelGateError: A version cannot be resolved, or the location of a model is unknown.
        """
        match request:
            case CheckRequest():
                return self._check(request)
            case CompareRequest():
                return self._compare(request)
            case DiffRequest():
                return {ComparisonName.COMPARISON: self._diff(request)}
            case VerifyRequest():
                model = self.select_model(request.model)
                selected_seal = SealedVersion(request.seal, model.native_model)
                return {ComparisonName.SEAL: SealedPair(selected_seal, model)}

    def select_model(self, request: ModelRequest) -> SelectedModel:
        """Return the one model of a request.

        Raises:
            ModelGateError: The version cannot be resolved, or the location of the model is unknown.
        """
        if request.version is not None:
            resolved = self._resolved(request.version, (ModelRole.REG_MODEL,))
            return self._version_model(ModelRole.REG_MODEL, ModelRole.REG_MODEL, resolved)
        is_local = is_local_uri(request.uri) or request.uri_host is None
        client = None if is_local else self._clients.start(*request.hosts)[0]
        return self._uri_model(_MODEL, request.uri, client)

    def _resolved(self, requested: VersionRequest, models: Collection[ModelRole]) -> _ResolvedVersion:
        """Resolve a version of which `models` will be listed."""
        (client,) = self._clients.start(requested.host)
        try:
            version = client.resolve(requested.model, requested.version_or_stage, models)
        except ModelGateError as error:
            raise error_about("", requested.host.address, error, requested.host.server) from error
        self._versions[VersionRole.MODEL_VERSION] = version
        return _ResolvedVersion(client, version, requested.native_model)

    def _check(self, request: CheckRequest) -> dict[str, AnyPair]:
        resolved = self._resolved(request.version, tuple(ModelRole))
        run_model = self._version_model(ModelRole.RUN_MODEL, ModelRole.RUN_MODEL, resolved)
        reg_model = self._version_model(ModelRole.REG_MODEL, ModelRole.REG_MODEL, resolved)
        if request.seal is None:
            return {ComparisonName.COMPARISON: SelectedPair(run_model, reg_model)}
        # A missing MLmodel file must be a difference. `verify_model` requires it in the seal.
        models = (replace(model, is_mlflow_model=False) for model in (run_model, reg_model))
        selected_seal = SealedVersion(request.seal, reg_model.native_model)
        return {
            ComparisonName.COMPARISON: SelectedPair(*models),
            ComparisonName.SEAL: SealedPair(selected_seal, reg_model),
        }

    def _compare(self, request: CompareRequest) -> Mapping[str, AnyPair]:
        if request.seal is not None:
            return self._compare_with_seal(request)
        clients = self._clients.start(*(version.host for version in request.versions.values()))
        left, right = _resolve(request, clients, self._versions)
        pairs: dict[str, SelectedPair] = {}
        if ModelRole.RUN_MODEL in request.models:
            pairs[ComparisonName.RUN_MODELS] = self._version_models(ModelRole.RUN_MODEL, left, right)
        if ModelRole.REG_MODEL in request.models:
            pairs[ComparisonName.REG_MODELS] = self._version_models(ModelRole.REG_MODEL, left, right)
        return pairs

    def _compare_with_seal(self, request: CompareRequest) -> dict[str, AnyPair]:
        (selected_seal,) = (side for side in request.sides.values() if isinstance(side, SealedVersion))
        clients = self._clients.start(*request.hosts)
        (resolved,) = _resolve(request, clients, self._versions)
        number = 1 if request.tracking_server_2 is selected_seal else 2
        names = {ComparisonName.RUN_MODELS: ModelRole.RUN_MODEL, ComparisonName.REG_MODELS: ModelRole.REG_MODEL}
        return {
            name: SealedPair(selected_seal, self._version_model(role, f"{role}/server_{number}", resolved), number == 2)
            for name, role in names.items()
            if role in request.models
        }

    def _diff(self, request: DiffRequest) -> SelectedPair:
        models = (("left", request.left, request.left_host), ("right", request.right, request.right_host))
        hosts = [host for _, uri, host in models if host is not None and not is_local_uri(uri)]
        clients = dict(zip(hosts, self._clients.start(*hosts), strict=True))
        left, right = (
            self._uri_model(name, uri, None if host is None else clients.get(host)) for name, uri, host in models
        )
        return SelectedPair(left, right)

    def _version_models(self, role: ModelRole, left: _ResolvedVersion, right: _ResolvedVersion) -> SelectedPair:
        alternative = f"Or leave it out: --no-compare-{role.replace('_', '-')}s."
        return SelectedPair(
            self._version_model(role, f"{role}/server_1", left, alternative),
            self._version_model(role, f"{role}/server_2", right, alternative),
        )

    def _version_model(
        self, role: ModelRole, name: str, resolved: _ResolvedVersion, alternative: str = ""
    ) -> SelectedModel:
        """Return the run model or the registry model of a version.

        Raises:
            ModelError: The location of the model is unknown.
        """
        client, version = resolved.client, resolved.version
        location = _location_of(version, role)
        model = f"The {role.noun} of {version.name!r} version {version.version} on {client.host.address}"
        if not location.uri:
            raise ModelError(
                f"{model} should be at {location.source or 'an unknown place'}, but is not: {location.reason}",
                f"{location.remedy or _DANGLING} {alternative}".rstrip(),
            )
        reason = version.lineage.reason if role is ModelRole.RUN_MODEL else ""
        source = self._server_source(name, location.uri, client, AccessContext(model, reason, alternative))
        return SelectedModel(source, resolved.native_model)

    def _uri_model(self, name: str, uri: str, client: TrackingServerClient | None) -> SelectedModel:
        """Return the files at a URI or in a directory that the user named, which need not be an MLflow model."""
        is_named = uri.partition(":")[0] not in {"models", "runs"}
        return SelectedModel(self._uri_source(name, uri, client), is_mlflow_model=False, is_named=is_named)

    def _uri_source(self, name: str, uri: str, client: TrackingServerClient | None) -> ModelSource:
        """Return the source of the files at a URI or in a directory that the user named."""
        if is_local_uri(uri):
            path = local_path(uri)
            return DirectorySource(path, Location(str(path), local_path=path), name, self._storage)
        if client is None:
            raise AssertionError("a URI that is not local has a host")
        try:
            location, self._hops[name] = client.locate(uri)
        except ModelGateError as error:
            raise error_about(name, client.host.address, error) from error
        return self._server_source(name, location, client, _NO_CONTEXT)

    def _server_source(
        self, name: str, uri: str, client: TrackingServerClient, access_context: AccessContext
    ) -> ModelSource:
        """Return the source of the files at a physical URI that a tracking server returned.

        Raises:
            ModelError: The URI is a path on another machine, or an HTTP server names a path on this machine that the
                user does not allow.
        """
        host, reader = client.host, self._clients.reader(client.host)
        if is_local_uri(uri):
            path = _path_on_server(uri, host, allow_local_artifacts=self._clients.allow_local_artifacts)
            return DirectorySource(path, Location(uri, reader, local_path=path), name, self._storage)
        self._clients.reads(client, uri)
        authority = host.authority(uri) if uri.partition(":")[0] in _SERVER_SCHEMES else ""
        return ServerSource(client, Location(uri, reader, authority), name, self._storage, access_context)


def _path_on_server(uri: str, host: Host, *, allow_local_artifacts: bool) -> Path:
    """Return the real path of a local URI that a tracking server returned.

    A relative path is relative to the directory that contains the server's database or file store.

    Raises:
        ModelError: The path is on another machine, or relative to an unknown directory, or an HTTP server names it and
            the user does not allow it.
    """
    machine = other_machine(uri)
    if machine or not host.is_local:
        raise ModelError(
            f"The tracking server {host.address} says that the model is at {printable(uri)}, on"
            f" {f'the machine {printable(machine)}' if machine else 'its own machine'}.",
            "Let the server proxy its artifacts (mlflow server --serve-artifacts), or use a store that is"
            " accessible from here.",
        )
    if host.kind is HostKind.HTTP and not allow_local_artifacts:
        # Otherwise anyone who can register a version on the server could choose which files of this machine are read.
        raise ModelError(
            f"The tracking server {host.address} says that the model is at {printable(uri)}, a path on this machine.",
            LOCAL_REMEDY,
        )
    path = Path(path_in_uri(uri))
    if "\0" in str(path):
        raise ModelError(
            f"The tracking server {host.address} says that the model is at {printable(uri)}, which is not a path.",
            "Register the version again from a run that exists.",
        )
    if not path.is_absolute():
        if host.directory is None:
            raise ModelError(
                f"The tracking server {host.address} says that the model is at {printable(uri)}, relative to its"
                " own working directory, which is unknown here.",
                "Give the server an absolute artifact root, or let it proxy its artifacts, and register the version"
                " again.",
            )
        path = host.directory / path
    return Path(os.path.realpath(path))


def _resolve(
    request: CompareRequest, clients: list[TrackingServerClient], versions: dict[str, ModelVersion]
) -> list[_ResolvedVersion]:
    """Resolve the versions of a compare in parallel, and return them in the order of the request.

    Each resolved version is added to `versions`, even if the other version cannot be resolved.

    Raises:
        ModelGateError: A version cannot be resolved. The message names each server that failed.
    """
    requests = request.versions
    pool = ThreadPoolExecutor(len(requests))
    try:
        futures = {
            role: pool.submit(client.resolve, version.model, version.version_or_stage, request.models)
            for (role, version), client in zip(requests.items(), clients, strict=True)
        }
        wait(futures.values(), return_when=FIRST_EXCEPTION)
        # After an error, the gate does not wait long for the other server, which may be dead.
        done, _ = wait(futures.values(), timeout=GRACE_SECONDS)
    finally:
        # The worker of a server that does not respond ends with the gate.
        pool.shutdown(wait=False, cancel_futures=True)
    errors: dict[str, ModelGateError] = {}
    for role, future in futures.items():
        if future not in done:
            continue
        try:
            versions[role] = future.result()
        except ModelGateError as error:
            host = requests[role].host
            errors[role] = error_about(role, host.address, error, host.server)
    if errors:
        raise _with_swapped_logins(join_errors(errors), requests, errors)
    return [
        _ResolvedVersion(client, versions[role], version.native_model)
        for (role, version), client in zip(requests.items(), clients, strict=True)
    ]


def _with_swapped_logins(
    joined: ModelGateError, requests: Mapping[VersionRole, VersionRequest], errors: Mapping[str, ModelGateError]
) -> ModelGateError:
    """Return an error of two servers, with the advice to swap their logins if both reject them."""
    servers = {request.host.address for request in requests.values()}
    if len(servers) < 2 or len(errors) < 2 or not all(isinstance(error, AccessError) for error in errors.values()):
        return joined
    if not all("does not accept the login in" in error.message for error in errors.values()):
        return joined
    advice = "Check whether the two logins are swapped. If not, correct both."
    return type(joined)(joined.message, advice, detail=joined.detail)


def _location_of(version: ModelVersion, role: ModelRole) -> _ModelLocation:
    match role:
        case ModelRole.RUN_MODEL:
            return _ModelLocation(
                version.run_model_uri, version.source, version.run_model_reason, version.run_model_remedy
            )
        case ModelRole.REG_MODEL:
            return _ModelLocation(
                version.reg_model_uri, version.download_uri, version.reg_model_reason, version.reg_model_remedy
            )
