"""The `model-gate` program, as the demo runs it and prints it for the user."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Program:
    """Runs `model-gate` for the demo, and formats the command line that the demo shows.

    Attributes:
        prefix: The start of each command line, before the arguments of `model-gate`.
    """

    prefix: tuple[str, ...]

    @classmethod
    def find(cls) -> Program:
        """Return the program with the shortest prefix that runs the `model-gate` of this Python environment.

        The prefix is valid in the working directory.
        """
        script = Path(sys.executable).parent / "model-gate"
        if not script.exists():
            return cls((sys.executable, "-m", "model_gate"))
        on_path = shutil.which("model-gate")
        if on_path is not None and Path(on_path).samefile(script):
            return cls(("model-gate",))
        cwd = Path.cwd()
        # A relative path needs a slash: shells search PATH for a name without one.
        return cls((str(script.relative_to(cwd) if cwd in script.parent.parents else script),))

    def line(self, arguments: Sequence[str]) -> str:
        """Return the command line, quoted for a shell."""
        return shlex.join((*self.prefix, *arguments))

    def run(self, arguments: Sequence[str]) -> int:
        """Run the command with this process's standard streams, and return its exit code."""
        process = subprocess.Popen((*self.prefix, *arguments))
        try:
            return process.wait(_TIMEOUT_SECONDS)
        except BaseException:
            # On SIGTERM the command removes its scratch directory.
            process.terminate()
            process.wait(_TIMEOUT_SECONDS)
            raise
