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
    from collections.abc import Callable, Collection, Sequence
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
    _run("app", "model-gate", _worker_schemes(sys.argv[1:]))


def _worker_schemes(arguments: Sequence[str]) -> Collection[str] | None:
    """Return the schemes of the URIs that a command names, empty if it names a registered model.

    None if the command uses no worker: it names directories only, or reads no model. A wrong answer costs time only.

    >>> _worker_schemes(["diff", "s3://models/a", "s3://models/b"]), _worker_schemes(["diff", "a", "file:///b"])
    (['s3'], None)
    >>> _worker_schemes(["compare", "--config-file", "a.yaml"]), _worker_schemes(["seal", "--model", "wine"])
    ((), ())
    """
    command, *others = arguments or [""]
    if command not in _DIRECTORY_COMMANDS:
        return () if command in _WORKER_COMMANDS else None
    if any(argument.startswith("--model") for argument in others):
        return ()
    return sorted(_schemes(others)) or None


def _schemes(arguments: Sequence[str]) -> set[str]:
    """Return the schemes of the URIs, among arguments and values of options, that only a worker can read."""
    from model_gate.domain.location import is_local_uri

    before = ["", *arguments]
    return {
        _scheme(argument)
        for option, argument in zip(before, arguments, strict=False)
        if not is_local_uri(argument) and option not in _SIGNER_OPTIONS and not argument.startswith(_SIGNER_OPTIONS)
    }


def _scheme(uri: str) -> str:
    """Return the scheme of a location in an object store, `other` for any other URI."""
    from model_gate.domain.location import STORE_FORMS

    scheme = uri.partition(":")[0].lower()
    return scheme if scheme in STORE_FORMS else "other"


def check_model_version() -> None:
    """Run `model-gate check` under its older name `check-model-version`."""
    _run("check_model_version", "check-model-version", ())


def compare_model_versions() -> None:
    """Run `model-gate compare` under its older name `compare-model-versions`."""
    _run("compare_model_versions", "compare-model-versions", ())


def _run(app: str, name: str, schemes: Collection[str] | None) -> None:
    signals.install()
    streams.open_standard_streams()
    # A large model makes many small objects but few reference cycles. Frequent garbage collections would take a tenth
    # of the time.
    gc.set_threshold(200_000, 50, 50)
    exit_code = _exit_code(lambda: _start(app, name, None if "--help" in sys.argv else schemes))
    streams.flush_standard_streams()
    # Cleanup is done. A normal exit takes longer: it frees all objects one by one, and waits for threads that still
    # read large files.
    os._exit(exit_code)


def _start(app: str, name: str, schemes: Collection[str] | None) -> None:
    with nullcontext() if schemes is None else _early_worker(schemes) as process:
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


def _early_worker(schemes: Collection[str]) -> AbstractContextManager[WorkerProcess | None]:
    """Start a worker process before the gate needs it, because the worker takes long to import MLflow.

    The context manager yields None if the process cannot be started: the gate then tries again and reports the error.
    """
    from model_gate.access.base_environment import base_environment
    from model_gate.sources.worker_process import WorkerProcess

    with suppress(OSError):
        return WorkerProcess(base_environment(os.environ), schemes)
    return nullcontext()


if __name__ == "__main__":
    main()
