"""Summaries of gates that end in different ways: real models that are really compared, as versions of two servers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random

import yaml

from model_gate import gate
from model_gate.access.hosts import parse_host
from model_gate.access.redaction import Redactor
from model_gate.action.inputs import Inputs
from model_gate.action.reporter import WorkflowReporter
from model_gate.action.step_files import StepFiles
from model_gate.comparison.model_pair import SelectedModel, SelectedPair
from model_gate.comparison.models import compare_models
from model_gate.comparison.progress import NoProgress
from model_gate.domain.ignore import Ignore
from model_gate.domain.location import Location
from model_gate.domain.request import (
    CheckRequest,
    CompareRequest,
    GateOptions,
    ModelRequest,
    VerifyRequest,
    VersionRequest,
)
from model_gate.domain.result import ComparedModel, Comparison, Outcome
from model_gate.domain.roles import ComparisonName, VersionRole
from model_gate.domain.seal import Seal, SealedVersion, SealFacts, make_seal
from model_gate.domain.verdict import Require
from model_gate.domain.version import Lineage, ModelVersion
from model_gate.domain.windows import Windows
from model_gate.formats.model_signing import Resource
from model_gate.reporting.reporter import CommandResult
from model_gate.sealing.seals import SealedPair, seal_model, verify_model
from model_gate.sources.model_source import AccessContext, DirectorySource, ServerSource
from model_gate.sources.storage import Storage
from model_gate.sources.tracking_server import TrackingServerClient
from tests.support.faulty_server import FaultyServer
from tests.support.logged_models import Logged, LoggedModels

_STAGING, _PRODUCTION = "https://mlflow.staging.example.com", "https://mlflow.example.com"
_WINDOW = 64 * 1024
_REPORT = Path("model-gate-report.json")
# Names without a place where a line may break, and names with a meaning in Markdown, HTML or Mermaid.
_UNBROKEN = "Quarterly" * 25
_HOSTILE = (
    "a|b|c",
    "`tick` ```fence",
    "<details><summary>x<img src=x onerror=alert(1)>",
    "![x](x.png) [y](javascript:alert(1))",
    "**bold** _it_ ~~no~~ @everyone #1",
    '"];click A "javascript:1"',
    "zażółć gęślą jaźń модель",
)


@dataclass(frozen=True)
class _Side:
    """A version of a gate: its name as a user gives it, its number, the address and the declared name of its server."""

    name: str
    number: str
    host: str
    server: str = ""
    model: str = "Wine"

    @property
    def request(self) -> VersionRequest:
        return VersionRequest(replace(parse_host(self.host), server=self.server), self.model, self.name)

    @property
    def version(self) -> ModelVersion:
        run_id = _id(self.number)
        uri = _uri(run_id)
        is_alias = self.name.startswith("@")
        return ModelVersion(
            name=self.model,
            version=self.number,
            stage="" if is_alias else self.name.capitalize(),
            aliases=(self.name[1:],) if is_alias else (),
            status="READY",
            source=f"models:/m-{run_id}",
            download_uri=uri,
            run_model_uri=uri,
            reg_model_uri=uri,
            created=1_760_000_000_000,
            lineage=Lineage(
                reachable=True,
                run_id=run_id,
                run_name="overjoyed-crane-481",
                experiment_id="1",
                experiment_name="wine-quality",
                user="ann",
                git_commit="c0ffee" * 6,
                source_name="train.py",
                lifecycle_stage="active",
            ),
        )


_FIRST = _Side("@candidate", "12", _STAGING, "staging")
_SECOND = _Side("@champion", "7", _PRODUCTION, "production")


def summaries(logged: LoggedModels, scratch: Path) -> dict[str, str]:
    """Run a gate for each way to end, and return the Markdown of their summaries by the gates' names.

    Args:
        logged: Models that MLflow logged; they are not changed.
        scratch: An empty directory for changed copies of them.
    """
    summaries = {name: _markdown(outcome, scratch / f"{name}.md") for name, outcome in _outcomes(logged, scratch)}
    # The page of a workflow run has the summaries of all jobs of a matrix, one after another.
    jobs = [
        _markdown(_of_model(outcome, model), scratch / f"{model}.md", Path(f"{model.lower()}-report.json"))
        for model, outcome in _jobs(logged.first, scratch)
    ]
    return summaries | {"many-jobs": "\n\n".join(jobs)}


def compare_of(left: Path, right: Path, options: GateOptions | None = None) -> Outcome:
    """Compare two directories, and return the outcome as that of a compare of two versions."""
    return _compare(_compared(left, right, (options or GateOptions()).ignore), options)


def check_of(left: Path, right: Path) -> Outcome:
    """Compare two directories, and return the outcome as that of a check of one version."""
    return _check(_compared(left, right))


def _outcomes(logged: LoggedModels, scratch: Path) -> Iterator[tuple[str, Outcome]]:
    first, again = logged.first["cloudpickle"], logged.second["cloudpickle"]
    retrained = logged.first["retrained_cloudpickle"]
    copies = _Copies(scratch)
    copy = copies.of(first, "copy")
    yield "equal-check", _check(_compared(first, copy))
    yield "equal-compare", _compare(_compared(first, copy))
    yield "different-weights", _compare(_compared(first, retrained))
    yield "only-packages-differ", _compare(_compared(first, copies.of(first, "packages", _change_packages)))
    equivalent = _compared(first, again)
    yield "equivalent-passed", _compare(equivalent, GateOptions(Require.EQUIVALENT))
    yield "equivalent-failed", _compare(equivalent)
    yield (
        "same-location",
        _compare(
            _compared(first, first), first=replace(_FIRST, server=""), second=replace(_SECOND, host=_STAGING, server="")
        ),
    )
    yield "no-such-version", _no_such_version(logged.first.host)
    yield "many-differences", _many_differences(first, copies)
    ignore = Ignore(("*.yaml", "requirements.txt"))
    yield "ignored-paths", _compare(_compared(first, copies["packages"], ignore), GateOptions(ignore=ignore))
    yield "native-model", _native_model(first, copies["packages"])
    yield "missing-file", _check(_compared(first, copies.of(first, "missing", _remove_a_file)))
    yield "stopped-early", _compare(_compared(first, retrained, is_stopped_early=True), GateOptions(fail_fast=True))
    yield "one-of-two-comparisons", _one_of_two(_compared(first, copy), _compared(first, retrained))
    yield "seal-verify-failed", _verify(first, retrained)
    yield "check-with-failed-seal", _check_with_seal(first, copies["missing"], copies.of(copies["missing"], "unsealed"))
    yield "windowed-large-file", _compare(_windowed(scratch))
    yield "unmet-condition", _compare(_with_unmet_condition(again, copies))


def _jobs(logged: Logged, scratch: Path) -> Iterator[tuple[str, Outcome]]:
    """Yield the gates of three models, and the names of the models."""
    first, copies = logged["cloudpickle"], _Copies(scratch / "jobs")
    yield "Wine", _compare(_compared(first, logged["retrained_cloudpickle"]))
    yield "Churn", _compare(_compared(first, copies.of(first, "copy")))
    yield "Fraud", _compare(_compared(first, copies.of(first, "packages", _change_packages)))


def _of_model(outcome: Outcome, model: str) -> Outcome:
    """Return the outcome of a compare with another name of the registered model."""
    request = outcome.request
    assert isinstance(request, CompareRequest)
    one, two = (replace(version, model=model) for version in request.versions.values())
    return replace(
        outcome,
        request=replace(request, tracking_server_1=one, tracking_server_2=two),
        versions={role: replace(version, name=model) for role, version in outcome.versions.items()},
    )


def _one_of_two(run_models: Comparison, reg_models: Comparison) -> Outcome:
    """Return the outcome of a compare whose run models are equal, and whose registry models are other files."""
    outcome = _compare(run_models)
    return replace(outcome, comparisons={ComparisonName.RUN_MODELS: run_models, ComparisonName.REG_MODELS: reg_models})


def _seal(model: Path, *, has_sizes: bool = True) -> Seal:
    """Return the seal of a model, which is version 12. Other programs than Model Gate may leave out the sizes."""
    facts = SealFacts(
        "1.0.0",
        "2026-01-31T18:00:00+00:00",
        "models:/m-1",
        tracking_server=_STAGING,
        registered_model="Wine",
        model_version="12",
    )
    file = Path(f"seals/wine-12{'' if has_sizes else '-without-sizes'}.json")
    with Storage(None) as storage:
        seal = seal_model(_selected(model, 1, storage), file, "Wine", facts, NoProgress())
    if has_sizes:
        return seal
    files = {path: Resource(resource.digest) for path, resource in seal.files.items()}
    return make_seal(seal.file, "Wine", files, facts)


def _with_seal(seal: Seal, model: Path) -> Comparison:
    """Compare a model with a seal."""
    with Storage(None) as storage:
        comparison = verify_model(SealedPair(SealedVersion(seal), _selected(model, 2, storage)), NoProgress())
    return replace(comparison, right=_at(_uri(_id(_SECOND.number)), comparison.right))


def _verify(sealed: Path, model: Path) -> Outcome:
    seal = _seal(sealed)
    return Outcome(
        VerifyRequest(ModelRequest(_SECOND.request), seal),
        {VersionRole.MODEL_VERSION: _SECOND.version},
        {ComparisonName.SEAL: _with_seal(seal, model)},
        seal=seal,
    )


def _check_with_seal(sealed: Path, run_model: Path, reg_model: Path) -> Outcome:
    """Check a version whose registry model is its run model, but not what was sealed."""
    seal = _seal(sealed, has_sizes=False)
    return Outcome(
        CheckRequest(_SECOND.request, seal),
        {VersionRole.MODEL_VERSION: _SECOND.version},
        {ComparisonName.COMPARISON: _compared(run_model, reg_model), ComparisonName.SEAL: _with_seal(seal, reg_model)},
        seal=seal,
    )


def _windowed(scratch: Path) -> Comparison:
    """Compare two models of a server whose large files are read window by window, and whose last bytes differ."""
    large = Random(1).randbytes(20 * _WINDOW + 123)
    windows = Windows(100 * 1024, 100 * 1024, _WINDOW, 16 * _WINDOW, 8 * _WINDOW, explained_bytes=1024)
    with (
        FaultyServer() as server,
        TrackingServerClient(parse_host(server.url), os.environ, scratch) as client,
        Storage(None) as storage,
    ):
        for name, content in (("first", large), ("second", large[:-2] + bytes(2))):
            server.add(name, {"MLmodel": b"flavors: {}\n", "model.bin": content})
        models = [
            SelectedModel(ServerSource(client, Location(f"mlflow-artifacts:/{name}/1"), name, storage, AccessContext()))
            for name in ("first", "second")
        ]
        (comparison,) = compare_models([SelectedPair(*models)], NoProgress(), windows=windows)
    return _at_versions(comparison)


def _with_unmet_condition(model: Path, copies: _Copies) -> Comparison:
    """Compare two models whose `MLmodel` names an artifact, which MLflow rewrites, and which one of them lacks."""

    def name_artifact(directory: Path, uri: str) -> None:
        fields = yaml.safe_load((directory / "MLmodel").read_text("utf-8"))
        fields["flavors"]["python_function"] |= {
            "loader_module": "mlflow.pyfunc.model",
            "artifacts": {"words": {"path": "artifacts/words.txt", "uri": uri}},
        }
        (directory / "MLmodel").write_text(yaml.safe_dump(fields, sort_keys=False), "utf-8")

    left = copies.of(model, "artifact-1", lambda directory: name_artifact(directory, "/data/a/words.txt"))
    right = copies.of(model, "artifact-2", lambda directory: name_artifact(directory, "/data/b/words.txt"))
    return _compared(left, right)


class _Copies:
    """Changed copies of models, by name."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def of(self, model: Path, name: str, change: Callable[[Path], None] = lambda _: None) -> Path:
        """Copy a model, change the copy, and return its directory."""
        directory = Path(shutil.copytree(model, self[name]))
        change(directory)
        return directory

    def __getitem__(self, name: str) -> Path:
        return self._scratch / name


def _change_packages(model: Path) -> None:
    for name in ("requirements.txt", "conda.yaml"):
        text = (model / name).read_text("utf-8")
        (model / name).write_text(re.sub("scikit-learn==.*", "scikit-learn==1.7.1", text), "utf-8")


def _remove_a_file(model: Path) -> None:
    (model / "requirements.txt").unlink()


def _many_differences(model: Path, copies: _Copies) -> Outcome:
    """Compare two versions of a model that have 200 different files, with long and hostile names."""

    def add_files(content: str) -> Callable[[Path], None]:
        def add(directory: Path) -> None:
            names = [*_HOSTILE, *(f"{number:03d}{_UNBROKEN}" for number in range(200 - len(_HOSTILE)))]
            for name in names:
                file = directory / "artifacts" / _UNBROKEN / name.replace("/", "∕")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content, "utf-8")

        return add

    left, right = copies.of(model, "many-1", add_files("one\n")), copies.of(model, "many-2", add_files("two\n"))
    name = "_".join(("catalog.schema", _UNBROKEN, *_HOSTILE))
    host = f"https://{'a' * 60}.{'b' * 60}.example.com"
    return _compare(
        _compared(left, right), first=replace(_FIRST, model=name, host=host), second=replace(_SECOND, model=name)
    )


def _native_model(left: Path, right: Path) -> Outcome:
    """Compare only the native models of two versions, whose packages differ."""
    comparison = _compared(left, right, native_model="model.pkl")
    outcome = _compare(comparison)
    assert isinstance(outcome.request, CompareRequest)
    versions = (outcome.request.tracking_server_1, outcome.request.tracking_server_2)
    one, two = (replace(version, native_model="model.pkl") for version in versions)
    return replace(outcome, request=replace(outcome.request, tracking_server_1=one, tracking_server_2=two))


def _no_such_version(database: str) -> Outcome:
    """Run a check of a version that the tracking server does not have."""
    host = parse_host(database)
    outcome = gate.run(CheckRequest(VersionRequest(host, "cloudpickle", "99")), os.environ, NoProgress())
    assert outcome.error is not None
    # A server with a short and lasting address.
    error = type(outcome.error)(
        outcome.error.message.replace(host.address, _STAGING), outcome.error.remedy.replace(host.address, _STAGING)
    )
    return replace(outcome, request=CheckRequest(_Side("99", "99", _STAGING, model="cloudpickle").request), error=error)


def _compared(
    left: Path,
    right: Path,
    ignore: Ignore | None = None,
    native_model: str = "",
    *,
    is_stopped_early: bool = False,
) -> Comparison:
    """Compare two models on this machine. Their locations become those of two models of a server."""
    with Storage(None) as storage:
        models = [
            replace(_selected(path, number, storage), native_model=native_model)
            for number, path in enumerate((left, right), start=1)
        ]
        more = (lambda comparison: comparison.difference is not None,) if is_stopped_early else ()
        (comparison,) = compare_models([SelectedPair(*models)], NoProgress(), ignore or Ignore(), *more)
    return _at_versions(comparison)


def _selected(model: Path, number: int, storage: Storage) -> SelectedModel:
    return SelectedModel(DirectorySource(model, Location(str(model), local_path=model), f"model {number}", storage))


def _at_versions(comparison: Comparison) -> Comparison:
    """Return the comparison as that of the models of both versions."""
    left_uri, right_uri = (_uri(_id(side.number)) for side in (_FIRST, _SECOND))
    return replace(
        comparison,
        left=_at(left_uri, comparison.left),
        right=_at(left_uri if comparison.same_location else right_uri, comparison.right),
    )


def _at(uri: str, model: ComparedModel) -> ComparedModel:
    return replace(model, location=Location(uri))


def _id(number: str) -> str:
    """Return an ID of a run or a model, the same in each run of the tests."""
    return sha256(number.encode()).hexdigest()[:32]


def _uri(model_id: str) -> str:
    return f"mlflow-artifacts:/1/models/m-{model_id}/artifacts"


def _check(comparison: Comparison) -> Outcome:
    return Outcome(
        CheckRequest(_FIRST.request),
        {VersionRole.MODEL_VERSION: _FIRST.version},
        {ComparisonName.COMPARISON: comparison},
    )


def _compare(
    comparison: Comparison, options: GateOptions | None = None, first: _Side = _FIRST, second: _Side = _SECOND
) -> Outcome:
    """Return the outcome of a compare whose registry models are its run models, as on open-source MLflow."""
    return Outcome(
        CompareRequest(first.request, second.request, options=options or GateOptions()),
        {VersionRole.TRACKING_SERVER_1: first.version, VersionRole.TRACKING_SERVER_2: second.version},
        {ComparisonName.RUN_MODELS: comparison, ComparisonName.REG_MODELS: comparison},
    )


def _markdown(outcome: Outcome, file: Path, report: Path = _REPORT) -> str:
    """Return what the action's reporter writes to the summary of a step."""
    reporter = WorkflowReporter(Inputs({}), StepFiles({"GITHUB_STEP_SUMMARY": str(file)}))
    file.touch()
    # The reporter also writes the summary beside the report.
    with chdir(file.parent):
        reporter.show_result(CommandResult(outcome, report, Redactor(), is_verbose=False))
    return file.read_text("utf-8")
