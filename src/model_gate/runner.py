"""One command from its inputs to its exit code: the only place where errors become text and a report is published."""

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
from model_gate.domain.request import Request
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_PASSED, EXIT_TERMINATED, exit_code
from model_gate.errors import InternalError, ModelGateError, StoppedError
from model_gate.reporting.output import print_line
from model_gate.reporting.report import build_report, prepare_report, validate_report, write_report
from model_gate.reporting.reporter import CommandResult, Reporter, TerminalReporter
from model_gate.signals import Interrupted, interruptible
from model_gate.sources.worker_process import WorkerProcess

_EXITS = {"SIGINT": EXIT_INTERRUPTED, "SIGTERM": EXIT_TERMINATED}


@dataclass(frozen=True)
class Command:
    """What a user asked for, before it was understood.

    Attributes:
        name: As in `check`.
        options: As given, for the report.
        request: Understands the inputs; raises InputError or ConfigError if they make no sense.
        report_file: Where the report goes.
        inputs: Files and directories that are read, and so must not be changed.
        is_verbose: Whether to show what lies behind an error.
        secrets: What must appear nowhere, beyond what the request and the environment hold.
    """

    name: CommandName
    options: Mapping[str, object]
    request: Callable[[], Request]
    report_file: Path
    inputs: tuple[Path, ...] = ()
    is_verbose: bool = False
    secrets: tuple[str, ...] = ()


def run_command(command: Command, telling: Reporter | None = None, process: WorkerProcess | None = None) -> int:
    """Do it, publish the report, tell the verdict (without `telling`: on the terminal); returns the exit code.

    `process` is one that was started ahead; it ends with the gate.
    """
    telling = telling or TerminalReporter()
    secrets = _secrets_given(command)
    telling.keep_secret(secrets)
    redactor = Redactor(secrets)
    try:
        prepare_report(command.report_file, command.inputs)
    except ModelGateError as error:
        telling.tell(CommandResult(Outcome(None, error=error), None, redactor, command.is_verbose))
        return EXIT_ERROR
    outcome, redactor, stopped_by = _outcome(command, telling, redactor, process)
    ending = _publish(outcome, command, redactor)
    telling.tell(ending)
    if stopped_by:
        return _EXITS[stopped_by]
    return exit_code(ending.outcome.status, passed=ending.outcome.passed)


def run_without_report(action: Callable[[Callable[[str], None]], None], *, is_verbose: bool) -> int:
    """Do what makes no report of its own; `action` is given what tells the user a line. Returns the exit code."""
    try:
        with interruptible():
            action(print_line)
    except Interrupted as signal:
        _tell_error(_stopped(signal), is_verbose=is_verbose)
        return _EXITS[signal.name]
    except ModelGateError as error:
        _tell_error(error, is_verbose=is_verbose)
        return EXIT_ERROR
    except Exception as error:  # noqa: BLE001  # a defect is told like any error
        _tell_error(_defect(error), is_verbose=is_verbose)
        return EXIT_ERROR
    return EXIT_PASSED


def _tell_error(error: ModelGateError, *, is_verbose: bool) -> None:
    redactor = Redactor(secrets_of(os.environ))
    TerminalReporter().tell(CommandResult(Outcome(None, error=error), None, redactor, is_verbose))


def _outcome(
    command: Command, telling: Reporter, redactor: Redactor, process: WorkerProcess | None
) -> tuple[Outcome, Redactor, str]:
    """The outcome, a redactor that knows the request's secrets too, and the signal that ended it, if one did."""
    request: Request | None = None
    try:
        with interruptible(), telling.progress() as progress:
            request = command.request()
            secrets = request.secrets
            telling.keep_secret(secrets)
            redactor = Redactor((*_secrets_given(command), *secrets))
            return gate.run(request, os.environ, progress, process), redactor, ""
    except Interrupted as signal:
        return Outcome(request, error=_stopped(signal)), redactor, signal.name
    except ModelGateError as error:
        return Outcome(request, error=error), redactor, ""
    except Exception as error:  # noqa: BLE001  # a defect must end as an error too, never as a verdict
        return Outcome(request, error=_defect(error)), redactor, ""
    finally:
        # What comes now does not need it, and needs the processor.
        if process is not None:
            process.close()


def _publish(outcome: Outcome, command: Command, redactor: Redactor) -> CommandResult:
    """Write the report. What cannot be reported is no verdict: the outcome becomes an error."""
    try:
        report = build_report(command.name, outcome, dict(command.options), redactor)
        validate_report(report)
        write_report(report, command.report_file)
    except ModelGateError as error:
        return CommandResult(Outcome(outcome.request, error=error), None, redactor, command.is_verbose)
    except Exception as error:  # noqa: BLE001  # the same
        return CommandResult(Outcome(outcome.request, error=_defect(error)), None, redactor, command.is_verbose)
    return CommandResult(outcome, command.report_file, redactor, command.is_verbose)


def _stopped(signal: Interrupted) -> StoppedError:
    return StoppedError(f"The gate was stopped by {signal.name} before it could decide.", "Run it again.")


def _defect(error: Exception) -> InternalError:
    return InternalError(
        f"Model Gate failed: {type(error).__name__}: {error}.",
        "This is a defect: please report it, with what --verbose shows.",
        detail="".join(traceback.format_exception(error)),
    )


def _secrets_given(command: Command) -> tuple[str, ...]:
    hosts = (value for name, value in command.options.items() if name.endswith("host") and isinstance(value, str))
    secrets = (secret for host in hosts for secret in secrets_in(host))
    return (*secrets_of(os.environ), *command.secrets, *secrets)
