"""Entry points: `model-gate`, and the two commands under their historical names."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import AbstractContextManager, nullcontext, suppress

from model_gate.access.environments import base_environment
from model_gate.domain.verdict import EXIT_INTERRUPTED, EXIT_TERMINATED
from model_gate.sources.worker_process import WorkerProcess

# Those that talk to a tracking server, whatever the request turns out to be.
_TALKING = frozenset({"check", "compare", "action"})


def main() -> None:
    """Run `model-gate`."""
    _run("app", "model-gate", is_talking=not _TALKING.isdisjoint(sys.argv[1:2]))


def check_model_version() -> None:
    """Run `check-model-version`."""
    _run("check_model_version", "check-model-version", is_talking=True)


def compare_model_versions() -> None:
    """Run `compare-model-versions`."""
    _run("compare_model_versions", "compare-model-versions", is_talking=True)


def _run(app: str, name: str, *, is_talking: bool) -> None:
    # A large model makes many small objects and hardly a cycle: collecting them often is a tenth of the time.
    gc.set_threshold(200_000, 50, 50)
    with _started_ahead(is_talking and "--help" not in sys.argv) as process:
        # Typer takes a third of a second to import and to read a command line: the process does not wait for that.
        from model_gate import cli

        try:
            getattr(cli, app)(prog_name=name, obj=process)
        except SystemExit as stop:
            if stop.code in {EXIT_INTERRUPTED, EXIT_TERMINATED}:
                # All is put away; a thread that still reads a large file is not worth waiting for.
                os._exit(stop.code)
            raise


def _started_ahead(is_wanted: bool) -> AbstractContextManager[WorkerProcess | None]:
    """A process that imports MLflow meanwhile; None if none is wanted, or none can be had, which the gate will tell."""
    with suppress(OSError):
        if is_wanted:
            return WorkerProcess(base_environment(os.environ))
    return nullcontext()


if __name__ == "__main__":
    main()
