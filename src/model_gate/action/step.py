"""Runs a step of a workflow, from its inputs to its exit code."""

from __future__ import annotations

import os
from contextlib import ExitStack

from model_gate.access.private_file import PrivateFile
from model_gate.access.redaction import Redactor
from model_gate.action import credentials, profiles
from model_gate.action.annotations import Annotation, AnnotationLevel
from model_gate.action.inputs import Inputs
from model_gate.action.reporter import WorkflowReporter
from model_gate.action.run_step import run_many_step
from model_gate.action.step_files import StepFiles
from model_gate.domain.request import Request
from model_gate.domain.roles import CommandName, RunCommandName
from model_gate.domain.verdict import EXIT_DIFFERENT, EXIT_ERROR, EXIT_PASSED
from model_gate.errors import ModelGateError
from model_gate.reporting.output import print_command
from model_gate.runner import Command, run_command
from model_gate.sources.worker_process import WorkerProcess


def run_step(process: WorkerProcess | None = None) -> int:
    """Run the command that the step's inputs describe, and return the exit code.

    Args:
        process: A worker process that was started in advance; None to start one when the gate needs it.
    """
    inputs = Inputs(os.environ)
    files = StepFiles(os.environ)
    # No child process needs the inputs, and some of them are secret.
    for name in [name for name in os.environ if name.startswith("INPUT_")]:
        del os.environ[name]
    try:
        with ExitStack() as stack:
            if inputs.command in set(RunCommandName):
                code = run_many_step(inputs, files, process, lambda: _declare(inputs, stack), _secrets(inputs))
            else:
                reporter = WorkflowReporter(inputs, files)
                reporter.begin()
                code = run_command(_command(inputs, stack), reporter, process)
    except ModelGateError as error:
        # The outputs or the summary could not be written. Later steps rely on them, so this is an error.
        print_command(
            Annotation(AnnotationLevel.ERROR, f"{error.message} {error.remedy}").command(Redactor(_secrets(inputs)))
        )
        return EXIT_ERROR
    return EXIT_PASSED if code == EXIT_DIFFERENT and not inputs.fails_on_difference else code


def _command(inputs: Inputs, stack: ExitStack) -> Command:
    def request() -> Request:
        _declare(inputs, stack)
        return inputs.request()

    return Command(
        # The report needs a valid command, even if the input names an unknown one.
        CommandName(inputs.command) if inputs.command in set(CommandName) - {CommandName.DIFF} else CommandName.CHECK,
        inputs.options(),
        request,
        inputs.report_file,
        inputs=inputs.read_files,
        is_verbose=inputs.is_verbose,
        secrets=_secrets(inputs),
        statement_file=inputs.statement_file,
        timeout=inputs.timeout,
    )


def _declare(inputs: Inputs, stack: ExitStack) -> None:
    """Put the credentials in the inputs into the environment.

    Raises:
        InputError: The credentials or the profiles are malformed.
        StorageError: The profiles cannot be stored.
    """
    os.environ.update(credentials.parse_credentials(inputs["credentials"]))
    if text := inputs["databricks-profiles"]:
        profiles.require_profiles(text)
        file = stack.enter_context(PrivateFile(text))
        os.environ[profiles.VARIABLE] = str(file.path)


def _secrets(inputs: Inputs) -> tuple[str, ...]:
    return (*profiles.secrets_in(inputs["databricks-profiles"]), *credentials.secrets_in(inputs["credentials"]))
