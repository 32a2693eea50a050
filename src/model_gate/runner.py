"""Runs one command from its inputs to its exit code: handles every error, and publishes the report."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model_gate import gate
from model_gate.access.environments import secrets_of
from model_gate.access.hosts import secrets_in
from model_gate.access.redaction import Redactor
from model_gate.comparison.progress import Progress
from model_gate.domain.request import Request
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_PASSED, EXIT_TERMINATED, exit_code
from model_gate.errors import InternalError, ModelGateError, StoppedError
from model_gate.reporting.output import print_line
from model_gate.reporting.report import build_report, validate_report
from model_gate.reporting.report_file import prepare_report, write_report
from model_gate.reporting.reporter import CommandResult, Reporter, TerminalReporter
from model_gate.reporting.system import system_facts
from model_gate.signals import Interrupted, interruptible
from model_gate.sources.worker_process import WorkerProcess

RunGate = Callable[[Request, Mapping[str, str], Progress, WorkerProcess | None], Outcome]

_SIGNAL_EXITS = {"SIGINT": EXIT_INTERRUPTED, "SIGTERM": EXIT_TERMINATED}


@dataclass(frozen=True)
class Command:
    """A command with its inputs, before they are validated.

    Attributes:
        name: The command's name.
        options: The options as given, for the report.
        request: Validates the inputs; raises InputError or ConfigError.
        report_file: Path of the report.
        inputs: Files and directories that the command reads; the report must not change them.
        is_verbose: Whether to show the details of an error.
        secrets: Texts that must not be printed or written, besides the secrets of the request and the environment.
    """

    name: CommandName
    options: Mapping[str, object]
    request: Callable[[], Request]
    report_file: Path
    inputs: tuple[Path, ...] = ()
    is_verbose: bool = False
    secrets: tuple[str, ...] = ()


def run_command(
    command: Command,
    reporter: Reporter | None = None,
    process: WorkerProcess | None = None,
    *,
    run_gate: RunGate = gate.run,
) -> int:
    """Run a command, write its report and present the result.

    Args:
        command: The command.
        reporter: Presents progress and the result; by default on the terminal.
        process: A worker process that was started in advance; it is closed with the gate.
        run_gate: Decides a valid request.

    Returns:
        The exit code.
    """
    reporter = reporter or TerminalReporter()
    secrets = _initial_secrets(command)
    reporter.mask_secrets(secrets)
    redactor = Redactor(secrets)
    try:
        prepare_report(command.report_file, command.inputs)
    except ModelGateError as error:
        reporter.show_result(CommandResult(Outcome(None, error=error), None, redactor, command.is_verbose))
        return EXIT_ERROR
    outcome, redactor, signal_name = _decide(command, reporter, redactor, process, run_gate)
    result = _publish(outcome, command, redactor)
    reporter.show_result(result)
    if signal_name:
        return _SIGNAL_EXITS[signal_name]
    return exit_code(result.outcome.status, passed=result.outcome.passed)


def run_without_report(action: Callable[[Callable[[str], None]], None], *, is_verbose: bool) -> int:
    """Run an action that writes no report.

    Args:
        action: The action; its argument is a function that prints a line for the user.
        is_verbose: Whether to show the details of an error.

    Returns:
        The exit code.
    """
    try:
        with interruptible():
            action(print_line)
    except Interrupted as signal:
        _show_error(_stopped_error(signal), is_verbose=is_verbose)
        return _SIGNAL_EXITS[signal.name]
    except ModelGateError as error:
        _show_error(error, is_verbose=is_verbose)
        return EXIT_ERROR
    except Exception as error:  # noqa: BLE001  # a bug is presented like every other error
        _show_error(_internal_error(error), is_verbose=is_verbose)
        return EXIT_ERROR
    return EXIT_PASSED


def _show_error(error: ModelGateError, *, is_verbose: bool) -> None:
    redactor = Redactor(secrets_of(os.environ))
    TerminalReporter().show_result(CommandResult(Outcome(None, error=error), None, redactor, is_verbose))


def _decide(
    command: Command, reporter: Reporter, redactor: Redactor, process: WorkerProcess | None, run_gate: RunGate
) -> tuple[Outcome, Redactor, str]:
    """Return the outcome, a redactor with the request's secrets, and the name of the signal that stopped the gate."""
    request: Request | None = None
    try:
        with interruptible(), reporter.progress() as progress:
            request = command.request()
            reporter.mask_secrets(request.secrets)
            redactor = Redactor((*_initial_secrets(command), *request.secrets))
            return run_gate(request, os.environ, progress, process), redactor, ""
    except Interrupted as signal:
        return Outcome(request, error=_stopped_error(signal)), redactor, signal.name
    except ModelGateError as error:
        return Outcome(request, error=error), redactor, ""
    except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
        return Outcome(request, error=_internal_error(error)), redactor, ""
    finally:
        # Publishing the report needs no worker, and the idle worker would use the processor.
        if process is not None:
            process.close()


def _publish(outcome: Outcome, command: Command, redactor: Redactor) -> CommandResult:
    """Write the report. Without a report there is no verdict: the outcome becomes an error."""
    try:
        report = build_report(command.name, outcome, command.options, redactor, system_facts())
        validate_report(report)
        write_report(report, command.report_file)
    except ModelGateError as error:
        return CommandResult(Outcome(outcome.request, error=error), None, redactor, command.is_verbose)
    except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
        return CommandResult(Outcome(outcome.request, error=_internal_error(error)), None, redactor, command.is_verbose)
    return CommandResult(outcome, command.report_file, redactor, command.is_verbose)


def _stopped_error(signal: Interrupted) -> StoppedError:
    return StoppedError(f"The gate was stopped by {signal.name} before it could decide.", "Run it again.")


def _internal_error(error: Exception) -> InternalError:
    return InternalError(
        f"Model Gate failed: {type(error).__name__}: {error}.",
        "This is a bug in Model Gate: please report it with the output of --verbose.",
        detail="".join(traceback.format_exception(error)),
    )


def _initial_secrets(command: Command) -> tuple[str, ...]:
    """Return the secrets that are known before the request is valid."""
    hosts = (value for name, value in command.options.items() if name.endswith("host") and isinstance(value, str))
    host_secrets = (secret for host in hosts for secret in secrets_in(host))
    return (*secrets_of(os.environ), *command.secrets, *host_secrets)
