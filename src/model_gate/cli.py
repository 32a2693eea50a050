"""The command line: commands, options and their help. The package `inputs` converts options to requests.

The other modules are imported when a command runs, so that a help text appears at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from model_gate import __version__
from model_gate.cli_options import (
    OUTPUT,
    AllowHostsOption,
    AllowLocalArtifactsOption,
    BundleOption,
    CompareRegModelsOption,
    CompareRunModelsOption,
    ConfigFileArgument,
    ConfigFileOption,
    DeclaredHostsOnlyOption,
    DiffDownloadDirOption,
    DownloadDirOption,
    FailFastOption,
    FailOnSameLocationOption,
    HostOption,
    IdentityOption,
    IssuerOption,
    LeftArgument,
    LeftHostOption,
    ModelOption,
    NativeModelOption,
    OneModelOption,
    OneVersionOption,
    PublicKeyOption,
    RegistryOption,
    ReportFileOption,
    RequireOption,
    RightArgument,
    RightHostOption,
    SealModelOption,
    SealOption,
    SealOutputOption,
    StatementOption,
    TimeoutOption,
    TrustConfigOption,
    UriArgument,
    VerboseOption,
    VerifyDownloadDirOption,
    VerifySealOption,
    VersionOption,
)
from model_gate.domain.roles import DEFAULT_REPORT, DEFAULT_SEAL, CommandName
from model_gate.domain.verdict import Require
from model_gate.run_cli import add_run_commands
from model_gate.usage import StyledCommand, StyledGroup

if TYPE_CHECKING:
    from model_gate.domain.request import Request
    from model_gate.inputs.options import CommonOptions
    from model_gate.sources.worker_process import WorkerProcess

# Commands without Rich: it takes half a second to import, and cuts long names of options.
app = typer.Typer(
    cls=StyledGroup,
    help="Are these two MLflow models the same? "
    "Exit code 0: yes, or the requirement is met. 1: no. 2: an error prevented the comparison.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="""\
Example:
  model-gate check --help    shows the options of check, and an example
""",
)


@dataclass(frozen=True)
class _Shared:
    """The options that `check`, `compare` and `diff` share."""

    allow_local_artifacts: bool
    declared_hosts_only: bool
    allow_hosts: str
    require: Require | None
    fail_fast: bool
    fail_on_same_location: bool
    timeout: float | None
    download_dir: Path | None
    report_file: Path
    statement: Path | None
    verbose: bool

    @property
    def common(self) -> CommonOptions:
        from model_gate.inputs.options import CommonOptions

        return CommonOptions(
            self.require,
            self.download_dir,
            self.fail_fast,
            self.fail_on_same_location,
            self.allow_local_artifacts,
            self.declared_hosts_only,
            self.allow_hosts,
            self.timeout,
            writes_statement=self.statement is not None,
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
    from model_gate.inputs.options import valid_timeout
    from model_gate.runner import Command, run_command

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
        name,
        reported,
        request,
        shared.report_file,
        inputs,
        shared.verbose,
        statement_file=shared.statement,
        timeout=valid_timeout(shared.timeout),
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
    native_model: NativeModelOption = "",
    registry: RegistryOption = None,
    seal: SealOption = None,
    host: HostOption = "",
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    require: RequireOption = None,
    seal_model: SealModelOption = "",
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    timeout: TimeoutOption = None,
    download_dir: DownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Check one version: is its run model the same as the registry's own copy?"""
    from model_gate.inputs.options import SealOptions, VersionOptions, check_request

    shared = _Shared(
        allow_local_artifacts,
        declared_hosts_only,
        allow_hosts,
        require,
        fail_fast,
        fail_on_same_location,
        timeout,
        download_dir,
        report_file,
        statement,
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
        "seal_model": seal_model or None,
    }
    sealed = SealOptions(seal, seal_model)
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
    file: ConfigFileArgument = None,
    config_file: ConfigFileOption = None,
    compare_run_models: CompareRunModelsOption = None,
    compare_reg_models: CompareRegModelsOption = None,
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    require: RequireOption = None,
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    timeout: TimeoutOption = None,
    download_dir: DownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare two versions, on one or two tracking servers: run models with each other, registry models likewise."""
    from model_gate.inputs.options import CompareOptions, compare_request

    shared = _Shared(
        allow_local_artifacts,
        declared_hosts_only,
        allow_hosts,
        require,
        fail_fast,
        fail_on_same_location,
        timeout,
        download_dir,
        report_file,
        statement,
        verbose,
    )
    models = CompareOptions(compare_run_models, compare_reg_models)
    files = tuple(path for path in (file, config_file) if path is not None)
    options = {
        "config_file": config_file or file,
        "compare_run_models": compare_run_models,
        "compare_reg_models": compare_reg_models,
    }
    _run(
        CommandName.COMPARE,
        options,
        shared,
        lambda: compare_request(files, models, shared.common, os.environ),
        inputs=files,
        process=context.obj,
    )


def diff(
    context: typer.Context,
    left: LeftArgument,
    right: RightArgument,
    left_host: LeftHostOption = "",
    right_host: RightHostOption = "",
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    require: RequireOption = None,
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    timeout: TimeoutOption = None,
    download_dir: DiffDownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Compare any two models: artifact URIs, or local directories with or without an MLmodel file."""
    from model_gate.inputs.options import DiffOptions, diff_request

    shared = _Shared(
        allow_local_artifacts,
        declared_hosts_only,
        allow_hosts,
        require,
        fail_fast,
        fail_on_same_location,
        timeout,
        download_dir,
        report_file,
        statement,
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
        process=context.obj,
    )


def seal(
    context: typer.Context,
    uri: UriArgument = "",
    model: OneModelOption = "",
    version_or_stage: OneVersionOption = "",
    registry: RegistryOption = None,
    host: HostOption = "",
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    timeout: TimeoutOption = None,
    output: SealOutputOption = DEFAULT_SEAL,
    report_file: ReportFileOption = DEFAULT_REPORT,
    verbose: VerboseOption = False,
) -> None:
    """Seal one model: write the SHA-256 of each of its files, to verify them at any later time or place."""
    from model_gate.inputs.options import CommonOptions, VersionOptions, seal_request, valid_timeout
    from model_gate.runner import Command, run_command

    common = CommonOptions(allow_local_artifacts=allow_local_artifacts, timeout=timeout)
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
        lambda: seal_request(version, uri, output, common, os.environ),
        report_file,
        _local_inputs(uri),
        verbose,
        timeout=valid_timeout(timeout),
    )
    raise typer.Exit(run_command(command, process=context.obj))


def verify(
    context: typer.Context,
    uri: UriArgument = "",
    seal: VerifySealOption = None,
    bundle: BundleOption = None,
    model: OneModelOption = "",
    version_or_stage: OneVersionOption = "",
    native_model: NativeModelOption = "",
    registry: RegistryOption = None,
    host: HostOption = "",
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    seal_model: SealModelOption = "",
    identity: IdentityOption = "",
    issuer: IssuerOption = "",
    public_key: PublicKeyOption = None,
    trust_config: TrustConfigOption = None,
    fail_fast: FailFastOption = False,
    timeout: TimeoutOption = None,
    download_dir: VerifyDownloadDirOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    statement: StatementOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Verify one model: does it still have the files of its seal?"""
    from model_gate.inputs.options import (
        CommonOptions,
        SealOptions,
        SignatureOptions,
        VersionOptions,
        valid_timeout,
        verify_request,
    )
    from model_gate.runner import Command, run_command

    common = CommonOptions(
        download_dir=download_dir,
        fail_fast=fail_fast,
        allow_local_artifacts=allow_local_artifacts,
        timeout=timeout,
        writes_statement=statement is not None,
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
        "seal_model": seal_model or None,
        **signature.reported,
        "download_dir": download_dir,
        "report_file": report_file,
        "statement": statement,
        "fail_fast": fail_fast,
        "allow_local_artifacts": allow_local_artifacts,
        "timeout": timeout,
    }
    sealed = SealOptions(seal, seal_model, signature)
    command = Command(
        CommandName.VERIFY,
        options,
        lambda: verify_request(version, uri, sealed, common, os.environ),
        report_file,
        (*_local_inputs(uri), *(() if seal is None else (seal,)), *signature.files),
        verbose,
        statement_file=statement,
        timeout=valid_timeout(timeout),
    )
    raise typer.Exit(run_command(command, process=context.obj))


def _local_inputs(*uris: str) -> tuple[Path, ...]:
    """Return the directories of this machine among URIs."""
    from model_gate.domain.location import is_local_uri
    from model_gate.sources.directory import local_path

    return tuple(local_path(uri) for uri in uris if uri.strip() and is_local_uri(uri))


def action(context: typer.Context) -> None:
    """Run as a step of a GitHub workflow. Inputs come from INPUT_… variables, by the names in action.yml.

    The action's container runs this command. In a shell, use the other commands.
    """
    from model_gate.action.step import run_step

    raise typer.Exit(run_step(context.obj))


def demo(
    directory: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Where the registries and the reports go. An earlier demo there is replaced.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("model-gate-demo"),
    verbose: VerboseOption = False,
) -> None:
    """Show a check and three compares on two small MLflow registries, made on this machine."""
    from model_gate.demo.demonstration import run_demo
    from model_gate.runner import run_without_report

    raise typer.Exit(run_without_report(lambda say: run_demo(directory, say), is_verbose=verbose))


# The texts after the options of a help text, as they are shown: at most 80 columns wide.
_CHECK_EXAMPLE = """\
Example:
  model-gate check --model Sklearn_Wine --version-or-stage production \\
    --host https://mlflow.example.com
"""
_COMPARE_EXAMPLE = """\
Example:
  model-gate compare promotion.yaml --require equivalent
with this file promotion.yaml:
  tracking_server_1: {server: staging, model: Wine, version_or_stage: 7}
  tracking_server_2: {server: prod, model: Wine, version_or_stage: "@champion"}
"""
_DIFF_EXAMPLE = """\
Example:
  model-gate diff ./model models:/Sklearn_Wine/7 \\
    --right-host https://mlflow.example.com
"""
_SEAL_EXAMPLE = """\
Example:
  model-gate seal --model Sklearn_Wine --version-or-stage 12 \\
    --output seals/wine.json --host https://mlflow.example.com
"""
_VERIFY_EXAMPLE = """\
Example:
  model-gate verify --seal seals/wine.json --model Sklearn_Wine \\
    --version-or-stage production --host https://mlflow.example.com
"""
_ACTION_EXAMPLE = """\
Example:
  env INPUT_MODEL=Sklearn_Wine INPUT_VERSION-OR-STAGE=production \\
    INPUT_HOST=https://mlflow.example.com model-gate action
"""
_DEMO_EXAMPLE = """\
Example:
  model-gate demo --directory /tmp/model-gate-demo
"""
_CREDENTIALS = """
Variables with servers and their credentials:
  MLFLOW_TRACKING_URI         the server that no option names
  MLFLOW_TRACKING_USERNAME    its user name, with MLFLOW_TRACKING_PASSWORD
  MLFLOW_TRACKING_TOKEN       its token, instead of a user name and a password
  PROD_MLFLOW_TRACKING_URI    another server, called prod
  PROD_MLFLOW_TRACKING_TOKEN  its token; PROD_X is the variable X of prod only
"""
_VERSION_USAGE = "--model NAME --version-or-stage VERSION [OPTIONS]"


def _add_check(program: typer.Typer) -> None:
    program.command(
        cls=StyledCommand,
        short_help="Compare the run model of a version with its registry model.",
        epilog=_CHECK_EXAMPLE + _CREDENTIALS,
        options_metavar=_VERSION_USAGE,
    )(check)


def _add_compare(program: typer.Typer) -> None:
    program.command(
        cls=StyledCommand,
        short_help="Compare two versions, on one or two tracking servers.",
        epilog=_COMPARE_EXAMPLE + _CREDENTIALS,
    )(compare)


def _single_command() -> typer.Typer:
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


_add_check(app)
_add_compare(app)
app.command(
    cls=StyledCommand,
    short_help="Compare any two models: directories or artifact URIs.",
    epilog=_DIFF_EXAMPLE + _CREDENTIALS,
)(diff)
app.command(
    cls=StyledCommand, short_help="Write the SHA-256 of each file of a model.", epilog=_SEAL_EXAMPLE + _CREDENTIALS
)(seal)
app.command(cls=StyledCommand, short_help="Compare a model with its seal.", epilog=_VERIFY_EXAMPLE + _CREDENTIALS)(
    verify
)
add_run_commands(app, _CREDENTIALS)
app.command(cls=StyledCommand, epilog=_ACTION_EXAMPLE)(action)
app.command(
    cls=StyledCommand, short_help="Show the commands on two small registries, made here.", epilog=_DEMO_EXAMPLE
)(demo)

# The earlier names of check and compare are separate programs.
check_model_version = _single_command()
_add_check(check_model_version)
compare_model_versions = _single_command()
_add_compare(compare_model_versions)
