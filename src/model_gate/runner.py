"""Runs one command from its inputs to its exit code: handles every error, and publishes the report."""

from __future__ import annotations

import hashlib
import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from model_gate import gate
from model_gate.access.environments import secrets_of
from model_gate.access.hosts import secrets_in
from model_gate.access.redaction import Redactor
from model_gate.comparison.progress import Progress
from model_gate.domain.request import CheckRequest, CompareRequest, Request, SealRequest, VerifyRequest
from model_gate.domain.result import Outcome
from model_gate.domain.roles import CommandName
from model_gate.domain.verdict import EXIT_ERROR, EXIT_PASSED, exit_code
from model_gate.errors import (
    RESOURCE_ERRNOS,
    InputError,
    InternalError,
    ModelGateError,
    StoppedError,
    StorageError,
    is_about_temporary_directory,
    storage_error,
)
from model_gate.reporting.output import print_line
from model_gate.reporting.output_files import ReportFile, SealFile, StatementFile, json_text
from model_gate.reporting.promotion import build_statement, subject_digest
from model_gate.reporting.report import Json, build_report, validate_report
from model_gate.reporting.reporter import CommandResult, Reporter, TerminalReporter
from model_gate.reporting.system import system_facts
from model_gate.signals import Interrupted, interruptible, time_limit
from model_gate.sources.worker_process import WorkerProcess

RunGate = Callable[[Request, Mapping[str, str], Progress, WorkerProcess | None, gate.BeforeReading], Outcome]


@dataclass(frozen=True)
class Command:
    """A command with its inputs, before they are validated.

    Attributes:
        name: The command's name.
        options: The options as the user gave them, for the report.
        request: Validates the inputs and returns the request; raises InputError or ConfigError.
        report_file: Path of the report.
        statement_file: Path of the promotion statement, which is written if the gate passes; None for no statement.
        timeout: Seconds after which the command ends in an error; None for no limit, or for a value that `request`
            rejects.
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
    statement_file: Path | None = None
    timeout: float | None = None


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
        process: A worker process that was started in advance, which is closed at the end of the gate; None to start one
            when it is needed.
        run_gate: Runs the gate of a valid request and returns its outcome.

    Returns:
        The exit code.
    """
    reporter = reporter or TerminalReporter()
    secrets = _initial_secrets(command)
    reporter.mask_secrets(secrets)
    redactor = Redactor(secrets)
    try:
        outputs = _Outputs.of(command)
        _require_outside(outputs, command)
    except ModelGateError as error:
        reporter.show_result(CommandResult(Outcome(None, error=error), None, redactor, command.is_verbose))
        return EXIT_ERROR
    decision = _decide(command, outputs, reporter, process, run_gate)
    result = _publish(decision, command, outputs)
    reporter.show_result(result)
    if decision.signal is not None:
        return decision.signal.exit_code
    return exit_code(result.outcome.status, passed=result.outcome.passed)


def _require_outside(outputs: _Outputs, command: Command) -> None:
    """Verify that no output would change an input that the command names.

    Raises:
        StorageError: An output would.
        SealError: It would, and the input is named as a seal but is none, such as the report of an earlier command.
    """
    try:
        outputs.require_outside(command.inputs)
    except StorageError:
        seal = command.options.get("seal")
        if seal and outputs.report.target == Path(os.path.realpath(str(seal))):
            # The import takes time, which other commands save.
            from model_gate.inputs.seal_file import read_seal

            read_seal(Path(str(seal)))
        raise


def remove_old_report(path: Path) -> None:
    """Remove the report of an earlier run, since a command that cannot be parsed writes no report of a run."""
    with suppress(ModelGateError):
        ReportFile(path).remove_old()


def run_invalid_command(
    name: CommandName | None,
    message: str,
    remedy: str,
    arguments: Sequence[str],
    report_path: Path,
    statement_path: Path | None = None,
) -> int:
    """Present a usage error as the error of a gate: with a remedy, the exit code and a report.

    The files that the command would have read are unknown, so the report may replace only an older report. Of the
    statement of an earlier command, nothing remains.

    Args:
        name: The command; None for one that writes no report.
        message: What is wrong with the arguments.
        remedy: What the user can do.
        arguments: The arguments, which may contain secrets.
        report_path: Path of the report.
        statement_path: Path of the promotion statement, None for no statement.

    Returns:
        The exit code.
    """
    redactor = Redactor((*secrets_of(os.environ), *(secret for text in arguments for secret in secrets_in(text))))
    outcome = Outcome(None, error=InputError(message, remedy))
    result = CommandResult(outcome, None, redactor, is_verbose=False)
    if name is not None:
        with suppress(ModelGateError):
            if statement_path is not None:
                StatementFile(statement_path).remove_old()
        with suppress(ModelGateError):
            command = Command(name, {}, _no_request, report_path)
            outputs = _Outputs.of(command)
            outputs.report.remove_old()
            outputs.report.require_new()
            result = _publish(_Decision(outcome, redactor), command, outputs)
    TerminalReporter().show_result(result)
    return EXIT_ERROR


def _no_request() -> Request:
    raise AssertionError("an invalid command has no request")


def run_and_show_errors(
    action: Callable[[], None], show_error: Callable[[ModelGateError], None], timeout: float | None = None
) -> int:
    """Run a function that writes no report, and present its errors.

    Args:
        action: The function to run.
        show_error: Presents an error.
        timeout: Seconds after which the function ends in an error; None for no limit.

    Returns:
        The exit code.
    """
    try:
        with interruptible(), time_limit(timeout):
            action()
    except Interrupted as signal:
        show_error(timeout_error(timeout or 0, signal.awaited) if signal.is_timeout else stopped_error(signal))
        return EXIT_ERROR if signal.is_timeout else signal.exit_code
    except ModelGateError as error:
        show_error(error)
        return EXIT_ERROR
    except Exception as error:  # noqa: BLE001  # a bug is presented like every other error
        show_error(internal_error(error))
        return EXIT_ERROR
    return EXIT_PASSED


def run_without_report(action: Callable[[Callable[[str], None]], None], *, is_verbose: bool) -> int:
    """Run a function that writes no report, and present its errors as a gate does.

    Args:
        action: The function to run. Its argument is a function that prints a line for the user.
        is_verbose: Whether to show the details of an error.

    Returns:
        The exit code.
    """

    def show_error(error: ModelGateError) -> None:
        redactor = Redactor(secrets_of(os.environ))
        TerminalReporter().show_result(CommandResult(Outcome(None, error=error), None, redactor, is_verbose))

    return run_and_show_errors(lambda: action(print_line), show_error)


@dataclass(frozen=True)
class _Decision:
    """The outcome of a command before its report is written.

    Attributes:
        outcome: The outcome.
        redactor: Removes the secrets of the command and of its request from texts.
        signal: The signal that stopped the gate, None if no signal did.
        seal_file: The file for the seal that the gate made, None if it made none.
    """

    outcome: Outcome
    redactor: Redactor
    signal: Interrupted | None = None
    seal_file: SealFile | None = None


@dataclass(frozen=True)
class _Outputs:
    """The files that a command writes. `seal` and `statement` are None for a command that makes none."""

    report: ReportFile
    statement: StatementFile | None = None
    seal: SealFile | None = None

    @classmethod
    def of(cls, command: Command) -> _Outputs:
        """Return the report and the statement of a command.

        Raises:
            StorageError: A file cannot be written to its path, or both have one path.
        """
        report = ReportFile(command.report_file)
        if command.statement_file is None:
            return cls(report)
        statement = StatementFile(command.statement_file)
        if statement.target == report.target:
            raise StorageError(
                f"The report and the promotion statement are both {command.report_file}.", "Name two files."
            )
        return cls(report, statement)

    def with_seal(self, seal: SealFile) -> _Outputs:
        """Return these outputs and the file of a seal.

        Raises:
            StorageError: The seal and the report have one path.
        """
        self.report.require_apart(seal)
        return replace(self, seal=seal)

    def require_outside(self, inputs: Iterable[Path]) -> None:
        """Verify that no output would change an input, and the seal no other output.

        Raises:
            StorageError: An output would.
        """
        inputs = list(inputs)
        documents = [file for file in (self.report, self.statement) if file is not None]
        for file in documents:
            file.require_outside(inputs)
        if self.seal is not None:
            self.seal.require_outside([*inputs, *(file.path for file in documents)])

    def before_reading(self, paths: Iterable[Path]) -> None:
        """Verify that no output would change these inputs, and remove an old report and an old statement."""
        self.require_outside(paths)
        self.report.remove_old()
        self.remove_statement()

    def can_replace_report(self) -> bool:
        """Remove an old report, and return whether no other file is at the report's path."""
        try:
            self.report.remove_old()
            self.report.require_new()
        except StorageError:
            return False
        return True

    def remove_statement(self) -> None:
        """Remove the statement of an earlier command.

        Raises:
            StorageError: The statement cannot be removed.
        """
        if self.statement is not None:
            self.statement.remove_old()

    def write_statement(self, outcome: Outcome, report: Json, redactor: Redactor) -> str:
        """Write the promotion statement of a gate that passed, and return the digest of its subject.

        If the gate did not pass, or no statement is wanted, remove the statement of an earlier command and return "".

        Raises:
            ModelGateError: The statement cannot be made or written.
        """
        if self.statement is None or not outcome.passed:
            self.remove_statement()
            return ""
        digest = hashlib.sha256(json_text(report).encode(errors="backslashreplace")).hexdigest()
        statement = build_statement(outcome, report, digest, redactor, os.environ)
        self.statement.write(statement)
        return subject_digest(statement)


def _decide(
    command: Command,
    outputs: _Outputs,
    reporter: Reporter,
    process: WorkerProcess | None,
    run_gate: RunGate,
) -> _Decision:
    request: Request | None = None
    redactor = Redactor(_initial_secrets(command))

    try:
        # The time limit also holds for the request: a check of a signature can read from the network.
        with interruptible(), reporter.progress() as progress, time_limit(command.timeout):
            request = command.request()
            reporter.mask_secrets(request.secrets)
            redactor = Redactor((*_initial_secrets(command), *request.secrets))
            if isinstance(request, SealRequest):
                outputs = outputs.with_seal(SealFile(request.output))
            hosts = [path for host in request.hosts if (path := host.local_path)]
            outputs.require_outside([*command.inputs, *hosts, *_seal_files(request)])
            outcome = run_gate(request, os.environ, progress, process, outputs.before_reading)
            redactor = redactor.including(outcome.secrets)
            return _Decision(outcome, redactor, seal_file=outputs.seal if outcome.is_sealed else None)
    except Interrupted as signal:
        if signal.is_timeout:
            return _Decision(Outcome(request, error=timeout_error(command.timeout or 0, signal.awaited)), redactor)
        return _Decision(Outcome(request, error=stopped_error(signal)), redactor, signal)
    except ModelGateError as error:
        return _Decision(Outcome(request, error=error), redactor)
    except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
        return _Decision(Outcome(request, error=internal_error(error)), redactor)
    finally:
        # The report needs no worker, and an unused worker that still imports MLflow would slow the report down.
        if process is not None:
            process.close()


def _seal_files(request: Request) -> list[Path]:
    """Return the files of the seals that a request names."""
    if isinstance(request, CheckRequest | CompareRequest | VerifyRequest) and request.seal is not None:
        return [Path(request.seal.file)]
    return []


def _publish(decision: _Decision, command: Command, outputs: _Outputs) -> CommandResult:
    """Write the report and the promotion statement, and return the result of the command.

    If one of them cannot be written, the verdict is replaced by an error.
    """
    outcome, redactor = decision.outcome, decision.redactor
    # An invalid compare file may name a seal at the path of the report. Other commands name all that they read.
    is_unread = outcome.request is None and command.name is CommandName.COMPARE
    if is_unread and not outputs.can_replace_report():
        with suppress(ModelGateError):
            outputs.remove_statement()
        return CommandResult(outcome, None, redactor, command.is_verbose)
    try:
        return _write_files(decision, command, outputs)
    except Exception as error:  # noqa: BLE001  # a bug must end as an error, never as a verdict
        with suppress(ModelGateError):
            # The report of the statement does not exist.
            outputs.remove_statement()
        failure = error if isinstance(error, ModelGateError) else internal_error(error)
        return CommandResult(Outcome(outcome.request, error=failure), None, redactor, command.is_verbose)


def _write_files(decision: _Decision, command: Command, outputs: _Outputs) -> CommandResult:
    """Write the report, and the promotion statement or the seal of a gate that passed.

    The seal gets its path last, so that there is no new seal unless the whole command succeeds.

    Raises:
        ModelGateError: The report cannot be written, or the seal cannot be put at its path.
    """
    outcome, redactor = decision.outcome, decision.redactor
    digest, seal_file = "", decision.seal_file
    report = _report(outcome, command, redactor)
    with ExitStack() as stack:
        put_seal = None
        try:
            digest = outputs.write_statement(outcome, report, redactor)
            if seal_file is not None and outcome.seal is not None:
                put_seal = stack.enter_context(seal_file.staged(outcome.seal, redactor))
        except ModelGateError as error:
            outcome = replace(outcome, comparisons={}, seal=None, error=error)
            report = _report(outcome, command, redactor)
        outputs.report.write(report)
        if put_seal is not None:
            try:
                put_seal()
            except OSError:
                # No report may say that the model is sealed.
                outputs.report.remove_old()
                raise
    return CommandResult(
        outcome,
        command.report_file,
        redactor,
        command.is_verbose,
        statement_file=command.statement_file if digest else None,
        subject_digest=digest,
        seal_file=seal_file.path if seal_file is not None and put_seal is not None else None,
    )


def _report(outcome: Outcome, command: Command, redactor: Redactor) -> Json:
    report = build_report(command.name, outcome, command.options, redactor, system_facts())
    validate_report(report)
    return report


def stopped_error(signal: Interrupted) -> StoppedError:
    """Return the error of a command that a signal stopped."""
    return StoppedError(f"The gate was stopped by {signal.name} before it could decide.", "Run it again.")


def timeout_error(seconds: float, awaited: str) -> StoppedError:
    """Return the error of a command whose time limit has passed. `awaited` is what it waited for, "" if unknown."""
    activity = f" It was waiting for {awaited}." if awaited else ""
    return StoppedError(
        f"The gate did not end within {seconds:g} s.{activity}",
        "Allow more time with --timeout, or check whether a server, a store or a disk is slow.",
    )


def internal_error(error: Exception) -> ModelGateError:
    """Return the error for an exception that is none of Model Gate's own: a defect, or an exhausted resource."""
    if isinstance(error, OSError) and (error.errno in RESOURCE_ERRNOS or is_about_temporary_directory(error)):
        return storage_error(error, "run the gate")
    return InternalError(
        f"Model Gate failed: {type(error).__name__}: {error}.",
        "This is a bug in Model Gate: please report it with the output of --verbose.",
        detail="".join(traceback.format_exception(error)),
    )


def _initial_secrets(command: Command) -> tuple[str, ...]:
    """Return the secrets in the environment and in the options of a command whose request is not validated yet."""
    hosts = (
        value
        for name, value in command.options.items()
        if (name.endswith("host") or name in {"left", "right", "uri"}) and isinstance(value, str)
    )
    host_secrets = (secret for host in hosts for secret in secrets_in(host))
    return (*secrets_of(os.environ), *command.secrets, *host_secrets)
