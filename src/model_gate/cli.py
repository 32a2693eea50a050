"""The command line: commands, options and their help. The package `inputs` converts options to requests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from model_gate import __version__
from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.domain.host import RegistryKind
from model_gate.domain.location import is_local_uri
from model_gate.domain.request import Request
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import Require
from model_gate.domain.wording import plain_text, printable
from model_gate.inputs.options import (
    DEFAULT_REPORT,
    DEFAULT_SEAL,
    CommonOptions,
    CompareOptions,
    DiffOptions,
    SealOptions,
    SignatureOptions,
    VersionOptions,
    check_request,
    compare_request,
    diff_request,
    seal_request,
    verify_request,
)
from model_gate.runner import Command, run_command, run_invalid_command, run_without_report
from model_gate.sources.directory import local_path
from model_gate.sources.worker_process import WorkerProcess

_TRACKING_URI = "MLFLOW_TRACKING_URI"


def _message_of(error: Exception) -> str:
    """Return the message of a usage error, "" for another exception."""
    # Typer's usage errors have no public type: depending on its version, they are Click's or its own.
    format_message = getattr(error, "format_message", None)
    return str(format_message()) if format_message is not None else ""


class _GateCommand(TyperCommand):
    """A command that shows a remedy and writes a report even after a usage error, such as an unknown option."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **settings: Any) -> Any:
        """Parse the arguments of the command."""
        arguments = list(args)
        try:
            return super().make_context(info_name, args, *more, **settings)
        except Exception as error:
            message = _message_of(error)
            if not message:
                raise
            name = CommandName(str(self.callback.__name__) if self.callback else "")
            raise typer.Exit(run_invalid_command(name, message, arguments, _report_path_in(arguments))) from error


def _report_path_in(arguments: list[str]) -> Path:
    """Return the report's path from arguments that may be invalid; the default path if they name none."""
    option = "--report-file"
    for number, argument in enumerate(arguments):
        name, separator, value = argument.partition("=")
        if name == option and (separator or number + 1 < len(arguments)):
            return Path(value if separator else arguments[number + 1])
    return DEFAULT_REPORT


class _Group(TyperGroup):
    """The group of all commands. It escapes and redacts the messages of usage errors."""

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Parse the arguments before the command."""
        with _safe_usage_errors():
            return super().make_context(*args, **settings)

    def invoke(self, *args: Any, **settings: Any) -> Any:
        """Look up the command and run it."""
        with _safe_usage_errors():
            return super().invoke(*args, **settings)


@contextmanager
def _safe_usage_errors() -> Iterator[None]:
    """Escape and redact the messages of usage errors, which quote the arguments."""
    try:
        yield
    except Exception as error:
        if _message_of(error) and isinstance(message := getattr(error, "message", None), str):
            redacted = Redactor(secrets_of(os.environ)).text(message)
            error.message = plain_text(printable(redacted))  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    cls=_Group,
    help="Are these two MLflow models the same? "
    "Exit code 0: yes, or the requirement is met. 1: no. 2: an error prevented the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

ModelOption = Annotated[str, typer.Option(help="The registered model's name (required).", show_default=False)]
VersionOption = Annotated[
    str,
    typer.Option(
        help="A number, a stage (Staging, Production, Archived), an alias (@champion) or latest (required).",
        show_default=False,
    ),
]
HostOption = Annotated[str, typer.Option(help="The tracking server's URI.", show_default=_TRACKING_URI)]
LeftHostOption = Annotated[str, typer.Option(help="The tracking server of the left URI.", show_default=_TRACKING_URI)]
RightHostOption = Annotated[str, typer.Option(help="The tracking server of the right URI.", show_default=_TRACKING_URI)]
RegistryOption = Annotated[
    RegistryKind | None,
    typer.Option(
        help="The model registry of a Databricks workspace that holds the model.",
        show_default="unity-catalog for a name of three levels, else workspace",
    ),
]
NativeModelOption = Annotated[
    str,
    typer.Option(
        help="Let only this file or directory of the MLflow model decide, such as model.pkl or sparkml.",
        show_default=False,
    ),
]
ConfigFileOption = Annotated[
    Path | None,
    typer.Option(help="The compare file: YAML that names the two versions (required).", show_default=False),
]
CompareRunModelsOption = Annotated[
    bool | None, typer.Option(help="Compare the models of the two runs.", show_default="yes")
]
CompareRegModelsOption = Annotated[
    bool | None, typer.Option(help="Compare the registries' own copies.", show_default="yes")
]
SealOption = Annotated[
    Path | None,
    typer.Option(help="Compare the registry model with this seal too.", show_default=False),
]
VerifySealOption = Annotated[
    Path | None, typer.Option(help="The seal that model-gate seal wrote (required).", show_default=False)
]
BundleOption = Annotated[
    Path | None,
    typer.Option(
        help="The Sigstore bundle or DSSE envelope with the seal's signature. Without --seal, it has the seal itself.",
        show_default=False,
    ),
]
IdentityOption = Annotated[
    str,
    typer.Option(
        help="The bundle's signer: an e-mail address, or the URI of a workflow at a ref. Needs --issuer.",
        show_default=False,
    ),
]
IssuerOption = Annotated[
    str,
    typer.Option(
        help="The signer's OpenID Connect issuer, such as https://token.actions.githubusercontent.com.",
        show_default=False,
    ),
]
PublicKeyOption = Annotated[
    Path | None,
    typer.Option(
        help="The bundle's signer: the PEM of an elliptic curve key or an Ed25519 key, instead of an identity.",
        show_default=False,
    ),
]
TrustConfigOption = Annotated[
    Path | None,
    typer.Option(
        help="The trusted root or trust configuration of a Sigstore instance.",
        show_default="the public instance's, from the network",
    ),
]
AllowOtherModelOption = Annotated[
    bool,
    typer.Option("--allow-other-model", help="Accept a seal of another registered model, such as the original's."),
]
UriArgument = Annotated[
    str,
    typer.Argument(
        help="A local directory or an artifact URI, instead of --model and --version-or-stage.", show_default=False
    ),
]
SealOutputOption = Annotated[Path, typer.Option(help="The path of the seal. An older seal there is replaced.")]
SealedModelOption = Annotated[str, typer.Option(help="The registered model's name.", show_default=False)]
SealedVersionOption = Annotated[
    str,
    typer.Option(
        help="A number, a stage (Staging, Production, Archived), an alias (@champion) or latest.", show_default=False
    ),
]
DownloadDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Keep the downloaded files here, in run_model/… and reg_model/…. The directory must be empty or not "
        "exist. Without this option, downloads go to a scratch directory that is removed.",
        show_default=False,
    ),
]
DiffDownloadDirOption = Annotated[
    Path | None,
    typer.Option(
        help="Keep the downloaded files here, in left/… and right/…. The directory must be empty or not exist. "
        "Without this option, downloads go to a scratch directory that is removed.",
        show_default=False,
    ),
]
ReportFileOption = Annotated[
    Path, typer.Option(help="The path of the JSON report, which is written for every verdict, errors included.")
]
StatementOption = Annotated[
    Path | None,
    typer.Option(
        "--statement",
        help="If the gate passes, write a promotion statement here: an in-toto statement about the second model.",
        show_default=False,
    ),
]
RequireOption = Annotated[
    Require | None,
    typer.Option(
        help="What must hold to pass. Equivalent models differ only in what MLflow or the file format rewrites when "
        "the same model is saved again.",
        show_default="identical",
    ),
]
FailFastOption = Annotated[
    bool,
    typer.Option("--fail-fast", help="Stop at the first file that fails the requirement. The others are not compared."),
]
FailOnSameLocationOption = Annotated[
    bool,
    typer.Option(
        "--fail-on-same-location", help="End with an error if both models are one location, so nothing is compared."
    ),
]
AllowLocalArtifactsOption = Annotated[
    bool,
    typer.Option("--allow-local-artifacts", help="Read models at local paths that an HTTP tracking server names."),
]
DeclaredHostsOnlyOption = Annotated[
    bool,
    typer.Option(
        "--declared-hosts-only",
        help="End with an error if a file names a server that neither an option nor the environment declares.",
    ),
]
AllowHostsOption = Annotated[
    str,
    typer.Option(
        help="Servers that a file may name besides the declared ones, separated by commas; * stands for one label.",
        show_default=False,
    ),
]
TimeoutOption = Annotated[
    float | None, typer.Option(help="End with an error after this many seconds.", min=1, show_default="no limit")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show the details of an error.")]


@dataclass(frozen=True)
class _Shared:
    """The options that `check`, `compare` and `diff` share."""

    download_dir: Path | None
    report_file: Path
    statement: Path | None
    require: Require | None
    fail_fast: bool
    fail_on_same_location: bool
    allow_local_artifacts: bool
    declared_hosts_only: bool
    allow_hosts: str
    timeout: float | None
    verbose: bool

    @property
    def common(self) -> CommonOptions:
        return CommonOptions(
            self.require,
            self.download_dir,
            self.fail_fast,
            self.fail_on_same_location,
            self.allow_local_artifacts,
            self.declared_hosts_only,
            self.allow_hosts,
            self.timeout,
            is_stated=self.statement is not None,
        )


def _run(
    name: CommandName,
    options: Mapping[str, object],
    shared: _Shared,
    request: Callable[[], Request],
    inputs: tuple[Path, ...] = (),
    process: WorkerProcess | None = None,
) -> NoReturn:
    """Run a gate, and exit. The report lists the options in `shared`, and those in `options` of this command only."""
    reported = {
        **options,
        "download_dir": shared.download_dir,
        "report_file": shared.report_file,
        "statement": shared.statement,
        "require": shared.require,
        "fail_fast": shared.fail_fast,
        "fail_on_same_location": shared.fail_on_same_location,
        "allow_local_artifacts": shared.allow_local_artifacts,
        "declared_hosts_only": shared.declared_hosts_only,
        "allow_hosts": shared.allow_hosts or None,
        "timeout": shared.timeout,
    }
    command = Command(
        name, reported, request, shared.report_file, inputs, shared.verbose, statement_file=shared.statement
    )
    raise typer.Exit(run_command(command, process=process))


def _show_version(is_given: bool) -> None:
    if is_given:
        typer.echo(f"model-gate {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Handle the options that come before the command, such as --version."""


def check(
    context: typer.Context,
    model: ModelOption = "",
    version_or_stage: VersionOption = "",
    host: HostOption = "",
    registry: RegistryOption = None,
    native_model: NativeModelOption = "",
    seal: SealOption = None,
    allow_other_model: AllowOtherModelOption = False,
    download_dir: DownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    require: RequireOption = None,
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check one version: is its run model the same as the registry's own copy?

    Example: `model-gate check --host https://mlflow.example.com --model Sklearn_Wine --version-or-stage production`
    """
    shared = _Shared(
        download_dir,
        report_file,
        statement,
        require,
        fail_fast,
        fail_on_same_location,
        allow_local_artifacts,
        declared_hosts_only,
        allow_hosts,
        timeout,
        verbose,
    )
    version = VersionOptions(model, version_or_stage, host, registry, native_model)
    options = {
        "model": model,
        "version_or_stage": version_or_stage,
        "host": host or None,
        "registry": registry,
        "native_model": native_model or None,
        "seal": seal,
        "allow_other_model": allow_other_model,
    }
    sealed = SealOptions(seal, allow_other_model)
    _run(
        CommandName.CHECK,
        options,
        shared,
        lambda: check_request(version, shared.common, os.environ, sealed),
        inputs=() if seal is None else (seal,),
        process=context.obj,
    )


def compare(
    context: typer.Context,
    config_file: ConfigFileOption = None,
    compare_run_models: CompareRunModelsOption = None,
    compare_reg_models: CompareRegModelsOption = None,
    download_dir: DownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    require: RequireOption = None,
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare two versions, on one or two tracking servers: run models with each other, registry models likewise.

    Example: `model-gate compare --config-file promotion.yaml --report-file report.json`
    """
    shared = _Shared(
        download_dir,
        report_file,
        statement,
        require,
        fail_fast,
        fail_on_same_location,
        allow_local_artifacts,
        declared_hosts_only,
        allow_hosts,
        timeout,
        verbose,
    )
    models = CompareOptions(compare_run_models, compare_reg_models)
    options = {
        "config_file": config_file,
        "compare_run_models": compare_run_models,
        "compare_reg_models": compare_reg_models,
    }
    _run(
        CommandName.COMPARE,
        options,
        shared,
        lambda: compare_request(config_file, models, shared.common, os.environ),
        inputs=() if config_file is None else (config_file,),
        process=context.obj,
    )


def diff(
    left: Annotated[str, typer.Argument(help="A local directory or an artifact URI: runs:/…, models:/…, s3://…")],
    right: Annotated[str, typer.Argument(help="The directory or URI to compare it with.")],
    left_host: LeftHostOption = "",
    right_host: RightHostOption = "",
    download_dir: DiffDownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    require: RequireOption = None,
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare any two models: local directories or artifact URIs.

    Example: `model-gate diff ./model models:/Sklearn_Wine/7`
    """
    shared = _Shared(
        download_dir,
        report_file,
        statement,
        require,
        fail_fast,
        fail_on_same_location,
        allow_local_artifacts,
        declared_hosts_only,
        allow_hosts,
        timeout,
        verbose,
    )
    models = DiffOptions(left, right, left_host, right_host)
    options = {"left": left, "right": right, "left_host": left_host or None, "right_host": right_host or None}
    _run(
        CommandName.DIFF,
        options,
        shared,
        lambda: diff_request(models, shared.common, os.environ),
        inputs=_local_inputs(left, right),
    )


def seal(
    context: typer.Context,
    uri: UriArgument = "",
    model: SealedModelOption = "",
    version_or_stage: SealedVersionOption = "",
    host: HostOption = "",
    registry: RegistryOption = None,
    output: SealOutputOption = DEFAULT_SEAL,
    report_file: ReportFileOption = DEFAULT_REPORT,
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Seal one model: write the SHA-256 of each of its files, to verify them at any later time or place.

    Example: `model-gate seal --model Sklearn_Wine --version-or-stage 12 --output seals/wine.json`
    """
    shared = _Shared(None, report_file, None, None, False, False, allow_local_artifacts, False, "", timeout, verbose)
    version = VersionOptions(model, version_or_stage, host, registry)
    options = {
        "uri": uri or None,
        "model": model or None,
        "version_or_stage": version_or_stage or None,
        "host": host or None,
        "registry": registry,
        "output": output,
        "report_file": report_file,
        "allow_local_artifacts": allow_local_artifacts,
        "timeout": timeout,
    }
    command = Command(
        CommandName.SEAL,
        options,
        lambda: seal_request(version, uri, output, shared.common, os.environ),
        report_file,
        _local_inputs(uri),
        verbose,
    )
    raise typer.Exit(run_command(command, process=context.obj))


def verify(
    context: typer.Context,
    uri: UriArgument = "",
    seal: VerifySealOption = None,
    model: SealedModelOption = "",
    version_or_stage: SealedVersionOption = "",
    host: HostOption = "",
    registry: RegistryOption = None,
    native_model: NativeModelOption = "",
    allow_other_model: AllowOtherModelOption = False,
    bundle: BundleOption = None,
    identity: IdentityOption = "",
    issuer: IssuerOption = "",
    public_key: PublicKeyOption = None,
    trust_config: TrustConfigOption = None,
    download_dir: DownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    fail_fast: FailFastOption = False,
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    timeout: TimeoutOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Verify one model: does it still have the files of its seal?

    Example: `model-gate verify --seal seals/wine.json --model Sklearn_Wine --version-or-stage production`
    """
    shared = _Shared(
        download_dir, report_file, statement, None, fail_fast, False, allow_local_artifacts, False, "", timeout, verbose
    )
    version = VersionOptions(model, version_or_stage, host, registry, native_model)
    signature = SignatureOptions(bundle, public_key, identity, issuer, trust_config)
    options = {
        "uri": uri or None,
        "seal": seal,
        "model": model or None,
        "version_or_stage": version_or_stage or None,
        "host": host or None,
        "registry": registry,
        "native_model": native_model or None,
        "allow_other_model": allow_other_model,
        **signature.reported,
        "download_dir": download_dir,
        "report_file": report_file,
        "statement": statement,
        "fail_fast": fail_fast,
        "allow_local_artifacts": allow_local_artifacts,
        "timeout": timeout,
    }
    sealed = SealOptions(seal, allow_other_model, signature)
    command = Command(
        CommandName.VERIFY,
        options,
        lambda: verify_request(version, uri, sealed, shared.common, os.environ),
        report_file,
        (*_local_inputs(uri), *(() if seal is None else (seal,)), *signature.files),
        verbose,
        statement_file=statement,
    )
    raise typer.Exit(run_command(command, process=context.obj))


def _local_inputs(*uris: str) -> tuple[Path, ...]:
    """Return the directories of this machine among URIs."""
    return tuple(local_path(uri) for uri in uris if uri.strip() and is_local_uri(uri))


def action(context: typer.Context) -> None:
    """Run as a step of a GitHub workflow. Inputs come from INPUT_… variables, by the names in action.yml.

    The action's container runs this command. In a shell, use check and compare.
    """
    from model_gate.action.step import run_step

    raise typer.Exit(run_step(context.obj))


def demo(
    directory: Annotated[
        Path, typer.Option(help="Where the registries and the reports go. An earlier demo there is replaced.")
    ] = Path("model-gate-demo"),
    verbose: VerboseOption = False,
) -> None:
    """Show a check and three compares on two small MLflow registries, made on this machine.

    Example: `model-gate demo`
    """
    from model_gate.demo.demonstration import run_demo

    raise typer.Exit(run_without_report(lambda say: run_demo(directory, say), is_verbose=verbose))


app.command(cls=_GateCommand)(check)
app.command(cls=_GateCommand)(compare)
app.command(cls=_GateCommand)(diff)
app.command(cls=_GateCommand)(seal)
app.command(cls=_GateCommand)(verify)
app.command()(action)
app.command()(demo)

# The earlier names of check and compare are separate programs.
check_model_version = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
check_model_version.command(cls=_GateCommand)(check)
compare_model_versions = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
compare_model_versions.command(cls=_GateCommand)(compare)
