"""Runs a step of a workflow that is about many gates: run, plan or merge."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.action.annotations import Annotation, AnnotationLevel
from model_gate.action.event import base_of_event
from model_gate.action.inputs import Inputs, named_as_inputs, with_input_names
from model_gate.action.outputs import OUTPUTS, UNDECIDED, harmless
from model_gate.action.run_reporter import WorkflowRunReporter, notices_of
from model_gate.action.step_files import StepFiles
from model_gate.action.summary import MIN_BYTES, summary
from model_gate.domain.result import Outcome
from model_gate.domain.roles import RunCommandName
from model_gate.domain.verdict import EXIT_ERROR, EXIT_PASSED
from model_gate.errors import InputError, ModelGateError
from model_gate.inputs.changes import Base, NoBase
from model_gate.reporting.output import print_command, print_line
from model_gate.reporting.run_files import ViewKind
from model_gate.runner import internal_error
from model_gate.runs.command import RunCommand, run_many
from model_gate.runs.gate_list import GateList, read_gate_list
from model_gate.runs.gate_run import DEFAULT_JOBS, GateRun, plan_run
from model_gate.runs.merge import Merge, rows_files
from model_gate.runs.plan import read_plan, write_plan
from model_gate.runs.shards import Part, every_nth, parse_shard, whole
from model_gate.sources.worker_process import WorkerProcess

# The value of the input `changed-since` with which all gates run in a pull request too.
ALL = "none"
_DEFAULT_SHARDS = 1
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
    if inputs.command == RunCommandName.PLAN:
        return _plan(inputs, files, process, declare, secrets)
    reporter = WorkflowRunReporter(
        files, fails_on_difference=inputs.fails_on_difference, is_shard=bool(inputs["shard"])
    )
    command = RunCommand(
        inputs.options(),
        inputs.report_file,
        {kind: path for kind, name in _VIEWS.items() if (path := inputs.path_or_none(name)) is not None},
        timeout=inputs.timeout,
        inputs=inputs.read_files,
        is_verbose=inputs.is_verbose,
        secrets=secrets,
    )
    if inputs.command == RunCommandName.MERGE:
        return run_many(command, Merge(lambda: _rows_files(inputs)), reporter)

    def load() -> GateList:
        declare()
        return _gate_list(inputs)

    work = GateRun(
        load,
        _block_of,
        lambda names: _part(inputs, names),
        _jobs_or_default(inputs),
        allow_local_artifacts=inputs["allow-local-artifacts"].lower() == "true",
        process=process,
    )
    return run_many(command, work, reporter)


_VIEWS = {ViewKind.JUNIT: "junit-file", ViewKind.PAGE: "page-file", ViewKind.BADGE: "badge-file"}


def _rows_files(inputs: Inputs) -> Sequence[Path]:
    inputs.require_valid()
    return rows_files(inputs.paths("rows"))


def _block_of(outcome: Outcome, redactor: Redactor) -> str:
    return summary(outcome, "", redactor, MIN_BYTES)


def _gate_list(inputs: Inputs) -> GateList:
    """Return the gates that the inputs name.

    Raises:
        ModelGateError: An input, a gates file or the base of the change cannot be used.
    """
    inputs.require_valid()
    with named_as_inputs():
        files = inputs.paths("config-file")
        if inputs["config"] and files:
            raise InputError("The inputs 'config' and 'config-file' are both set.", "Leave one of them out.")
        text = inputs["config"] or None
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
    if name not in _EVENTS_WITH_BASE or event is None:
        return None
    # The import takes time, which a run of all gates saves.
    from model_gate.inputs.repository import Repository

    with Repository.of_file(files[0]) as repository:
        return base_of_event(name, event, repository.head())


# A push runs all gates unless the input `changed-since` is set: what is on the branch now must hold.
_EVENTS_WITH_BASE = frozenset({"pull_request", "pull_request_target", "merge_group"})


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
        if not inputs["shard"]:
            return whole(names)
        shard, plan_file = parse_shard(inputs["shard"]), inputs.path("plan-file")
        return every_nth(shard)(names) if plan_file is None else read_plan(plan_file).part_of(shard)(names)


def _jobs_or_default(inputs: Inputs) -> int:
    """Return the number of gates at a time. An invalid input becomes an error when the gates are listed."""
    try:
        return inputs.number("jobs", DEFAULT_JOBS)
    except InputError:
        return DEFAULT_JOBS


def _plan(
    inputs: Inputs,
    files: StepFiles,
    process: WorkerProcess | None,
    declare: Callable[[], None],
    secrets: tuple[str, ...],
) -> int:
    """Plan the shards of a run, and write the matrix as an output."""
    files.mask_secrets((*secrets_of(os.environ), *secrets))
    try:
        declare()
        listed = _gate_list(inputs)
        with named_as_inputs():
            plan = plan_run(
                listed,
                inputs.number("shards", _DEFAULT_SHARDS),
                inputs.number("jobs", DEFAULT_JOBS),
                allow_local_artifacts=inputs["allow-local-artifacts"].lower() == "true",
                process=process,
            )
            plan_file = inputs.path("plan-file")
            if plan_file is not None:
                write_plan(plan, plan_file)
    except Exception as error:  # noqa: BLE001  # a bug is presented like every other error
        return _show_plan_error(error if isinstance(error, ModelGateError) else internal_error(error), secrets)
    matrix = json.dumps(plan.matrix, separators=(",", ":"))
    files.write_outputs(
        dict.fromkeys(OUTPUTS, "") | {"matrix": matrix, "plan-file": harmless(str(plan_file or "")), "passed": "true"}
    )
    for annotation in notices_of(listed.notices):
        print_command(annotation.command(Redactor((*secrets_of(os.environ), *secrets))))
    print_line(matrix)
    return EXIT_PASSED


def _show_plan_error(error: ModelGateError, secrets: tuple[str, ...]) -> int:
    redactor = Redactor((*secrets_of(os.environ), *secrets))
    message = with_input_names(f"{error.message} {error.remedy}")
    print_command(Annotation(AnnotationLevel.ERROR, message).command(redactor))
    return EXIT_ERROR
