"""The `model-gate` that the demo runs, and what a user would type for it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# No gate of the demo takes as many seconds.
_PATIENCE = 300


@dataclass(frozen=True)
class Program:
    """How `model-gate` is called.

    Attributes:
        words: What comes before the arguments.
    """

    words: tuple[str, ...]

    @classmethod
    def found(cls) -> Program:
        """The one of this interpreter, by the shortest name that works from here."""
        script = Path(sys.executable).parent / "model-gate"
        if not script.exists():
            return cls((sys.executable, "-m", "model_gate"))
        on_path = shutil.which("model-gate")
        if on_path is not None and Path(on_path).samefile(script):
            return cls(("model-gate",))
        here = Path.cwd()
        # Without a slash it would be looked up in PATH.
        return cls((str(script.relative_to(here) if here in script.parent.parents else script),))

    def line(self, arguments: Sequence[str]) -> str:
        """The command as text for a shell."""
        return shlex.join((*self.words, *arguments))

    def run(self, arguments: Sequence[str]) -> int:
        """Run the command, with this process's standard streams; returns its exit code."""
        process = subprocess.Popen((*self.words, *arguments))
        try:
            return process.wait(_PATIENCE)
        except BaseException:
            # Asked to end, it removes its scratch space.
            process.terminate()
            process.wait(_PATIENCE)
            raise
