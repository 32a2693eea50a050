"""A file for a secret text that must never be left on disk."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from model_gate.errors import storage_error


class PrivateFile:
    """A file that only this user can read. Use it as a context manager.

    On Linux the file is in memory and has no name, so it disappears with the process, even after SIGKILL. On other
    systems it is a temporary file that is removed at the end of the context.

    Raises:
        StorageError: The file cannot be created or written.
    """

    def __init__(self, text: str) -> None:
        try:
            if sys.platform == "linux":
                self.descriptor = os.memfd_create("model-gate")
                self.path = Path(f"/proc/self/fd/{self.descriptor}")
                self._is_named = False
            else:
                self.descriptor, name = tempfile.mkstemp(prefix="model-gate-")
                self.path = Path(name)
                self._is_named = True
            with open(self.descriptor, "w", encoding="utf-8", closefd=False) as stream:
                stream.write(text + "\n")
        except OSError as error:
            raise storage_error(error, "write a private file") from error

    def __enter__(self) -> PrivateFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        if self._is_named:
            self.path.unlink(missing_ok=True)
