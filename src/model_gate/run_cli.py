"""The commands about many gates: run, plan and merge. See `cli` for the commands about one gate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model_gate.cli_options import (
    OUTPUT,
    SUBJECT,
    AllowHostsOption,
    AllowLocalArtifactsOption,
    DeclaredHostsOnlyOption,
    FailFastOption,
    FailOnSameLocationOption,
    ReportFileOption,
    RequireOption,
    TimeoutOption,
    VerboseOption,
)
from model_gate.domain.roles import DEFAULT_JOBS, DEFAULT_REPORT, MAX_JOBS
from model_gate.usage import StyledCommand

if TYPE_CHECKING:
    from model_gate.inputs.options import CommonOptions
    from model_gate.reporting.run_files import ViewKind
    from model_gate.runs.gate_list import GateList

_SPEED = "Speed and interruption"

GatesFileArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="FILE",
        help="The gates files: YAML that names the gates. Write them here, or each as --config-file.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
GatesFileOption = Annotated[
    list[Path] | None,
    typer.Option("--config-file", metavar="FILE", help="A gates file.", show_default=False, rich_help_panel=SUBJECT),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Run only this entry or gate. Can be repeated.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
ChangedSinceOption = Annotated[
    str,
    typer.Option(
        metavar="REF",
        help="Run only the entries that changed since the common ancestor with this Git revision, such as origin/main.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]
ShardOption = Annotated[
    str,
    typer.Option(metavar="I/N", help="Run only shard I of N, as in 2/3.", show_default=False, rich_help_panel=_SPEED),
]
PlanFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The plan of the shards, from model-gate plan.",
        show_default="every N-th gate",
        rich_help_panel=_SPEED,
    ),
]
NewPlanFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the plan here, for model-gate run --plan-file.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
ShardsOption = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="The most shards, at most 256. There are no more shards than gates.",
        rich_help_panel=_SPEED,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with an interrupted run: keep its results of the last 24 hours beside the report.",
        rich_help_panel=_SPEED,
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        metavar="N", help="The number of gates that run at the same time.", min=1, max=MAX_JOBS, rich_help_panel=_SPEED
    ),
]
JunitFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write the result as JUnit XML.", show_default=False, rich_help_panel=OUTPUT
    ),
]
PageFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write the result as an HTML page.", show_default=False, rich_help_panel=OUTPUT
    ),
]
BadgeFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Also write the result as a badge: SVG, or for *.json the data of shields.io.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
RowsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="ROWS",
        help="The files *.rows.jsonl of the shards, or directories with them.",
        show_default=False,
        rich_help_panel=SUBJECT,
    ),
]


def run(
    context: typer.Context,
    file: GatesFileArgument = None,
    config_file: GatesFileOption = None,
    only: OnlyOption = None,
    changed_since: ChangedSinceOption = "",
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    require: RequireOption = None,
    fail_fast: FailFastOption = False,
    fail_on_same_location: FailOnSameLocationOption = False,
    jobs: JobsOption = DEFAULT_JOBS,
    shard: ShardOption = "",
    plan_file: PlanFileOption = None,
    resume: ResumeOption = False,
    timeout: TimeoutOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    junit_file: JunitFileOption = None,
    page_file: PageFileOption = None,
    badge_file: BadgeFileOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Run all gates of gates files: many versions, one report."""
    from model_gate.action.summary import block
    from model_gate.inputs.options import CommonOptions, valid_timeout
    from model_gate.reporting.run_reporter import TerminalRunReporter
    from model_gate.runs.command import RunCommand, run_many
    from model_gate.runs.gate_run import GateRun
    from model_gate.runs.plan import part_of

    files = [*(file or ()), *(config_file or ())]
    common = CommonOptions(
        require=require,
        fail_fast=fail_fast,
        fail_on_same_location=fail_on_same_location,
        allow_local_artifacts=allow_local_artifacts,
        declared_hosts_only=declared_hosts_only,
        allow_hosts=allow_hosts,
        timeout=timeout,
    )
    options = {
        "config_file": "\n".join(map(str, files)),
        "only": "\n".join(only or ()) or None,
        "changed_since": changed_since or None,
        "shard": shard or None,
        "plan_file": plan_file,
        "resume": resume,
        "jobs": jobs,
        "report_file": report_file,
        "junit_file": junit_file,
        "page_file": page_file,
        "badge_file": badge_file,
        "require": require,
        "fail_fast": fail_fast,
        "fail_on_same_location": fail_on_same_location,
        "allow_local_artifacts": allow_local_artifacts,
        "declared_hosts_only": declared_hosts_only,
        "allow_hosts": allow_hosts or None,
        "timeout": timeout,
    }
    command = RunCommand(
        options,
        report_file,
        _views(junit_file, page_file, badge_file),
        resumes=resume,
        timeout=valid_timeout(timeout),
        inputs=(*files, *(() if plan_file is None else (plan_file,))),
        is_verbose=verbose,
    )
    work = GateRun(
        lambda: _gates(files, common, only or (), changed_since),
        block,
        lambda names: part_of(names, shard, plan_file),
        jobs,
        allow_local_artifacts=allow_local_artifacts,
        process=context.obj,
    )
    raise typer.Exit(run_many(command, work, TerminalRunReporter()))


def plan(
    context: typer.Context,
    file: GatesFileArgument = None,
    config_file: GatesFileOption = None,
    only: OnlyOption = None,
    changed_since: ChangedSinceOption = "",
    allow_local_artifacts: AllowLocalArtifactsOption = False,
    declared_hosts_only: DeclaredHostsOnlyOption = False,
    allow_hosts: AllowHostsOption = "",
    shards: ShardsOption = 1,
    jobs: JobsOption = DEFAULT_JOBS,
    plan_file: NewPlanFileOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Split a run into shards, and print them as the matrix of a GitHub workflow."""
    from model_gate.inputs.options import CommonOptions
    from model_gate.reporting.plan_reporter import TerminalPlanReporter
    from model_gate.runs.plan_command import PlanCommand, run_plan

    files = [*(file or ()), *(config_file or ())]
    common = CommonOptions(
        allow_local_artifacts=allow_local_artifacts, declared_hosts_only=declared_hosts_only, allow_hosts=allow_hosts
    )

    command = PlanCommand(
        lambda: _gates(files, common, only or (), changed_since),
        shards,
        jobs,
        plan_file,
        inputs=tuple(files),
        allow_local_artifacts=allow_local_artifacts,
        process=context.obj,
    )
    raise typer.Exit(run_plan(command, TerminalPlanReporter(is_verbose=verbose)))


def merge(
    rows: RowsArgument = None,
    timeout: TimeoutOption = None,
    report_file: ReportFileOption = DEFAULT_REPORT,
    junit_file: JunitFileOption = None,
    page_file: PageFileOption = None,
    badge_file: BadgeFileOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Merge the results of the shards of a run. A gate without a result is an error."""
    from model_gate.inputs.options import valid_timeout
    from model_gate.reporting.run_reporter import TerminalRunReporter
    from model_gate.runs.command import RunCommand, run_many
    from model_gate.runs.merge import Merge, rows_files

    files = rows_files(rows or (), report_file)
    command = RunCommand(
        {"rows": "\n".join(map(str, rows or ())), "report_file": report_file, "timeout": timeout},
        report_file,
        _views(junit_file, page_file, badge_file),
        timeout=valid_timeout(timeout),
        inputs=tuple(files),
        is_verbose=verbose,
    )
    raise typer.Exit(run_many(command, Merge(lambda: files), TerminalRunReporter()))


def _views(junit: Path | None, page: Path | None, badge: Path | None) -> dict[ViewKind, Path]:
    from model_gate.reporting.run_files import ViewKind

    paths = {ViewKind.JUNIT: junit, ViewKind.PAGE: page, ViewKind.BADGE: badge}
    return {kind: path for kind, path in paths.items() if path is not None}


def _gates(files: Sequence[Path], common: CommonOptions, only: Sequence[str], changed_since: str) -> GateList:
    from model_gate.inputs.changes import Base
    from model_gate.runs.gate_list import read_gate_list

    base = Base(changed_since, changed_since) if changed_since else None
    return read_gate_list(files, common, os.environ, only, base)


_RUN_EXAMPLE = """\
Example:
  model-gate run gates.yaml --require equivalent --junit-file models.xml
with this file gates.yaml:
  gates:
    wine:
      tracking_server_1: {server: staging, model: Wine, version_or_stage: 7}
      tracking_server_2: {server: prod, model: Wine, version_or_stage: 7}
    churn:
      check: {server: prod, model: Churn, version_or_stage: Production}
      seal: seals/churn.json
"""
_PLAN_EXAMPLE = """\
Example:
  model-gate plan gates.yaml --shards 8 --plan-file plan.json
  model-gate run gates.yaml --shard 3/8 --plan-file plan.json
"""
_MERGE_EXAMPLE = """\
Example:
  model-gate merge shards/ --report-file model-gate-report.json
"""


def add_run_commands(app: typer.Typer, credentials: str) -> None:
    """Add the commands. `credentials` is the text about variables that follows the example."""
    app.command(cls=StyledCommand, short_help="Run many gates.", epilog=_RUN_EXAMPLE + credentials)(run)
    app.command(cls=StyledCommand, short_help="Split a run into shards.", epilog=_PLAN_EXAMPLE)(plan)
    app.command(cls=StyledCommand, short_help="Merge the results of shards of a run.", epilog=_MERGE_EXAMPLE)(merge)
