"""The command line: options and their help. What they mean is decided in `inputs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from model_gate import __version__
from model_gate.domain.host import RegistryKind
from model_gate.domain.location import is_local_uri
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import Require
from model_gate.inputs.options import VersionOptions, check_request, compare_request, diff_request
from model_gate.runner import Command, run_command, run_without_report
from model_gate.sources.directory import local_path

DEFAULT_REPORT = Path("model-gate-report.json")

app = typer.Typer(
    help="Are these two MLflow models the same? "
    "Exit code 0: yes (or the requirement is met), 1: no, 2: it could not be decided.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

DownloadDir = Annotated[
    Path | None,
    typer.Option(
        help="Keep what is downloaded here, in run_model/… and reg_model/…. It must be empty or not exist. "
        "Without it, a scratch directory is used and removed.",
        show_default=False,
    ),
]
ReportFile = Annotated[
    Path, typer.Option(help="Where the JSON report goes; written for every verdict, errors included.")
]
RequireOption = Annotated[
    Require | None,
    typer.Option(
        help="What must hold to pass. 'equivalent' allows what MLflow itself rewrites, such as run_id in MLmodel.",
        show_default="identical",
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast",
        help="Stop at the first file because of which the requirement is not met. The others are not compared.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show what lies behind an error.")]
NativeModel = Annotated[
    str,
    typer.Option(
        help="Let only this file or directory of the MLflow model decide, such as model.pkl or sparkml.",
        show_default=False,
    ),
]


def _given(**options: object) -> dict[str, object]:
    """The options as the report tells them."""
    return options


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"model-gate {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of all commands."""


def check(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="The registered model's name (required).", show_default=False)] = "",
    version_or_stage: Annotated[
        str,
        typer.Option(
            help="A number, a stage (Staging, Production, Archived), an alias (@champion) or latest (required).",
            show_default=False,
        ),
    ] = "",
    host: Annotated[str, typer.Option(help="The tracking server's URI.", show_default="MLFLOW_TRACKING_URI")] = "",
    registry: Annotated[
        RegistryKind | None,
        typer.Option(
            help="Which model registry of a Databricks workspace holds the model.",
            show_default="unity-catalog for a name of three levels, else workspace",
        ),
    ] = None,
    native_model: NativeModel = "",
    download_dir: DownloadDir = None,
    report_file: ReportFile = DEFAULT_REPORT,
    require: RequireOption = None,
    fail_fast: FailFast = False,
    verbose: Verbose = False,
) -> None:
    """Check one version: is its run model the same as the registry's own copy?

    Example: `model-gate check --host https://mlflow.example.com --model Sklearn_Wine --version-or-stage production`
    """
    options = _given(
        model=model,
        version_or_stage=version_or_stage,
        host=host or None,
        registry=registry,
        native_model=native_model or None,
        download_dir=download_dir,
        report_file=report_file,
        require=require,
        fail_fast=fail_fast,
    )
    raise typer.Exit(
        run_command(
            Command(
                CommandName.CHECK,
                options,
                lambda: check_request(
                    VersionOptions(model, version_or_stage, host, registry, native_model), require, download_dir
                ).with_fail_fast(fail_fast),
                report_file,
                is_verbose=verbose,
            ),
            process=context.obj,
        )
    )


def compare(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(help="The compare file: YAML that names the two versions (required).", show_default=False),
    ] = None,
    compare_run_models: Annotated[
        bool | None, typer.Option(help="Compare the models of the two runs.", show_default="yes")
    ] = None,
    compare_reg_models: Annotated[
        bool | None, typer.Option(help="Compare the registries' own copies.", show_default="yes")
    ] = None,
    download_dir: DownloadDir = None,
    report_file: ReportFile = DEFAULT_REPORT,
    require: RequireOption = None,
    fail_fast: FailFast = False,
    verbose: Verbose = False,
) -> None:
    """Compare two versions, on one or two tracking servers: run models with each other, registry models likewise.

    Example: `model-gate compare --config-file promotion.yaml --report-file report.json`
    """
    options = _given(
        config_file=config_file,
        compare_run_models=compare_run_models,
        compare_reg_models=compare_reg_models,
        download_dir=download_dir,
        report_file=report_file,
        require=require,
        fail_fast=fail_fast,
    )
    raise typer.Exit(
        run_command(
            Command(
                CommandName.COMPARE,
                options,
                lambda: compare_request(
                    config_file, compare_run_models, compare_reg_models, require, download_dir
                ).with_fail_fast(fail_fast),
                report_file,
                inputs=() if config_file is None else (config_file,),
                is_verbose=verbose,
            ),
            process=context.obj,
        )
    )


def diff(
    left: Annotated[str, typer.Argument(help="A local directory or an artifact URI: runs:/…, models:/…, s3://…")],
    right: Annotated[str, typer.Argument(help="The one to hold against it.")],
    left_host: Annotated[
        str, typer.Option(help="The tracking server of the left URI.", show_default="MLFLOW_TRACKING_URI")
    ] = "",
    right_host: Annotated[
        str, typer.Option(help="The tracking server of the right URI.", show_default="MLFLOW_TRACKING_URI")
    ] = "",
    download_dir: DownloadDir = None,
    report_file: ReportFile = DEFAULT_REPORT,
    require: RequireOption = None,
    fail_fast: FailFast = False,
    verbose: Verbose = False,
) -> None:
    """Compare any two models: local directories or artifact URIs.

    Example: `model-gate diff ./model models:/Sklearn_Wine/7`
    """
    options = _given(
        left=left,
        right=right,
        left_host=left_host or None,
        right_host=right_host or None,
        download_dir=download_dir,
        report_file=report_file,
        require=require,
        fail_fast=fail_fast,
    )
    raise typer.Exit(
        run_command(
            Command(
                CommandName.DIFF,
                options,
                lambda: diff_request(left, right, left_host, right_host, require, download_dir).with_fail_fast(
                    fail_fast
                ),
                report_file,
                inputs=tuple(local_path(uri) for uri in (left, right) if uri.strip() and is_local_uri(uri)),
                is_verbose=verbose,
            )
        )
    )


def action(context: typer.Context) -> None:
    """Be a step of a GitHub workflow: inputs come from INPUT_… variables, as action.yml has them.

    The container of the action runs this. In a shell, use check and compare.
    """
    from model_gate.action.step import run_step

    raise typer.Exit(run_step(context.obj))


def demo(
    directory: Annotated[
        Path, typer.Option(help="Where the registries and the reports go; an earlier demo there is replaced.")
    ] = Path("model-gate-demo"),
    verbose: Verbose = False,
) -> None:
    """Show a check and three compares on two small MLflow registries, made on this machine.

    Example: `model-gate demo`
    """
    from model_gate.demo.demonstration import run_demo

    raise typer.Exit(run_without_report(lambda say: run_demo(directory, say), is_verbose=verbose))


app.command()(check)
app.command()(compare)
app.command()(diff)
app.command()(action)
app.command()(demo)

# The historical names of the first two, each a command line of its own.
check_model_version = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
check_model_version.command()(check)
compare_model_versions = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
compare_model_versions.command()(compare)
