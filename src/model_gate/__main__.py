"""Entry points: `model-gate`, and the older names of the commands `check` and `compare`.

Only small modules are imported at the top, so that signals and closed standard streams are handled before other
modules are imported.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING

from model_gate import signals, streams
from model_gate.domain.verdict import EXIT_ERROR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from model_gate.sources.worker_process import WorkerProcess

# Commands that always use a worker.
_WORKER_COMMANDS = frozenset({"check", "compare", "run", "plan", "action"})
# Commands that read directories of this machine without a worker.
_DIRECTORY_COMMANDS = frozenset({"diff", "seal", "verify"})
# Options of `verify` whose values are URLs that no worker reads.
_SIGNER_OPTIONS = ("--identity", "--issuer")


def main() -> None:
    """Run `model-gate`."""
    _run("app", "model-gate", needs_worker=_needs_worker(sys.argv[1:]))


def _needs_worker(arguments: Sequence[str]) -> bool:
    """Return whether a command uses a worker: always, or because it names a registered model or a URI.

    A wrong answer costs time only.

    >>> _needs_worker(["diff", "s3://models/a", "s3://models/b"]), _needs_worker(["diff", "a", "file:///b"])
    (True, False)
    """
    command, *others = arguments or [""]
    if command in _DIRECTORY_COMMANDS:
        return any(argument.startswith("--model") for argument in others) or _names_uri(others)
    return command in _WORKER_COMMANDS


def _names_uri(arguments: Sequence[str]) -> bool:
    """Return whether an argument, or the value of an option, is a URI that only a worker can read."""
    from model_gate.domain.location import is_local_uri

    before = ["", *arguments]
    return any(
        not is_local_uri(argument)
        for option, argument in zip(before, arguments, strict=False)
        if option not in _SIGNER_OPTIONS and not argument.startswith(_SIGNER_OPTIONS)
    )


def check_model_version() -> None:
    """Run `model-gate check` under its older name `check-model-version`."""
    _run("check_model_version", "check-model-version", needs_worker=True)


def compare_model_versions() -> None:
    """Run `model-gate compare` under its older name `compare-model-versions`."""
    _run("compare_model_versions", "compare-model-versions", needs_worker=True)


def _run(app: str, name: str, *, needs_worker: bool) -> None:
    signals.install()
    streams.open_standard_streams()
    # A large model makes many small objects but few reference cycles. Frequent garbage collections would take a tenth
    # of the time.
    gc.set_threshold(200_000, 50, 50)
    exit_code = _exit_code(lambda: _start(app, name, needs_worker=needs_worker))
    streams.flush_standard_streams()
    # Cleanup is done. A normal exit takes longer: it frees all objects one by one, and waits for threads that still
    # read large files.
    os._exit(exit_code)


def _start(app: str, name: str, *, needs_worker: bool) -> None:
    with _early_worker(needs_worker and "--help" not in sys.argv) as process:
        # Importing Typer takes a third of a second. The worker process starts in the meantime.
        from model_gate import cli

        getattr(cli, app)(prog_name=name, obj=process)


def _exit_code(command: Callable[[], None]) -> int:
    """Run a command and return its exit code, that of an error if the command ends without one."""
    try:
        command()
    except SystemExit as stop:
        # A help text or the version cannot be written because the pipe is closed: Typer exits with 1 then, the code of
        # a difference.
        is_closed = isinstance(stop.__context__, OSError)
        return stop.code if isinstance(stop.code, int) and not is_closed else EXIT_ERROR
    except BaseException as error:  # noqa: BLE001  # Python exits with 1, the code of a difference
        _print_error(error)
    return EXIT_ERROR


def _print_error(error: BaseException) -> None:
    """Print an error that no command has handled: a defect, an exhausted resource, or a text that cannot be written."""
    # The text can fail to be written for the same reason.
    with suppress(Exception):
        text = ascii(_redacted(str(error)))[1:-1]
        sys.stderr.write(f"error: Model Gate failed: {type(error).__name__}{text and f': {text}'}\n")
        if "--verbose" in sys.argv:
            sys.stderr.write(_redacted("".join(traceback.format_exception(error))))


def _redacted(text: str) -> str:
    """Return a text without secrets, "" if the modules cannot be imported, as at a limit of open files or of memory."""
    try:
        from model_gate.access.environments import secrets_of
        from model_gate.access.redaction import Redactor

        return Redactor(secrets_of(os.environ)).text(text)
    except Exception:  # noqa: BLE001  # the caller prints the class of the error at least
        return ""


def _early_worker(is_needed: bool) -> AbstractContextManager[WorkerProcess | None]:
    """Start a worker process before the gate needs it, because the worker takes long to import MLflow.

    The context manager yields None if no worker is needed. It also yields None if the process cannot be started: the
    gate then tries again and reports the error.
    """
    if is_needed:
        from model_gate.access.base_environment import base_environment
        from model_gate.sources.worker_process import WorkerProcess

        with suppress(OSError):
            return WorkerProcess(base_environment(os.environ))
    return nullcontext()


if __name__ == "__main__":
    main()
