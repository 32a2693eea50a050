"""Plans the shards of a run, from the inputs of the command to its exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_gate.access.environments import secrets_of
from model_gate.access.redaction import Redactor
from model_gate.errors import ModelGateError
from model_gate.reporting.plan_reporter import PlanReporter, PlanResult
from model_gate.reporting.run_files import PlanFile
from model_gate.runner import run_and_show_errors
from model_gate.runs.gate_list import GateList
from model_gate.runs.gate_run import local_hosts, plan_run, secrets_of_entries
from model_gate.runs.plan import plan_text
from model_gate.sources.worker_process import WorkerProcess


@dataclass(frozen=True)
class PlanCommand:
    """A command that plans the shards of a run, with its inputs, before they are validated.

    Attributes:
        load: Reads the gates files, and returns what to run; raises InputError or ConfigError.
        shards: The most shards.
        jobs: Number of gates whose models are listed at the same time.
        plan_file: Path of the plan; None to write none.
        inputs: Files that the command reads; the plan may not change them.
        allow_local_artifacts: Whether a local path that an HTTP tracking server names may be read.
        timeout: Seconds after which the command ends in an error; None for no limit.
        secrets: Texts that must not be printed, besides the secrets of the gates and the environment.
        process: A worker process that was started in advance; None to start one when it is needed.
    """

    load: Callable[[], GateList]
    shards: int
    jobs: int
    plan_file: Path | None = None
    inputs: tuple[Path, ...] = ()
    allow_local_artifacts: bool = False
    timeout: float | None = None
    secrets: tuple[str, ...] = ()
    process: WorkerProcess | None = None


def run_plan(command: PlanCommand, reporter: PlanReporter) -> int:
    """Plan the shards of a run, and present the plan. Return the exit code."""
    secrets = (*secrets_of(os.environ), *command.secrets)
    reporter.mask_secrets(secrets)
    redactor = Redactor(secrets)

    def plan() -> None:
        nonlocal redactor
        file = None if command.plan_file is None else PlanFile(command.plan_file)
        listed = command.load()
        found = secrets_of_entries(listed.entries)
        reporter.mask_secrets(found)
        redactor = Redactor((*secrets_of(os.environ), *command.secrets, *found))
        if file is not None:
            file.require_outside([*command.inputs, *listed.inputs, *local_hosts(listed.entries)])
        made = plan_run(
            listed,
            command.shards,
            command.jobs,
            allow_local_artifacts=command.allow_local_artifacts,
            process=command.process,
        )
        if file is not None:
            file.write(plan_text(made))
        reporter.show_plan(PlanResult(made.matrix, command.plan_file, listed.notices), redactor)

    def show_error(error: ModelGateError) -> None:
        reporter.show_error(error, redactor)

    return run_and_show_errors(plan, show_error, command.timeout)
