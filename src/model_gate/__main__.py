"""Entry points: `model-gate`, and the two commands under their historical names."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

from model_gate import cli
from model_gate.verdict import EXIT_INTERRUPTED, EXIT_TERMINATED

if TYPE_CHECKING:
    from typer import Typer


def main() -> None:
    """Run `model-gate`."""
    _run(cli.app, "model-gate")


def check_model_version() -> None:
    """Run `check-model-version`."""
    _run(cli.check_model_version, "check-model-version")


def compare_model_versions() -> None:
    """Run `compare-model-versions`."""
    _run(cli.compare_model_versions, "compare-model-versions")


def _run(app: Typer, name: str) -> None:
    # A large model makes many small objects and hardly a cycle: collecting them often is a tenth of the time.
    gc.set_threshold(200_000, 50, 50)
    try:
        app(prog_name=name)
    except SystemExit as stop:
        if stop.code in {EXIT_INTERRUPTED, EXIT_TERMINATED}:
            # All is put away; a thread that still reads a large file is not worth waiting for.
            os._exit(stop.code)
        raise


if __name__ == "__main__":
    main()
