"""Runs a step of a workflow that is about many gates: run, plan or merge."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model_gate.action.event import EVENTS_WITH_BASE, base_of_event
from model_gate.action.inputs import ALL, Inputs, named_as_inputs
from model_gate.action.outputs import UNDECIDED
from model_gate.action.plan_reporter import WorkflowPlanReporter
from model_gate.action.run_reporter import WorkflowRunReporter
from model_gate.action.step_files import StepFiles
from model_gate.action.summary import block
from model_gate.domain.roles import RunCommandName
from model_gate.errors import InputError
from model_gate.inputs.changes import Base, NoBase
from model_gate.reporting.run_files import ViewKind
from model_gate.runs.command import RunCommand, run_many
from model_gate.runs.gate_list import GateList, read_gate_list
from model_gate.runs.gate_run import GateRun
from model_gate.runs.merge import Merge, rows_files
from model_gate.runs.plan import part_of
from model_gate.runs.plan_command import PlanCommand, run_plan
from model_gate.runs.shards import Part
from model_gate.sources.worker_process import WorkerProcess

_MAX_EVENT_BYTES = 32 * 1024**2


def run_many_step(
    inputs: Inputs,
    files: StepFiles,
    process: WorkerProcess | None,
    declare: Callable[[], None],
    secrets: tuple[str, ...],
) -> int:
    """Run the command about many gates that the inputs describe, and return the exit code.

    Args:
        inputs: The inputs of the step.
        files: The files through which the step speaks with the runner.
        process: A worker process that was started in advance; None to start one when it is needed.
        declare: Puts the credentials in the inputs into the environment; raises a ModelGateError.
        secrets: The secrets in the inputs.

    Raises:
        ModelGateError: The outputs or the summary cannot be written.
    """
    files.write_outputs(UNDECIDED)

    def load() -> GateList:
        declare()
        return _gate_list(inputs)

    if inputs.command == RunCommandName.PLAN:
        plan = PlanCommand(
            load,
            inputs.shards,
            inputs.jobs,
            inputs.path_or_none("plan-file"),
            inputs=inputs.read_files,
            allow_local_artifacts=inputs.allows_local_artifacts,
            timeout=inputs.timeout,
            secrets=secrets,
            process=process,
        )
        return run_plan(plan, WorkflowPlanReporter(files, is_verbose=inputs.is_verbose))
    reporter = WorkflowRunReporter(
        files, fails_on_difference=inputs.fails_on_difference, is_shard=bool(inputs["shard"])
    )
    # An output of this step in one of the directories is no result of a shard.
    shards = rows_files(inputs.paths_or_none("rows"), inputs.report_file)
    command = RunCommand(
        inputs.options(),
        inputs.report_file,
        {kind: path for kind, name in _VIEWS.items() if (path := inputs.path_or_none(name)) is not None},
        timeout=inputs.timeout,
        inputs=(*inputs.read_files, *shards),
        is_verbose=inputs.is_verbose,
        secrets=secrets,
    )
    if inputs.command == RunCommandName.MERGE:
        return run_many(command, Merge(lambda: _valid_rows(inputs, shards)), reporter)
    work = GateRun(
        load,
        block,
        lambda names: _part(inputs, names),
        inputs.jobs,
        allow_local_artifacts=inputs.allows_local_artifacts,
        process=process,
    )
    return run_many(command, work, reporter)


_VIEWS = {ViewKind.JUNIT: "junit-file", ViewKind.PAGE: "page-file", ViewKind.BADGE: "badge-file"}


def _valid_rows(inputs: Inputs, shards: Sequence[Path]) -> Sequence[Path]:
    """Return the results of shards.

    Raises:
        InputError: An input cannot be used, such as a path outside the workspace.
    """
    inputs.require_valid()
    inputs.paths("rows")
    return shards


def _gate_list(inputs: Inputs) -> GateList:
    """Return the gates that the inputs name.

    Raises:
        ModelGateError: An input, a gates file or the base of the change cannot be used.
    """
    inputs.require_valid()
    with named_as_inputs():
        files = inputs.paths("config-file")
        text = inputs["config"] or None
        if text and inputs["changed-since"] not in {"", ALL}:
            raise InputError(
                "The input 'changed-since' is set, but the gates are in the input 'config', which has no history.",
                "Name a gates file of the repository in config-file, or leave changed-since out.",
            )
        return read_gate_list(
            files, inputs.common(), os.environ, inputs.lines("only"), None if text else _base(inputs, files), text
        )


def _base(inputs: Inputs, files: Sequence[Path]) -> Base | NoBase | None:
    """Return what the gates files are compared with; None to run all gates.

    Raises:
        ModelGateError: The repository or the event cannot be read.
    """
    revision = inputs["changed-since"]
    if revision == ALL or not files:
        return None
    if revision:
        return Base(revision, revision)
    name, event = os.environ.get("GITHUB_EVENT_NAME", ""), _event()
    if name not in EVENTS_WITH_BASE or event is None:
        return None
    # The import takes time, which a run of all gates saves.
    from model_gate.inputs.repository import Repository

    with Repository.of_file(files[0]) as repository:
        return base_of_event(name, event, repository.head())


def _event() -> Mapping[str, Any] | None:
    """Return the payload of the workflow's event, None if there is none."""
    path = os.environ.get("GITHUB_EVENT_PATH", "")
    if not path or not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            event = json.loads(file.read(_MAX_EVENT_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"The payload of the event cannot be read: {error}.", f"Set changed-since: {ALL} to run all gates."
        ) from error
    return event if isinstance(event, dict) else {}


def _part(inputs: Inputs, names: Sequence[str]) -> Part:
    with named_as_inputs():
        return part_of(names, inputs["shard"], inputs.path("plan-file"))
